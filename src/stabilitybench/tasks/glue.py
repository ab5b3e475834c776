"""GLUE and SuperGLUE from the Hugging Face hub, or from its local cache.

GLUE (Wang et al. 2018) and SuperGLUE (Wang et al. 2019) keep their test labels private: the labelled
development set is split once into halves.  Only data is downloaded, never code.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stabilitybench.errors import EnvironmentFailure, UserError
from stabilitybench.tasks.base import Kind, Split, Task
from stabilitybench.tasks.splits import split_dev

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class HubTask:
    """Where a task lies in a hub dataset.

    Attributes
    ----------
    repository : str
        Id of the hub dataset.
    config : str
        Its configuration.
    texts : tuple of str, length 1 or 2
        The text columns.
    metrics : tuple of str
        Metric names, the headline first.
    classes : tuple of str
        Used where the dataset does not name its own; empty under regression.
    description : str
        One line for the catalogue.
    dev : str, default "validation"
        The labelled split that is halved.
    prefix : str or None, default None
        Column put before the first text ("word: sentence").
    """

    repository: str
    config: str
    texts: tuple[str, ...]
    metrics: tuple[str, ...]
    classes: tuple[str, ...]
    description: str
    dev: str = "validation"
    prefix: str | None = None

    @property
    def kind(self) -> Kind:
        """Regression where there are no classes."""
        return "classification" if self.classes else "regression"


_GLUE, _SUPERGLUE = "nyu-mll/glue", "aps/super_glue"
_TWO = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_BOOLEAN = ("False", "True")

#: Every hub task by its name.
HUB_TASKS: dict[str, HubTask] = {
    "glue/cola": HubTask(
        _GLUE,
        "cola",
        ("sentence",),
        ("mcc", "accuracy"),
        ("unacceptable", "acceptable"),
        "is the sentence grammatical? 8.6k sentences, mcc",
    ),
    "glue/sst2": HubTask(
        _GLUE,
        "sst2",
        ("sentence",),
        ("accuracy",),
        ("negative", "positive"),
        "is the review positive? 67k phrases, accuracy",
    ),
    "glue/mrpc": HubTask(
        _GLUE,
        "mrpc",
        _TWO,
        ("f1", "accuracy"),
        ("not_equivalent", "equivalent"),
        "do both sentences say the same? 3.7k pairs, f1",
    ),
    "glue/stsb": HubTask(
        _GLUE,
        "stsb",
        _TWO,
        ("spearman", "pearson"),
        (),
        "how similar are both sentences, 0 to 5? 5.7k pairs, spearman",
    ),
    "glue/qqp": HubTask(
        _GLUE,
        "qqp",
        ("question1", "question2"),
        ("accuracy", "f1"),
        ("not_duplicate", "duplicate"),
        "do both questions ask the same? 364k pairs, accuracy",
    ),
    "glue/mnli": HubTask(
        _GLUE,
        "mnli",
        ("premise", "hypothesis"),
        ("accuracy",),
        ("entailment", "neutral", "contradiction"),
        "entailed, neutral or contradicted? 393k pairs, matched genres, accuracy",
        dev="validation_matched",
    ),
    "glue/qnli": HubTask(
        _GLUE,
        "qnli",
        ("question", "sentence"),
        ("accuracy",),
        _ENTAILMENT,
        "does the sentence answer the question? 105k pairs, accuracy",
    ),
    "glue/rte": HubTask(
        _GLUE,
        "rte",
        _TWO,
        ("accuracy",),
        _ENTAILMENT,
        "does the first text entail the second? 2.5k pairs, accuracy",
    ),
    "superglue/boolq": HubTask(
        _SUPERGLUE,
        "boolq",
        ("question", "passage"),
        ("accuracy",),
        _BOOLEAN,
        "is the answer yes, by the passage? 9.4k pairs, accuracy",
    ),
    "superglue/cb": HubTask(
        _SUPERGLUE,
        "cb",
        ("premise", "hypothesis"),
        ("accuracy", "macro-f1"),
        ("entailment", "contradiction", "neutral"),
        "entailed, contradicted or neutral? 250 pairs, accuracy",
    ),
    "superglue/rte": HubTask(
        _SUPERGLUE,
        "rte",
        ("premise", "hypothesis"),
        ("accuracy",),
        _ENTAILMENT,
        "does the premise entail the hypothesis? 2.5k pairs, accuracy",
    ),
    "superglue/wic": HubTask(
        _SUPERGLUE,
        "wic",
        _TWO,
        ("accuracy",),
        _BOOLEAN,
        "does the word mean the same in both sentences? 5.4k pairs, accuracy",
        prefix="word",
    ),
}


def load_hub_task(name: str, revision: str | None = None) -> Task:
    """Load a GLUE or SuperGLUE task.

    The data is downloaded once; afterwards it is read from the cache of `datasets`, without a network too.

    Parameters
    ----------
    name : str
        A key of `HUB_TASKS`.
    revision : str, optional
        Branch, tag or commit of the dataset repository; the main branch where it is left out.

    Returns
    -------
    Task
        Its notes name the commit that was read.

    Raises
    ------
    UserError
        If the data is neither cached nor reachable, or is not what the task needs.
    EnvironmentFailure
        If the cache cannot be written.
    """
    spec = HUB_TASKS[name]
    with _quiet():
        train, dev, commit = _fetch(name, spec, revision)
    classes = _class_names(train, spec)
    validation, test = split_dev(_split(name, spec, "validation", dev, classes), spec.kind)
    return Task(
        name=name,
        kind=spec.kind,
        classes=classes,
        metrics=spec.metrics,
        train=_split(name, spec, "train", train, classes),
        validation=validation,
        test=test,
        notes=(
            f"{spec.repository}, configuration {spec.config}, commit {commit}",
            f"the {spec.dev} set was split once: {len(validation)} rows validate, {len(test)} test",
        ),
    )


def _fetch(name: str, spec: HubTask, revision: str | None) -> tuple[Dataset, Dataset, str]:
    """Return the train and dev sets and the commit they come from."""
    import datasets

    try:
        commit = _ask_hub(spec.repository, revision)
        if commit is None:
            return _from_cache(spec, revision)
        parts = ["train", spec.dev]
        train, dev = datasets.load_dataset(spec.repository, spec.config, split=parts, revision=commit)
    except Exception as error:
        raise _explain(error, name, spec, revision) from error
    # Where the hub fails halfway, `datasets` answers with whatever revision it prepared last.
    if _prepared_from(train) != commit:
        raise UserError(f'task "{name}": the hub broke off while {spec.repository} was downloaded; try again')
    return train, dev, commit


def _ask_hub(repository: str, revision: str | None) -> str | None:
    """Return the commit that a revision stands for now, or None if the hub cannot be reached."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        # Asked first because this call alone gives up at once without a network; the others retry for long.
        found = HfApi().dataset_info(repository, revision=revision, timeout=10)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except Exception:  # no network, offline mode, a proxy's answer, a hub out of order: the cache may do
        return None
    script = repository.split("/")[1] + ".py"
    if any(file.rfilename == script for file in found.siblings or ()):
        raise UserError(
            f"the hub dataset {repository} holds code at this revision, which is never run; "
            'try revision = "refs/convert/parquet"'
        )
    with suppress(EntryNotFoundError):  # leaves a note in the cache of which commit the revision is
        hf_hub_download(repository, "README.md", repo_type="dataset", revision=revision)
    return found.sha


