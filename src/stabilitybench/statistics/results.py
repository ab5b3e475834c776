"""What goes into a test and what comes out: checked samples, and results that can be undefined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import count, generator, inside
from stabilitybench.errors import UserError, shown

Floats = npt.NDArray[np.float64]

# differences of scores beyond this size would overflow
LARGEST = 1e100
# more draws than these would take hours, and no p-value needs them
MOST_DRAWS = 10**8


@dataclass(frozen=True)
class TestResult:
    """Outcome of one hypothesis test.

    Attributes
    ----------
    statistic : float or None
        The test statistic; None when the test is undefined.
    p : float or None
        The p-value, in [0, 1]; None when the test is undefined.
    defined : bool
        False when the data admit no test.
    reason : str
        Why they do not; empty otherwise.
    """

    __test__: ClassVar[bool] = False  # pytest collects classes by this name

    statistic: float | None
    p: float | None
    defined: bool
    reason: str

    @classmethod
    def of(cls, statistic: float, p: float) -> TestResult:
        """Return a defined outcome.

        Parameters
        ----------
        statistic : float
            The test statistic.
        p : float
            The p-value; rounding error beyond [0, 1] is cut off.
        """
        return cls(float(statistic), min(max(float(p), 0.0), 1.0), True, "")

    @classmethod
    def undefined(cls, reason: str) -> TestResult:
        """Return the outcome of a test that the data do not admit.

        Parameters
        ----------
        reason : str
            Why they do not.
        """
        return cls(None, None, False, reason)


@dataclass(frozen=True)
class Estimate:
    """One number with its confidence interval.

    Attributes
    ----------
    estimate : float or None
        The number; None where the data do not define it.
    low, high : float or None
        The limits, both None when there is no interval.
    method : str
        How the interval was made.
    note : str
        Why the estimate or its interval is missing; empty when both are there.
    """

    estimate: float | None
    low: float | None
    high: float | None
    method: str
    note: str

    @property
    def has_interval(self) -> bool:
        """True when `low` and `high` are numbers."""
        return self.low is not None and self.high is not None


def sample(scores: npt.ArrayLike, name: str) -> Floats:
    """Return scores as a vector.

    Parameters
    ----------
    scores : array_like, shape (n,)
        One number per run.
    name : str
        What they are, for messages.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Finite float64 numbers.

    Raises
    ------
    UserError
        When they are not one-dimensional numbers, are masked or hold NaN or infinity: a run without a score must be
        counted as a failure or as missing before any statistic is taken, never dropped here.
    """
    values = reals(scores, name, "scores must be numbers")
    if values.ndim != 1:
        raise UserError(f"{name}: {values.ndim}-dimensional array: scores must be one number per run")
    wrong = np.flatnonzero(~(np.abs(values) <= LARGEST))
    if wrong.size:
        if math.isfinite(values[wrong[0]]):
            raise UserError(
                f"{name}: score {int(wrong[0]) + 1} of {values.size} is {values[wrong[0]]}: too large to square"
            )
        raise UserError(
            f"{name}: score {int(wrong[0]) + 1} of {values.size} is {values[wrong[0]]}: scores must be "
            "finite; count a NaN metric as the no-skill score and leave unfinished runs out"
        )
    return values


def stack(scores: npt.ArrayLike, name: str) -> Floats:
    """Return scores as a matrix with one comparison per row.

    Parameters
    ----------
    scores : array_like, shape (comparisons, n)
        One number per run.
    name : str
        What they are, for messages.

    Returns
    -------
    numpy.ndarray, shape (comparisons, n)
        Finite float64 numbers.

    Raises
    ------
    UserError
        As in `sample`.
    """
    values = reals(scores, name, "scores must be numbers, as many in each comparison")
    if values.ndim != 2:
        raise UserError(f"{name}: {values.ndim}-dimensional array: must hold one row of scores per comparison")
    for row in np.flatnonzero(~(np.abs(values) <= LARGEST).all(axis=1))[:1]:
        sample(values[row], f"{name}, row {row + 1}")
    return values


def reals(values: npt.ArrayLike, name: str, allowed: str) -> Floats:
    """Return an array of real numbers, of any shape and size.

    Parameters
    ----------
    values : array_like
        Real numbers.
    name : str
        What they are, for messages.
    allowed : str
        What they must be.

    Returns
    -------
    numpy.ndarray
        As float64; the array itself where it is one already.

    Raises
    ------
    UserError
        For text, complex numbers, rows of different lengths, and masked numbers.

    Examples
    --------
    >>> reals([[1, 2]], "n", "must be numbers").shape
    (1, 2)
    """
    if np.ma.is_masked(values):  # the array beneath would count what was masked away
        raise UserError(f"{name}: holds masked scores: leave them out, or count them, before any statistic is taken")
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biufO":
            raise TypeError
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name}: {shown(values)}: {allowed}") from None


def unit_of(*arms: Floats) -> float:
    """Return a power of 2 about as large as the largest number, 1 where there is none but 0.

    Numbers divided by it keep their digits, and their squares neither overflow nor vanish.

    Parameters
    ----------
    *arms : numpy.ndarray
        Finite numbers.

    Examples
    --------
    >>> unit_of(np.array([0.3, -5.0]), np.array([1.0]))
    8.0
    """
    largest = max((float(np.abs(x).max()) for x in arms if x.size), default=0.0)
    return math.ldexp(1.0, max(math.frexp(largest)[1], -1022)) if largest else 1.0


def paired_samples(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, names: tuple[str, str] = ("arm", "baseline")
) -> tuple[Floats, Floats]:
    """Return two vectors of equal length, run i of one paired with run i of the other.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        One number per run.
    names : tuple of str, default ("arm", "baseline")
        What they are, for messages.

    Returns
    -------
    first, second : numpy.ndarray, shape (n,)
        Finite float64 numbers.

    Raises
    ------
    UserError
        As in `sample`, and for unequal lengths.
    """
    first, second = sample(arm, names[0]), sample(baseline, names[1])
    if first.size != second.size:
        said = f"{first.size} scores of the {names[0]} and {second.size} of the {names[1]}"
        raise UserError(f"{said}: pairs need as many of each, in order")
    return first, second


def is_constant(values: Floats) -> bool:
    """Tell whether all values are equal: the SD of equal values need not be 0 after rounding.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        Scores; none count as equal.
    """
    return values.size == 0 or bool(np.all(values == values[0]))


def check_draws(rng: np.random.Generator | None, draws: int, name: str = "draws") -> None:
    """Refuse what is no random generator, or too few draws for a limit at 5 %.

    Parameters
    ----------
    rng : numpy.random.Generator or None
        What the draws come from.
    draws : int
        How many, at least 99.
    name : str, default "draws"
        The argument that says so, for the message.

    Raises
    ------
    UserError
        For anything else.
    """
    generator("rng", rng)
    count(name, draws, 99, MOST_DRAWS)


def check_level(level: float) -> float:
    """Return a confidence level.

    Parameters
    ----------
    level : float
        In (0, 1).

    Raises
    ------
    UserError
        For anything else.
    """
    return inside("level", level, 0, 1, "0.95")
