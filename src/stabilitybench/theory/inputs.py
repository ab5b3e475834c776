"""Feature rows as the theory takes them: finite numbers."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.labels import numbers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Loss = Literal["logistic", "softmax", "squared"]
#: Sums of squares of larger values overflow, and those of values below its inverse vanish.
LARGEST = 1e150
LOSSES: tuple[Loss, ...] = get_args(Loss)


def features(x: npt.ArrayLike) -> Floats:
    """Return feature rows as finite float64.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Numbers, n >= 2 and d >= 1.

    Returns
    -------
    ndarray, shape (n, d)
        A copy.

    Raises
    ------
    UserError
        For another shape, a single row, or a value that is not a finite number.

    Examples
    --------
    >>> features([[1, 2], [3, 4]]).dtype
    dtype('float64')
    """
    rows = numbers(x, "x")
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise UserError(f"x has shape {rows.shape}: must be [rows, features] with at least one feature")
    if len(rows) < 2:
        raise UserError(f"x has {len(rows)} row: leaving one out needs at least 2")
    return rows


def squarable(x: npt.ArrayLike) -> Floats:
    """Return feature rows whose squares, and the sums of these, are numbers and not all zero by rounding.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Numbers, n >= 2 and d >= 1.

    Returns
    -------
    ndarray, shape (n, d)
        A copy.

    Raises
    ------
    UserError
        As `features`, and for a largest value that is out of this range.

    Examples
    --------
    >>> squarable([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    rows = features(x)
    largest = float(np.abs(rows).max())
    if largest and not 1 / LARGEST <= largest <= LARGEST:
        raise UserError(f"x has values up to {largest:.3g}, whose squares leave the range of numbers: rescale it")
    return rows