def _from_cache(spec: HubTask, revision: str | None) -> tuple[Dataset, Dataset, str]:
    """Return what lies in the cache of this very revision; None is the main branch, else what was used last."""
    import datasets
    from datasets.packaged_modules.cache.cache import Cache
    from huggingface_hub import try_to_load_from_cache

    readme = try_to_load_from_cache(spec.repository, "README.md", repo_type="dataset", revision=revision)
    snapshot = Path(readme).parent if isinstance(readme, str) else None
    versions = [{"hash": snapshot.name}] if snapshot else [{"hash": revision}] if revision else []
    if revision is None:
        versions.append({"hash": "auto", "version": "auto"})
    for version in versions:
        with suppress(ValueError):  # says that nothing is prepared there
            name = spec.repository.split("/")[1]
            builder = Cache(dataset_name=name, repo_id=spec.repository, config_name=spec.config, **version)
            builder.download_and_prepare()
            train = builder.as_dataset("train")
            return train, builder.as_dataset(spec.dev), _prepared_from(train)
    if snapshot is None or not (snapshot / spec.config).is_dir():
        raise FileNotFoundError(spec.repository)
    # Downloaded as files (`hf download`), but never opened.
    train, dev = datasets.load_dataset(str(snapshot), spec.config, split=["train", spec.dev])
    return train, dev, snapshot.name


