"""How many seeds a claim about spread needs: power of Brown-Forsythe, what it can detect, precision of an SD."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.argument_checks import count, number
from stabilitybench.errors import Argument, UserError
from stabilitybench.power.seed_search import MOST_SEEDS, check_design, first_reaching
from stabilitybench.statistics.results import Floats, check_level, is_constant, sample

#: Where scores are drawn from: a named shape, or the scores of a pilot, which are resampled.
Scores: TypeAlias = Literal["normal", "t4"] | npt.ArrayLike

#: A ratio beyond this counts as never detectable: no study meets it.
LARGEST_RATIO = 100.0
_ENTROPY = 5_022_411
#: Simulated arms for up to so many runs.
_ARMS = ((50, 20_000), (200, 6_000), (1_000, 3_000), (MOST_SEEDS, 1_000))


@dataclass(frozen=True)
class DetectableRatio:
    """The SD ratios a comparison detects with the power asked for.

    Attributes
    ----------
    below, above : float or None
        The largest ratio under 1 and the smallest over 1 that are detected. None where no ratio down to 1/100, or up to
        100, is. With equal numbers of runs, below = 1 / above.
    level, power : float
        What was asked for.
    """

    below: float | None
    above: float | None
    level: float
    power: float


def brown_forsythe_power(
    sd_ratio: float, n_arm: int, n_baseline: int, level: float = 0.05, scores: Scores = "normal"
) -> float:
    r"""Return the probability that Brown-Forsythe rejects equal spread, by simulation.

    With :math:`d = |x - \mathrm{median}|`, mean :math:`m` and sum of squares :math:`q` about it, the statistic at ratio
    r is :math:`\frac{n_1 n_2}{N} (r m_1 - m_2)^2 \big/ \frac{r^2 q_1 + q_2}{N - 2}`, so that one simulation of (m, q)
    serves every ratio and level. 20,000 pairs of arms from a fixed seed up to 50 runs (standard error below 0.004),
    fewer beyond (1,000 beyond 1,000 runs): the result is always the same.

    Parameters
    ----------
    sd_ratio : float
        SD(arm) / SD(baseline), positive.
    n_arm, n_baseline : int
        Runs of the two arms, in [1, 10000].
    level : float, default 0.05
        Significance level; give 0.05 / m for the first step of Holm's adjustment over m tests.
    scores : {"normal", "t4"} or array_like, default "normal"
        "t4" is Student's t with 4 degrees of freedom; a pilot's own scores (two or more that differ) are resampled with
        replacement, and both arms then have their shape.

    Returns
    -------
    float
        In [0, 1]; 0 below three runs in an arm, where there is no test.

    Raises
    ------
    UserError
        For an argument out of these ranges.

    Examples
    --------
    >>> round(brown_forsythe_power(2.17, 20, 20), 1)
    0.8
    """
    sd_ratio = _checked_ratio(sd_ratio)
    check_design(n_arm, n_baseline, level)
    if sd_ratio < 1:  # the same draws on the same side: the power of r and 1/r is the same for equal n
        return _power_of(n_baseline, n_arm, level, scores)(1 / sd_ratio)
    return _power_of(n_arm, n_baseline, level, scores)(sd_ratio)


def minimal_detectable_ratio(
    n_arm: int, n_baseline: int, level: float = 0.05, power: float = 0.8, scores: Scores = "normal"
) -> DetectableRatio:
    """Return the SD ratios nearest to 1 that Brown-Forsythe detects with a given power.

    The first call for a number of runs simulates (some 50 ms); further calls take milliseconds.

    Parameters
    ----------
    n_arm, n_baseline, level
        As in `brown_forsythe_power`.
    power : float, default 0.8
        Probability of detection, in (0, 1).
    scores : Scores, default "normal"
        As in `brown_forsythe_power`.

    Returns
    -------
    DetectableRatio
        On both sides of 1.

    Raises
    ------
    UserError
        As in `brown_forsythe_power`.

    Examples
    --------
    >>> found = minimal_detectable_ratio(20, 20)
    >>> print(f"{found.below:.1f} {found.above:.1f}")
    0.5 2.2
    >>> minimal_detectable_ratio(4, 4).above is None
    True
    """
    check_design(n_arm, n_baseline, level, power)
    above = _smallest_ratio(n_arm, n_baseline, level, power, scores)
    inverse = above if n_arm == n_baseline else _smallest_ratio(n_baseline, n_arm, level, power, scores)
    return DetectableRatio(None if inverse is None else 1 / inverse, above, level, power)


def seeds_for_ratio(sd_ratio: float, level: float = 0.05, power: float = 0.8, scores: Scores = "normal") -> int | None:
    """Return the runs per arm from which Brown-Forsythe detects an SD ratio, or None beyond 10,000.

    Parameters
    ----------
    sd_ratio : float
        SD(arm) / SD(baseline), positive and not 1, which no number of seeds can show.
    level : float, default 0.05
        As in `brown_forsythe_power`.
    power : float, default 0.8
        Probability of detection, in (0, 1).
    scores : Scores, default "normal"
        As in `brown_forsythe_power`.

    Raises
    ------
    UserError
        For a ratio of 1, and as in `brown_forsythe_power`.

    Examples
    --------
    >>> 24 <= seeds_for_ratio(2.0) <= 25
    True
    """
    sd_ratio = _checked_ratio(sd_ratio)
    if sd_ratio == 1:
        raise UserError("sd_ratio = 1: is no difference; must be below or above 1, for example 2")
    check_design(3, 3, level, power)
    return first_reaching(
        lambda n: brown_forsythe_power(sd_ratio, n, n, level, scores) >= power, 3, MOST_SEEDS, after=1
    )


def sd_precision(n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the factors that turn the SD of n normal scores into its confidence interval (chi-square).

    Parameters
    ----------
    n : int
        Number of scores, at least 2.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    low, high : float
        Below and above 1.

    Raises
    ------
    UserError
        For an argument out of these ranges.

    Examples
    --------
    >>> low, high = sd_precision(20)
    >>> f"{low:.2f} {high:.2f}"
    '0.76 1.46'
    """
    count("n", n, 2)
    tail = (1 - check_level(level)) / 2
    low, high = (math.sqrt((n - 1) / float(stats.chi2.isf(area, n - 1))) for area in (tail, 1 - tail))
    return low, high


