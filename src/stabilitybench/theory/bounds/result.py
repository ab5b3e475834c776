"""What a bound returns: its value, what it limits, and on which assumptions, each checked or taken on trust."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, shown
from stabilitybench.theory.checks import choice

Floats = npt.NDArray[np.float64]
#: How the loss without sample i is weighted: every other sample keeps 1/n, or they share 1/(n-1).
Weight = Literal["1/n", "1/(n-1)"]
#: "every i": holds for each left-out sample; "average over i": for their mean; "expectation": over random draws.
Scope = Literal["every i", "average over i", "expectation"]

PUBLISHED = "as recalled from the paper's abstract and reconstruction; constants unverified (arXiv 2301.09820)"
PROVEN = "proved and checked numerically for this project"

#: A measured value counts as a violation beyond bound * (1 + RELATIVE) + ABSOLUTE: rounding in float64, no more.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
#: Rounding of the two margins under a square root, which would otherwise turn a tiny distance into zero.
ROUNDING = 64 * float(np.finfo(np.float64).eps)


class Assumption(NamedTuple):
    """What must hold for the bound.

    An assumption that was checked and fails gives no bound at all: the function raises UserError.

    Attributes
    ----------
    text : str
        The condition.
    checked : bool or None
        True where it was checked on the data, None where it is trusted.
    """

    text: str
    checked: bool | None


@dataclass(frozen=True, eq=False)
class Bound:
    """A bound with its assumptions.

    Attributes
    ----------
    name : str
        Short name, such as "B3, closed form".
    quantity : str
        The measured quantity that it limits, in words.
    values : ndarray, shape (k,)
        The bound at each of `steps`; one number where it does not depend on the step.  Where there are bounds for every
        sample, their average over i.
    scope : {"every i", "average over i", "expectation"}
        For which i the values hold.
    assumptions : tuple of Assumption
        Each with how it was checked.
    source : str
        Whose statement this is.
    steps : tuple of int
        The k numbers of gradient steps, empty where the bound holds for every step or for the limit.
    per_sample : ndarray, shape (k, n), or None
        Bounds for each left-out sample.
    trivial : float
        The largest value that the quantity can have at all (2 for directions), or infinity.
    parts : mapping of str to float
        Named terms of the sum, where the bound is one.

    Examples
    --------
    >>> bound = Bound("example", "a distance", np.array([0.5]), "every i", (Assumption("n >= 2", True),), PROVEN)
    >>> float(bound), bound.vacuous
    (0.5, False)
    """

    name: str
    quantity: str
    values: Floats
    scope: Scope
    assumptions: tuple[Assumption, ...]
    source: str
    steps: tuple[int, ...] = ()
    per_sample: Floats | None = None
    trivial: float = math.inf
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The bound at the last (or only) step."""
        return float(self.values[-1])

    @property
    def vacuous(self) -> bool:
        """True when the value says nothing that was not known before."""
        return self.value >= self.trivial

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        marks = {True: "checked", None: "not checked", False: "fails"}
        lines = [f"{self.name}: {self.quantity} <= {self.value:.4g}{' (vacuous)' if self.vacuous else ''}"]
        lines += [f"  {self.scope}; {self.source}"]
        lines += [f"  assumes {item.text} ({marks[item.checked]})" for item in self.assumptions]
        return "\n".join(lines)


def violated(measured: npt.ArrayLike, bound: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return where a measured value exceeds its bound by more than rounding in float64, or either is no number.

    Parameters
    ----------
    measured : array_like
        Measured values.
    bound : array_like
        Their bounds, of a shape that broadcasts with `measured`.

    Returns
    -------
    ndarray of bool
        True where measured > bound (1 + 1e-9) + 1e-12.

    Examples
    --------
    >>> violated([1.0, 1.1], 1.0).tolist()
    [False, True]
    """
    found, limit = _reals("measured", measured), _reals("bound", bound)
    try:
        held: npt.NDArray[np.bool_] = found <= limit * (1 + RELATIVE) + ABSOLUTE
    except ValueError:
        raise UserError(f"bound has shape {limit.shape}: must fit that of measured, {found.shape}") from None
    return np.asarray(~held)  # what is no number holds nothing


def _reals(name: str, values: npt.ArrayLike) -> Floats:
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biufO":
            raise TypeError
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name} = {shown(values)}: must be numbers") from None


def chord(sine: npt.ArrayLike) -> Floats:
    """Return the largest distance of two unit vectors whose angle has at most this sine and is at most 90 degrees.

    sqrt(2 (1 - sqrt(1 - a^2))), written so that small a keep their digits.

    Parameters
    ----------
    sine : array_like
        a, at least 0; above 1 counts as 1.

    Returns
    -------
    ndarray
        Between 0 and sqrt(2), of the shape of `sine`.

    Examples
    --------
    >>> chord([0.0, 1.0]).round(4).tolist()
    [0.0, 1.4142]
    """
    a = np.minimum(np.asarray(sine, dtype=np.float64), 1.0)
    result: Floats = a * np.sqrt(2 / (1 + np.sqrt(1 - a**2)))
    return result


def direction(distance: npt.ArrayLike, norm: npt.ArrayLike) -> Floats:
    """Return how far apart w / ||w|| and w' / ||w'|| can be when ||w - w'|| <= distance and ||w|| = norm.

    w' lies in a ball around w; where the ball leaves out the origin the angle has sine distance / norm, otherwise
    nothing is known and the result is 2.  At most 2 distance / (2 norm - distance) [1]_.

    Parameters
    ----------
    distance : array_like
        Bounds of ||w - w'||.
    norm : array_like
        Norms of w, of a shape that broadcasts with `distance`.

    Returns
    -------
    ndarray
        Between 0 and 2.

    References
    ----------
    .. [1] C. F. Dunkl and K. S. Williams (1964), "A simple norm inequality", American Mathematical Monthly 71:53.

    Examples
    --------
    >>> direction([0.1, 1.0], [1.0, 1.0]).round(4).tolist()
    [0.1001, 2.0]
    """
    far, length = np.broadcast_arrays(np.asarray(distance, dtype=np.float64), np.asarray(norm, dtype=np.float64))
    inside = far < length
    return np.where(inside, chord(np.divide(far, length, out=np.ones(far.shape), where=inside)), 2.0)


def check_weight(owner: str, weight: object) -> None:
    """Raise UserError unless `weight` names one of the two weightings.

    Parameters
    ----------
    owner : str
        Bound that the error names.
    weight : object
        "1/n" or "1/(n-1)".
    """
    choice(owner, "weight", weight, get_args(Weight))


def one(value: float) -> Floats:
    """Return a bound that is one number as the array that `Bound` holds.

    Parameters
    ----------
    value : float
        The bound.

    Returns
    -------
    ndarray, shape (1,)
        float64.
    """
    return np.array([value], dtype=np.float64)
