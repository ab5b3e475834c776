"""A task at a glance in the terminal, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from stabilitybench.documents.formats import points
from stabilitybench.encoders import load_encoder
from stabilitybench.errors import UserError, suggest
from stabilitybench.printing import printable
from stabilitybench.tasks import load_task, task_catalogue
from stabilitybench.tasks.inspect import Duplicates, TaskReport, inspect_task

if TYPE_CHECKING:
    from rich.console import Console


def print_task(name: str, metric: str | None, encoder: str | None, console: Console) -> None:
    """Print rows, classes, lengths, no-skill scores and duplicates of a task.

    Parameters
    ----------
    name : str
        Name of a task, or a folder with or without ``file:``.
    metric : str or None
        The headline metric instead of the task's own.
    encoder : str or None
        The encoder in whose tokens lengths are counted; None counts words.
    console : Console
        Where to print.

    Raises
    ------
    UserError
        For a task, metric or encoder that is not known or cannot be read.
    """
    known = [task for task, _ in task_catalogue()]
    if _is_folder(name):
        name = f"file:{name}"
    elif name not in known and not name.startswith("file:"):
        raise UserError(
            f'inspect "{name}": neither a folder nor a task; `stabilitybench list tasks` names the tasks'
            f"{suggest(name, known)}"
        )
    task = load_task(name, metric=metric)
    report = inspect_task(task, count_tokens=None if encoder is None else _token_counter(encoder))
    kind = f"{len(task.classes)} classes" if task.classes else "regression"
    console.print(Text(printable(f"{report.name}: {kind}, scored by {report.headline}")), soft_wrap=True)
    console.print(_splits(report))
    for found in report.duplicates:
        for line in _duplicates(found):
            console.print(line, soft_wrap=True)
    if not report.duplicates:
        console.print("no text stands twice, within a split or between two")
    for note in report.notes:
        console.print(Text(printable(f"note: {note}")), soft_wrap=True)
    console.print(Text(f"fingerprint {report.fingerprint[:16]}", style="dim"))


def _is_folder(name: str) -> bool:
    return not name.startswith("file:") and (name.startswith((".", "/", "~")) or Path(name).is_dir())


def _token_counter(encoder: str) -> Callable[[str, str | None], int]:
    tokenizer = load_encoder(encoder).tokenizer()

    def count(first: str, second: str | None) -> int:
        return len(tokenizer(first, second, truncation=False, verbose=False)["input_ids"])

    return count


def _splits(report: TaskReport) -> Table:
    regression = report.kind == "regression"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("split")
    table.add_column("rows", justify="right")
    table.add_column("lowest, mean, highest score" if regression else "classes", overflow="fold")
    table.add_column(f"{report.unit}: median, 95 %, longest", justify="right")
    table.add_column("no skill", justify="right")
    for split in report.splits:
        held = ", ".join(f"{printable(name)} {rows} ({rows / split.rows:.0%})" for name, rows in split.classes.items())
        if split.scores is not None:
            held = ", ".join(f"{value:.2f}" for value in split.scores)
        lengths = f"{split.lengths.median:.0f}, {split.lengths.percentile_95:.0f}, {split.lengths.maximum}"
        table.add_row(*map(Text, (split.name, str(split.rows), held, lengths, points(split.no_skill))))
    return table


def _duplicates(found: Duplicates) -> list[Text]:
    rows = "1 row" if found.rows == 1 else f"{found.rows} rows"
    where = f"within {found.left}" if found.left == found.right else f"of {found.right} that stand in {found.left} too"
    conflict = f", {found.conflicting} with another label" if found.conflicting else ""
    shown = [Text(f"  {_short(text)}", style="dim") for text in found.examples]
    return [Text(f"duplicates: {rows} {where}{conflict}, such as", style="yellow"), *shown]


def _short(text: str, width: int = 100) -> str:
    return printable(text if len(text) <= width else text[: width - 3] + "...")
