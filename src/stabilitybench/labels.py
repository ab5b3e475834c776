"""Labels: which values stand for a class or a score, what a class is called, and in which order classes are numbered.

Tasks read the cells of files, one at a time; the theory reads whole arrays of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, shown

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

#: The classes of inference tasks, in the order in which everybody numbers them.
INFERENCE = ("entailment", "neutral", "contradiction")


# -- cells of a file ----------------------------------------------------------------------------------------------


def is_blank(value: object) -> bool:
    """Tell whether a cell holds nothing.

    Parameters
    ----------
    value : object
        The cell: None and text of white space hold nothing.

    Examples
    --------
    >>> is_blank(None), is_blank("  "), is_blank(0)
    (True, True, False)
    """
    return value is None or (isinstance(value, str) and not value.strip())


def class_name(value: object) -> str:
    """Return what a class is called: 1, 1.0, "1" and " 1" are one class; None, NaN and blanks have no name ("").

    Parameters
    ----------
    value : object
        A cell, or a class as a caller names it.

    Examples
    --------
    >>> class_name(1.0), class_name(" 1"), class_name(True), class_name(float("nan"))
    ('1', '1', 'True', '')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the order of their numbers: whole numbers by size, inference as usual, others by letter.

    Parameters
    ----------
    names : iterable of str
        Names of classes; one that occurs often counts once.

    Examples
    --------
    >>> class_order(["10", "9"]), class_order(["yes", "no"]), class_order(["neutral", "contradiction", "entailment"])
    (('9', '10'), ('no', 'yes'), ('entailment', 'neutral', 'contradiction'))
    """
    apart = set(names)
    if apart == set(INFERENCE):
        return INFERENCE
    try:
        return tuple(sorted(apart, key=int))
    except ValueError:
        return tuple(sorted(apart))


def is_fraction(name: str) -> bool:
    """Tell whether what should name a class is a number between whole ones, and so a score.

    Parameters
    ----------
    name : str
        The name, as `class_name` gives it.

    Examples
    --------
    >>> is_fraction("0.5"), is_fraction("2"), is_fraction("yes")
    (True, False, False)
    """
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def score(value: Any) -> float | None:
    """Return a cell as a finite score; None where it is none.

    Parameters
    ----------
    value : object
        The cell: a number, or text that reads as one; truth values are no scores.

    Examples
    --------
    >>> score("0.5"), score(True), score("inf")
    (0.5, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


# -- arrays of numbers --------------------------------------------------------------------------------------------


def signs(y: npt.ArrayLike, count: int) -> Floats:
    """Return binary labels, given as {0, 1} or {-1, 1}, as `count` signs of -1.0 and 1.0.

    Parameters
    ----------
    y : array_like, shape (n,)
        The labels, of both classes.
    count : int
        How many there must be: the rows of x.

    Raises
    ------
    UserError
        For other labels, another length, or a single class.

    Examples
    --------
    >>> signs([0, 1, 1], 3).tolist()
    [-1.0, 1.0, 1.0]
    """
    labels = _one_each(y, count)
    values = np.unique(labels)
    if len(values) == 1 and values[0] in (-1, 0, 1):
        raise UserError(f"y holds the single class {values[0]:g}: two classes are needed")
    if values.tolist() not in ([0, 1], [-1, 1]):
        raise UserError(f"y holds {shown(values.tolist(), 80)}: binary labels must be 0 and 1, or -1 and 1")
    return np.where(labels > 0, 1.0, -1.0)


def classes(y: npt.ArrayLike, count: int) -> Ints:
    """Return `count` integer labels as classes 0 .. C - 1, in increasing order of the labels, C >= 2.

    Parameters
    ----------
    y : array_like, shape (n,)
        The labels, whole numbers of at least two values.
    count : int
        How many there must be: the rows of x.

    Raises
    ------
    UserError
        For labels that are not whole numbers, another length, or a single class.

    Examples
    --------
    >>> classes([7, 3, 7], 3).tolist()
    [1, 0, 1]
    """
    labels = _one_each(y, count)
    if not np.all(labels == np.round(labels)):
        raise UserError("y holds a label that is not a whole number: class labels must be whole numbers")
    values, places = np.unique(labels, return_inverse=True)
    if len(values) == 1:
        raise UserError(f"y holds the single class {values[0]:g}: at least two classes are needed")
    return np.asarray(places, dtype=np.intp)


def targets(y: npt.ArrayLike, count: int) -> Floats:
    """Return `count` finite real targets.

    Parameters
    ----------
    y : array_like, shape (n,)
        The targets.
    count : int
        How many there must be: the rows of x.

    Raises
    ------
    UserError
        For another length, or values that are not finite.

    Examples
    --------
    >>> targets([0.5, 2], 2).tolist()
    [0.5, 2.0]
    """
    return _one_each(y, count)


def numbers(values: npt.ArrayLike, name: str) -> Floats:
    """Return an array of real numbers as float64.

    Parameters
    ----------
    values : array_like
        Real numbers of any shape; truth values count as 0 and 1.
    name : str
        What messages call them.

    Raises
    ------
    UserError
        For text, complex numbers, NaN or infinity.

    Examples
    --------
    >>> numbers([True, 2], "y").tolist()
    [1.0, 2.0]
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError
        array = np.array(array, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise UserError(f"{name} holds something that is not a real number: only finite numbers are allowed") from None
    if not np.all(np.isfinite(array)):
        raise UserError(f"{name} holds NaN or infinity: only finite numbers are allowed")
    return array


def _one_each(y: npt.ArrayLike, count: int) -> Floats:
    labels = numbers(y, "y")
    if labels.shape != (count,):
        raise UserError(f"y has shape {labels.shape}: must hold one label for each of the {count} rows of x")
    return labels
