"""Numeric data as the theory takes it: finite feature rows, and labels in one of three readings."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, shown

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
    rows = _numbers(x, "x")
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise UserError(f"x has shape {rows.shape}: must be [rows, features] with at least one feature")
    if len(rows) < 2:
        raise UserError(f"x has {len(rows)} row: leaving one out needs at least 2")
    return rows


def signs(y: npt.ArrayLike, count: int) -> Floats:
    """Return binary labels as signs of -1.0 and 1.0.

    Parameters
    ----------
    y : array_like, shape (count,)
        Labels {0, 1} or {-1, 1}, both of them met.
    count : int
        Rows that the labels belong to.

    Returns
    -------
    ndarray, shape (count,)
        1.0 for the label 1.

    Raises
    ------
    UserError
        For other labels, another length, or a single class.

    Examples
    --------
    >>> signs([0, 1, 1], 3).tolist()
    [-1.0, 1.0, 1.0]
    """
    labels = _labels(y, count)
    values = np.unique(labels)
    if len(values) == 1 and values[0] in (-1, 0, 1):
        raise UserError(f"y holds the single class {values[0]:g}: two classes are needed")
    if values.tolist() not in ([0, 1], [-1, 1]):
        raise UserError(f"y holds {shown(values.tolist(), 80)}: binary labels must be 0 and 1, or -1 and 1")
    return np.where(labels > 0, 1.0, -1.0)


def classes(y: npt.ArrayLike, count: int) -> Ints:
    """Return whole-number labels as classes 0 .. C - 1, in increasing order of the labels.

    Parameters
    ----------
    y : array_like, shape (count,)
        Whole numbers, at least two different ones.
    count : int
        Rows that the labels belong to.

    Returns
    -------
    ndarray of int, shape (count,)
        Classes.

    Raises
    ------
    UserError
        For labels that are not whole numbers, another length, or a single class.

    Examples
    --------
    >>> classes([7, 3, 7], 3).tolist()
    [1, 0, 1]
    """
    labels = _labels(y, count)
    if not np.all(labels == np.round(labels)):
        raise UserError("y holds a label that is not a whole number: class labels must be whole numbers")
    values, places = np.unique(labels, return_inverse=True)
    if len(values) == 1:
        raise UserError(f"y holds the single class {values[0]:g}: at least two classes are needed")
    return np.asarray(places, dtype=np.intp)


def targets(y: npt.ArrayLike, count: int) -> Floats:
    """Return finite real targets.

    Parameters
    ----------
    y : array_like, shape (count,)
        Numbers.
    count : int
        Rows that the targets belong to.

    Returns
    -------
    ndarray, shape (count,)
        float64.

    Raises
    ------
    UserError
        For another length, or values that are not finite.

    Examples
    --------
    >>> targets([0.5, 2], 2).tolist()
    [0.5, 2.0]
    """
    return _labels(y, count)


def _labels(y: npt.ArrayLike, count: int) -> Floats:
    labels = _numbers(y, "y")
    if labels.shape != (count,):
        raise UserError(f"y has shape {labels.shape}: must hold one label for each of the {count} rows of x")
    return labels


def _numbers(values: npt.ArrayLike, name: str) -> Floats:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError
        array = np.array(array, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{name} holds something that is not a real number: only finite numbers are allowed") from None
    if not np.all(np.isfinite(array)):
        raise UserError(f"{name} holds NaN or infinity: only finite numbers are allowed")
    return array