def _power_of(n_larger: int, n_smaller: int, level: float, scores: Scores) -> Callable[[float], float]:
    """Return power as a function of the ratio of the SDs of two arms, r >= 1 times as large in the first."""
    if min(n_larger, n_smaller) < 3:
        return lambda r: 0.0
    name, pilot = _shape(scores)
    means, squares = _distances(n_larger, 0, name, pilot)
    other_means, other_squares = _distances(n_smaller, 1, name, pilot)
    pairs = min(len(means), len(other_means))
    means, squares = means[:pairs], squares[:pairs]
    other_means, other_squares = other_means[:pairs], other_squares[:pairs]
    n = n_larger + n_smaller
    factor = n_larger * n_smaller / n * (n - 2) / float(stats.f.isf(level, 1, n - 2))
    tested = (squares > 0) | (other_squares > 0)  # without any variation of the distances there is no test

    def power(r: float) -> float:
        difference = r * means - other_means
        rejected = factor * difference * difference > r * r * squares + other_squares
        return float(np.count_nonzero(rejected & tested)) / pairs

    return power


def _smallest_ratio(n_larger: int, n_smaller: int, level: float, target: float, scores: Scores) -> float | None:
    power = _power_of(n_larger, n_smaller, level, scores)
    # power can fall again for very large ratios and few runs, so the search starts at 1 and goes up
    grid = np.geomspace(1.0, LARGEST_RATIO, 47)
    high = next((float(r) for r in grid if power(float(r)) >= target), None)
    if high is None:
        return None
    low = high / (grid[1] / grid[0])
    while high / low > 1.0005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if power(middle) >= target else (middle, high)
    return float(high)


def _shape(scores: Scores) -> tuple[str, tuple[float, ...]]:
    if isinstance(scores, str):
        if scores not in ("normal", "t4"):
            raise UserError(Argument("scores", scores), ": must be normal, t4, or the scores of a pilot")
        return scores, ()
    pilot = sample(scores, "scores of the pilot")
    if is_constant(pilot):
        raise UserError(f"scores of the pilot: {pilot.size} without spread; must hold at least two that differ")
    return "pilot", tuple(pilot.tolist())


@lru_cache(maxsize=64)
def _distances(n: int, side: int, name: str, pilot: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Simulate arms of n runs: the mean distance to the median, and the sum of squares about that mean."""
    # detectable ratios vary less with many runs, so that fewer arms tell them as well
    arms = next(count for most, count in _ARMS if n <= most)
    rng = np.random.default_rng(np.random.SeedSequence(_ENTROPY, spawn_key=(side,)))
    size = (n, arms)  # one more run adds a row to the same arms: power grows with n without noise of its own
    if pilot:
        x = rng.choice(np.array(pilot) / (max(pilot) - min(pilot)), size)
    else:
        x = rng.standard_normal(size) if name == "normal" else rng.standard_t(4, size)
    x = np.sort(x.T, axis=1)  # quicker than np.median, and gives it
    x = np.abs(x - (x[:, (n - 1) // 2] + x[:, n // 2])[:, None] / 2)
    means = x.mean(axis=1)
    squares = np.sum((x - means[:, None]) ** 2, axis=1)
    squares[squares <= 1e-24 * n] = 0.0  # distances that are equal but for rounding
    return means, squares


def _checked_ratio(sd_ratio: float) -> float:
    # the squares of more extreme ones leave the floats
    return number(
        "sd_ratio", sd_ratio, "must be a number above 0, from 1e-100 to 1e100", lambda r: 1e-100 <= r <= 1e100
    )
