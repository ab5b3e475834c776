"""The summary of a comparison in the terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from stabilitybench.comparison.tables.cells import caption, failed
from stabilitybench.documents import formats
from stabilitybench.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.comparison.model import ArmResult, BaselineContrast, Comparison

STYLES = {"better": "green", "worse": "red", "neutral": ""}
NUMBERS = (
    "Three lines per arm: how often runs fail, how far they scatter (mean distance to the median over the baseline's, "
    "below 1 closer together), how good they are. Intervals: 95 %, each the inverse of its test before Holm's "
    "adjustment. Would have shown: in 80 of 100 studies with these numbers of runs, after Holm."
)
HEADS = ("arm", "failed", "mean ± SD")


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
    ...     for file, scores in zip(files, ("0.61\n0.48", "0.64\n0.66")):
    ...         _ = file.write_text(f"score\n{scores}\n")
    ...     comparison, _ = compare_files(files)
    >>> print_comparison(comparison, Console(width=100))  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    unnamed task
    arm  failed   mean ± SD  verdict against one
    one     ?/2  54.5 ± 9.2
    two     ?/2  65.0 ± 1.4  failures not compared: failed runs are not known
                             spread not tested: 2 runs of this arm, 7 needed
                             level not tested: 2 of 2 above all 2 of the baseline, by chance in 1 of 6 (higher
                             by 10.5 points)
                             independent runs (no seeds known)
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
        block.add_column(Text(printable(f"verdict against {comparison.baseline}")))
        for cell in cells:
            words = Text()
            for line in cell.verdict.lines if cell.verdict else ():
                words.append(f"{line.text}\n", style=STYLES[line.tone])
                if line.detectable:
                    words.append(f"  would have shown {line.detectable}\n", style="dim")
            if cell.against is not None:
                words.append(_compared(cell.against), style="dim")
            block.add_row(*(Text(entry) for entry in _row(cell)), words)
        console.print(Text(printable(f"{task} with {encoder}" if several else task), style="bold"))
        console.print(block)
        console.print()
    console.print(Text(printable(caption(comparison, comparison.varied, comparison.fixed)), style="dim"))
    if any(c.against for c in comparison.cells):
        console.print(Text(NUMBERS, style="dim"))
    for note in comparison.notes:
        console.print(Text(printable(f"note: {note}"), style="yellow"))


def _compared(against: BaselineContrast) -> str:
    if against.correlation is None:
        return against.pairing.reason
    return f"{against.pairing.reason}, correlation {against.correlation:.2f}"


def _row(cell: ArmResult) -> tuple[str, str, str]:
    return printable(cell.arm), failed(cell).text, formats.mean_sd(cell.mean, cell.sd)
