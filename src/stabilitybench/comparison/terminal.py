"""The summary of a comparison in the terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from stabilitybench.comparison.tables.cells import caption, failed, ratio
from stabilitybench.documents import formats
from stabilitybench.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.comparison.model import ArmResult, Comparison

STYLES = {"better": "green", "worse": "red", "neutral": ""}
DETECTABLE = (
    "Detectable: what the test shows in 80 of 100 studies with these numbers of runs, after Holm; seeds that would be "
    "needed are for an effect of exactly the size seen."
)
HEADS = ("arm", "failed", "mean ± SD", "SD ratio [95 %]")


def print_comparison(comparison: Comparison, console: Console) -> None:
    r"""Print a block of verdicts per task, and below them what the numbers are.

    Names come from users: they are printed as plain text, never as markup nor as commands to the terminal.

    Parameters
    ----------
    comparison : Comparison
        As `compare` returns it.
    console : Console
        Where to print; in a narrow one the verdicts wrap, never the numbers.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from rich.console import Console
    >>> from stabilitybench.comparison import compare_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = [Path(folder, name) for name in ("one.csv", "two.csv")]
    ...     for file in files:
    ...         _ = file.write_text("score\n0.61\n0.48\n")
    ...     comparison, _ = compare_files(files)
    >>> print_comparison(comparison, Console(width=100))  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    unnamed task
    arm  failed   mean ± SD  SD ratio [95 %]  verdict
    one     ?/2  54.5 ± 9.2       (baseline)
    two     ?/2  54.5 ± 9.2             1.00  not compared: this arm has 2 finished runs, fewer than 3
    ...
    """
    from rich.table import Table
    from rich.text import Text

    rows = [_row(cell) for cell in comparison.cells]
    widths = [max(len(row[place]) for row in (HEADS, *rows)) for place in range(len(HEADS))]
    several = len({c.encoder for c in comparison.cells}) > 1
    for (encoder, task), cells in groupby(comparison.cells, key=lambda c: (c.encoder, c.task)):
        block = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        block.add_column(HEADS[0], min_width=min(widths[0], 16), overflow="fold")
        for head, width in zip(HEADS[1:], widths[1:], strict=True):
            # numbers never wrap: in a narrow terminal the verdict does
            block.add_column(head, justify="right", min_width=width, no_wrap=True)
        block.add_column("verdict")
        for cell in cells:
            said = cell.verdict
            words = Text(said.brief, style=STYLES[said.tone])
            told = cell.conclusion.removeprefix(f"{said.claim}: ")
            if told:
                words.append(
                    f"\n{told}" + (f" (detectable: {said.detectable})" if said.detectable else ""), style="dim"
                )
            block.add_row(*(Text(entry) for entry in _row(cell)), words)
        console.print(Text(printable(f"{task} with {encoder}" if several else task), style="bold"))
        console.print(block)
        console.print()
    console.print(Text(printable(caption(comparison, comparison.varied, comparison.fixed)), style="dim"))
    if any(c.against for c in comparison.cells):
        console.print(Text(DETECTABLE, style="dim"))
    for note in comparison.notes:
        console.print(Text(printable(f"note: {note}"), style="yellow"))


def _row(cell: ArmResult) -> tuple[str, str, str, str]:
    return printable(cell.arm), failed(cell).text, formats.mean_sd(cell.mean, cell.sd), ratio(cell).text
