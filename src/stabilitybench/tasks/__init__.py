"""Tasks: labelled text with a train, validation and test split, metrics, and a no-skill score."""

from __future__ import annotations

from stabilitybench.argument_checks import text
from stabilitybench.errors import UserError, shown, suggest
from stabilitybench.tasks.base import Kind, Split, Task

__all__ = ["Kind", "Split", "Task", "load_task", "task_catalogue"]


def load_task(name: str, *, metric: str | None = None, revision: str | None = None) -> Task:
    """Load a task by name.

    Parameters
    ----------
    name : str
        ``pocket/...`` (embedded), ``glue/...`` or ``superglue/...`` (from the hub or its cache), or ``file:DIR``.
    metric : str, optional
        The headline metric, instead of the task's own.
    revision : str, optional
        Branch, tag or commit of the hub's dataset; the main branch where it is left out.

    Returns
    -------
    Task
        The data with its three splits.

    Raises
    ------
    UserError
        For unknown names, unusable data, and a hub that cannot be reached.
    EnvironmentFailure
        Where the cache of the hub cannot be written.

    Examples
    --------
    >>> task = load_task("pocket/acceptability", metric="accuracy")
    >>> task.metrics, len(task.train)
    (('accuracy', 'mcc'), 320)
    """
    from stabilitybench.tasks.metrics import with_headline

    if not isinstance(name, str):
        raise UserError(f"task {shown(name)}: must be a name, such as pocket/sentiment or file:DIR")
    for key, given in (("metric", metric), ("revision", revision)):
        if given is not None:
            text(key, given)
    family = name.split("/")[0]
    if revision is not None and family not in ("glue", "superglue"):
        raise UserError(f'task "{name}": revision = "{revision}": only glue/ and superglue/ tasks have revisions')
    if name.startswith("file:"):
        from stabilitybench.tasks.files import load_folder

        return load_folder(name.removeprefix("file:"), metric=metric)
    known = [known for known, _ in task_catalogue()]
    if name not in known:
        raise UserError(f'task "{name}" is unknown: must be one of {", ".join(known)}{suggest(name, known)}')
    if family == "pocket":
        from stabilitybench.tasks.pocket import load_pocket

        task = load_pocket(name)
    else:
        from stabilitybench.tasks.glue import load_hub_task

        task = load_hub_task(name, revision=revision)
    return task if metric is None else with_headline(task, metric)


def task_catalogue() -> list[tuple[str, str]]:
    """Return the name of every task with one line on it.

    Returns
    -------
    list of (str, str)
        Name and description; the last entry stands for folders of one's own.

    Examples
    --------
    >>> dict(task_catalogue())["glue/rte"]
    'does the first text entail the second? 2.5k pairs, accuracy'
    """
    from stabilitybench.tasks.glue import HUB_TASKS
    from stabilitybench.tasks.pocket import POCKET_TASKS

    return [
        *POCKET_TASKS.items(),
        *((name, task.description) for name, task in HUB_TASKS.items()),
        ("file:DIR", "your own folder with train and dev as TSV, CSV, JSONL or Parquet"),
    ]