def _prepared_from(found: Dataset) -> str:
    """Return the commit in whose folder `datasets` keeps this data."""
    return Path(found.cache_files[0]["filename"]).parent.name


def _explain(error: Exception, name: str, spec: HubTask, revision: str | None) -> Exception:
    """Turn an error of the hub's libraries into one sentence."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for link in chain:
        if isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            return EnvironmentFailure(f'task "{name}": the cache cannot be written: {link.strerror}')
    source = f"the hub dataset {spec.repository}"
    if isinstance(error, UserError):
        return UserError(f'task "{name}": {error}')
    if isinstance(error, RevisionNotFoundError):
        return UserError(f'task "{name}": revision "{revision}" does not exist in {source}')
    if isinstance(error, RepositoryNotFoundError):
        return UserError(f'task "{name}": {source} does not exist, or needs a login')
    if "BuilderConfig" in str(error):
        return UserError(f'task "{name}": {source} has no configuration "{spec.config}" at this revision')
    if any(type(link).__name__ == "DatasetGenerationError" for link in chain):
        return UserError(f'task "{name}": the files of {source} cannot be read as tables')
    return UserError(
        f'task "{name}" is not in the local cache and the hub cannot be reached. '
        "Download it where there is a network, or give a folder as file:DIR."
    )


def _class_names(train: Dataset, spec: HubTask) -> tuple[str, ...]:
    """Return the names the dataset gives its classes, or the table's."""
    names = getattr(train.features.get("label"), "names", None)
    return tuple(names) if names and spec.classes else spec.classes


def _split(name: str, spec: HubTask, part: str, data: Dataset, classes: tuple[str, ...]) -> Split:
    needed = [*spec.texts, "label", *([spec.prefix] if spec.prefix else [])]
    missing = [column for column in needed if column not in data.column_names]
    if missing:
        raise UserError(f'task "{name}": the {part} set of {spec.repository} has no column {missing[0]}')
    columns: dict[str, list[Any]] = {column: list(data[column]) for column in needed}
    labels = np.array([np.nan if label is None else label for label in columns["label"]], dtype=np.float64)
    bad = ~np.isfinite(labels)
    if spec.classes:
        bad |= ~np.isin(labels, np.arange(len(classes)))
    if bad.any():
        row = int(np.argmax(bad))
        allowed = f"a class in [0, {len(classes) - 1}]" if spec.classes else "a finite score"
        raise UserError(
            f'task "{name}": {part} row {row}: label {columns["label"][row]} marks no labelled row; needs {allowed}'
        )
    first = columns[spec.texts[0]]
    if spec.prefix:
        first = [f"{word}: {text}" for word, text in zip(columns[spec.prefix], first, strict=True)]
    return Split(
        ids=tuple(f"{part}-{row}" for row in range(len(labels))),
        first=tuple(first),
        second=tuple(columns[spec.texts[1]]) if len(spec.texts) == 2 else None,
        labels=labels.astype(np.int64) if spec.classes else labels,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars and log lines of the hub's libraries; what matters is said in our own sentences."""
    import datasets
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    levels = datasets.logging.get_verbosity(), logging.get_verbosity()
    shown = not datasets.are_progress_bars_disabled(), not are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(levels[0])
        logging.set_verbosity(levels[1])
        if shown[0]:
            datasets.enable_progress_bars()
        if shown[1]:
            enable_progress_bars()
