"""What a table is made of: columns with keys, rows of cells by these keys, and a caption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from stabilitybench.documents import formats
from stabilitybench.errors import UserError

#: Whether something speaks for what the row is about, against it, or neither.
Tone = Literal["better", "worse", "neutral"]


@dataclass(frozen=True)
class TableCell:
    """One cell of a table.

    text : what is printed; it starts with `lead`, the words to stress.
    order : the number it is sorted by, or None to sort by the text.
    """

    text: str
    order: float | None = None
    lead: str = ""
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Column:
    """A column: the key by which it is addressed, and its head; numbers are set to the right, sentences may wrap."""

    key: str
    title: str
    numeric: bool = False
    wraps: bool = False


Row = Mapping[str, TableCell]


@dataclass(frozen=True)
class Table:
    """A table with the caption that says n, metric, direction, what varied and what was fixed.

    rows : cells by the keys of the columns; every row has exactly these keys.
    stacked : whether narrow screens show each row as a block.

    >>> table = Table("t", "Arms", "", texts(arm="arm"), ({"arm": TableCell("plain")},))
    >>> table.rows[0]["arm"].text
    'plain'
    """

    kind: ClassVar[str] = "table"

    key: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    stacked: bool = False

    def __post_init__(self) -> None:
        """Refuse columns of one key, and rows with other keys than the columns have."""
        keys = [column.key for column in self.columns]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise UserError(f'table "{self.key}": two columns have the key "{twice}"; every column needs its own')
        for place, row in enumerate(self.rows, start=1):
            missing, unknown = set(keys) - set(row), set(row) - set(keys)
            if missing or unknown:
                what = f'no cell "{min(missing)}"' if missing else f'a cell "{min(unknown)}" without a column'
                raise UserError(f'table "{self.key}": row {place} has {what}; the columns are {", ".join(keys)}')

    def cells(self, row: Row) -> tuple[TableCell, ...]:
        """Return the cells of a row in the order of the columns."""
        return tuple(row[column.key] for column in self.columns)


def numeric(**titles: str) -> tuple[Column, ...]:
    """Return columns of numbers, a title for each key."""
    return tuple(Column(key, title, numeric=True) for key, title in titles.items())


def texts(**titles: str) -> tuple[Column, ...]:
    """Return columns of short texts, a title for each key."""
    return tuple(Column(key, title) for key, title in titles.items())


def sentences(**titles: str) -> tuple[Column, ...]:
    """Return columns of texts that may wrap, a title for each key."""
    return tuple(Column(key, title, wraps=True) for key, title in titles.items())


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
