"""What a table is made of: columns, rows of entries, and the caption that says what the numbers are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.comparison.verdicts import Tone
from stabilitybench.documents import formats

if TYPE_CHECKING:
    from stabilitybench.comparison.analysis import ArmResult, Comparison


@dataclass(frozen=True)
class TableCell:
    """One entry of a table.

    text : what is printed; it starts with `lead`, the words to stress.
    order : the number it is sorted by, or None to sort by the text.
    """

    text: str
    order: float | None = None
    lead: str = ""
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Column:
    """Head of a column; numbers are set to the right, sentences may wrap."""

    title: str
    numeric: bool = False
    wraps: bool = False


@dataclass(frozen=True)
class Table:
    """A table with the caption that says n, metric, direction, what varied and what was fixed."""

    key: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]


def place(comparison: Comparison, cell: ArmResult) -> tuple[TableCell, ...]:
    """Return the entries that name a cell; the encoder only where there are several."""
    named = (TableCell(cell.task), TableCell(cell.arm))
    return (TableCell(cell.encoder), *named) if several_encoders(comparison) else named


def place_columns(comparison: Comparison) -> tuple[Column, ...]:
    """Return the columns of `place`."""
    named = (Column("task"), Column("arm"))
    return (Column("encoder"), *named) if several_encoders(comparison) else named


def several_encoders(comparison: Comparison) -> bool:
    """Tell whether encoders need names."""
    return len({c.encoder for c in comparison.cells}) > 1


def numeric(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(t, numeric=True) for t in titles)


def score(value: float | None) -> TableCell:
    """Return a score in points."""
    return TableCell(formats.points(value), value if value is not None and value == value else None)


def count(value: int | None) -> TableCell:
    """Return a whole number."""
    return TableCell(formats.ABSENT if value is None else str(value), value)


def share(value: float | None) -> TableCell:
    """Return a share in per cent."""
    return TableCell(formats.percent(value), value)


def span(values: Iterable[int]) -> str:
    """Return "20", or "18 to 20"."""
    seen = sorted(set(values))
    return f"{seen[0]}" if len(seen) == 1 else f"{seen[0]} to {seen[-1]}"
