"""``predictions.parquet``: what a run predicted, one row for each split, checkpoint and text."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.storage.foreign import open_foreign

if TYPE_CHECKING:
    import pandas as pd

WORDS = ("split", "checkpoint", "row")
PARTS = frozenset(itertools.product(("validation", "test"), ("last", "best")))


def columns(outputs: int) -> tuple[str, ...]:
    """Return the names of the columns.

    Parameters
    ----------
    outputs : int
        Width of the head.

    Examples
    --------
    >>> columns(2)
    ('split', 'checkpoint', 'row', 'label', 'logit_0', 'logit_1')
    """
    return (*WORDS, "label", *(f"logit_{k}" for k in range(outputs)))


def looks_whole(path: Path, outputs: int) -> bool:
    """Tell whether a file begins and ends as Parquet does, with these columns: a look that costs microseconds.

    It finds a cut or emptied file and another table; what its pages hold is told by `read_predictions`.

    Parameters
    ----------
    path : Path
        The file.
    outputs : int
        Width of the head.
    """
    try:
        with open_foreign(path) as stream:
            head = stream.read(4)
            size = stream.seek(-8, os.SEEK_END)
            length, end = int.from_bytes(stream.read(4), "little"), stream.read(4)
            if not (head == end == b"PAR1" and length <= size):
                return False
            stream.seek(size - length)
            footer = stream.read(length)
    except (OSError, ValueError):
        return False
    return all(name.encode() in footer for name in columns(outputs))


def read_predictions(path: Path, outputs: int) -> pd.DataFrame:
    """Return what a run predicted.

    Parameters
    ----------
    path : Path
        The file.
    outputs : int
        Width of the head.

    Raises
    ------
    ValueError
        Where it is no such table: other columns, other types, or a split or checkpoint without rows.
    OSError
        Where it cannot be read.
    """
    import pandas as pd

    with open_foreign(path) as stream:
        frame = pd.read_parquet(stream)
    if tuple(frame.columns) != columns(outputs):
        raise ValueError("other columns")
    numbers = frame.drop(columns=list(WORDS))
    if not all(dtype.kind in "if" for dtype in numbers.dtypes):
        raise ValueError("other types")
    if {*zip(frame["split"], frame["checkpoint"], strict=True)} != PARTS:
        raise ValueError("other parts")
    return frame
