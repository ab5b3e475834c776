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

    Attributes
    ----------
    text : str
        What is printed; it starts with `lead`.
    order : float or None
        The number it is sorted by; None sorts by the text.
    lead : str, default ""
        The words to stress.
    tone : {"better", "worse", "neutral"}
        What it speaks for, by its colour.
    """

    text: str
    order: float | None = None
    lead: str = ""
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are set to the right, sentences may wrap.

    Attributes
    ----------
    key : str
        By which rows address it.
    title : str
        Its head.
    numeric : bool, default False
        Whether it holds numbers.
    wraps : bool, default False
        Whether it holds sentences.
    """

    key: str
    title: str
    numeric: bool = False
    wraps: bool = False


Row = Mapping[str, TableCell]


@dataclass(frozen=True)
class Table:
    """A table with the caption that says n, metric, direction, what varied and what was fixed.

    Attributes
    ----------
    key : str
        Names the table in links and in LaTeX.
    title : str
        Its heading.
    caption : str
        What the numbers are.
    columns : tuple of Column
        In the order to print, each with a key of its own.
    rows : tuple of mapping of str to TableCell
        Cells by the keys of the columns; every row has exactly these keys.
    stacked : bool, default False
        Whether narrow screens show each row as a block.

    Raises
    ------
    UserError
        For two columns of one key, and for a row with other keys than the columns have.

    Examples
    --------
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
        """Return the cells of a row in the order of the columns.

        Parameters
        ----------
        row : mapping of str to TableCell
            One of `rows`.
        """
        return tuple(row[column.key] for column in self.columns)


def numeric(**titles: str) -> tuple[Column, ...]:
    """Return columns of numbers.

    Parameters
    ----------
    **titles : str
        The head of each column, by its key.
    """
    return tuple(Column(key, title, numeric=True) for key, title in titles.items())


def texts(**titles: str) -> tuple[Column, ...]:
    """Return columns of short texts.

    Parameters
    ----------
    **titles : str
        The head of each column, by its key.
    """
    return tuple(Column(key, title) for key, title in titles.items())


def sentences(**titles: str) -> tuple[Column, ...]:
    """Return columns of texts that may wrap.

    Parameters
    ----------
    **titles : str
        The head of each column, by its key.
    """
    return tuple(Column(key, title, wraps=True) for key, title in titles.items())


def score(value: float | None) -> TableCell:
    """Return the cell of a score in points.

    Parameters
    ----------
    value : float or None
        A fraction; None and NaN are printed as absent.
    """
    return TableCell(formats.points(value), value if value is not None and value == value else None)


def count(value: int | None) -> TableCell:
    """Return the cell of a whole number.

    Parameters
    ----------
    value : int or None
        None is printed as absent.
    """
    return TableCell(formats.ABSENT if value is None else str(value), value)


def share(value: float | None) -> TableCell:
    """Return the cell of a share in per cent.

    Parameters
    ----------
    value : float or None
        A fraction; None is printed as absent.
    """
    return TableCell(formats.percent(value), value)


def span(values: Iterable[int]) -> str:
    """Print the range of some numbers.

    Parameters
    ----------
    values : iterable of int
        At least one.

    Examples
    --------
    >>> span([20, 20]), span([20, 18, 19])
    ('20', '18 to 20')
    """
    seen = sorted(set(values))
    return f"{seen[0]}" if len(seen) == 1 else f"{seen[0]} to {seen[-1]}"
