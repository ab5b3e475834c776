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
