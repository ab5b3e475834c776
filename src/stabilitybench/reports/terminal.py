"""The summary of a comparison in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.reports.tables import caption, summary

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.reports.comparison import Comparison

STYLES = {"better": "green", "worse": "red", "neutral": ""}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the table of verdicts, each task named once, and below it what the numbers are.

    Names come from users: they are printed as plain text, never as markup.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = summary(comparison, caption(comparison, comparison.varied, comparison.fixed))
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in table.columns:
        grid.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold")
    places = len(table.columns) - 5  # every column left of the arm
    before: tuple[str, ...] = ()
    for row in table.rows:
        place = tuple(entry.text for entry in row[:places])
        if before and place != before:
            grid.add_row()
        shown = ["" if place == before and i < places else entry.text for i, entry in enumerate(row)]
        grid.add_row(*(Text(t, style=STYLES[e.tone]) for t, e in zip(shown, row, strict=True)))
        before = place
    console.print(grid)
    console.print(Text(table.caption, style="dim"))
    for note in comparison.notes:
        console.print(Text(f"note: {note}", style="yellow"))
