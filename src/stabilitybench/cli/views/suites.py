"""The shipped suites as a list, and suites in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stabilitybench.errors import shown

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.suites import Suite


def suites_headline(suites: Sequence[Suite]) -> str:
    """Return what is to be measured in one line.

    Parameters
    ----------
    suites : sequence of Suite
        At least one.
    """
    total = sum(len(suite.plan()) for suite in suites)
    if len(suites) > 1:
        return f"Suites  {len(suites)} of them, {total} datasets"
    file = suites[0].file
    values, seeds = _count(file.count, "value"), _count(file.datasets, "seed")
    return f"Suite  {file.name}: {values} of {file.axis} x {seeds} = {_count(total, 'dataset')}"


def print_shipped_suites(console: Console) -> None:
    """Print one line for each suite that comes with the package.

    Parameters
    ----------
    console : Console
        Where to print.
    """
    from rich.table import Table
    from rich.text import Text

    from stabilitybench.suites.file import find_suites

    files = find_suites(["all"])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("suite", "factor", "varied", "datasets", "about"):
        table.add_column(head, justify="right" if head == "datasets" else "left")
    for file in files:
        varied = f"{file.axis} = {shown(file.values)}"
        table.add_row(*map(Text, (file.name, file.factor, varied, str(file.count * file.datasets), file.title)))
    console.print(table)
    total = sum(file.count * file.datasets for file in files)
    console.print(Text(f"{len(files)} suites, {total} datasets; run one with `stabilitybench suite run NAME`"))


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
