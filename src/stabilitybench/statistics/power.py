"""How many seeds a claim needs: power of the two main tests, seeds needed, and minimal detectable effects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Floats, check_level, is_constant, sample

#: Where scores are drawn from: a named shape, or the scores of a pilot, which are resampled.
Scores: TypeAlias = Literal["normal", "t4"] | npt.ArrayLike

#: A ratio beyond this counts as never detectable: no study meets it.
LARGEST_RATIO = 100.0
#: No study of this size is planned; a search that reaches it says so.
MOST_SEEDS = 10_000
MOST_SEEDS_FISHER = 1_000
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


@dataclass(frozen=True)
class DetectableRate:
    """The failure rates of an arm that are told from the baseline's with the power asked for.

    Attributes
    ----------
    below, above : float or None
        The largest rate under the baseline's and the smallest over it that are detected. None where no rate is, not
        even 0 or 1.
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
    _positive("sd_ratio", sd_ratio)
    _check(n_arm, n_baseline, level)
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
    scores
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
    _check(n_arm, n_baseline, level, power)
    above = _smallest_ratio(n_arm, n_baseline, level, power, scores)
    inverse = above if n_arm == n_baseline else _smallest_ratio(n_baseline, n_arm, level, power, scores)
    return DetectableRatio(None if inverse is None else 1 / inverse, above, level, power)


def seeds_for_ratio(sd_ratio: float, level: float = 0.05, power: float = 0.8, scores: Scores = "normal") -> int | None:
    """Return the runs per arm from which Brown-Forsythe detects an SD ratio, or None beyond 10,000.

    Parameters
    ----------
    sd_ratio : float
        SD(arm) / SD(baseline), positive and not 1, which no number of seeds can show.
    level
        As in `brown_forsythe_power`.
    power : float, default 0.8
        Probability of detection, in (0, 1).
    scores
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
    _positive("sd_ratio", sd_ratio)
    if sd_ratio == 1:
        raise UserError("sd_ratio = 1: is no difference; must be below or above 1, for example 2")
    _check(3, 3, level, power)
    return _first(lambda n: brown_forsythe_power(sd_ratio, n, n, level, scores) >= power, 3, MOST_SEEDS, after=1)


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
    if n < 2:
        raise UserError(f"n = {n}: an SD needs at least 2 runs")
    check_level(level)
    tail = (1 - level) / 2
    low, high = (math.sqrt((n - 1) / float(stats.chi2.isf(area, n - 1))) for area in (tail, 1 - tail))
    return low, high


def fisher_power(rate_arm: float, rate_baseline: float, n_arm: int, n_baseline: int, level: float = 0.05) -> float:
    """Return the probability that Fisher's exact test (two-sided) rejects equal failure rates, by enumeration.

    Exact up to rounding: the sum of the probabilities of all tables with p <= level.

    Parameters
    ----------
    rate_arm, rate_baseline : float
        True failure probabilities, in [0, 1].
    n_arm, n_baseline : int
        Runs of the two arms, in [1, 1000].
    level : float, default 0.05
        Significance level, in (0, 1).

    Raises
    ------
    UserError
        For an argument out of these ranges.

    Examples
    --------
    >>> round(fisher_power(0.5, 0.05, 20, 20), 2)
    0.89
    """
    _check(n_arm, n_baseline, level)
    for name, rate in (("rate_arm", rate_arm), ("rate_baseline", rate_baseline)):
        if not 0 <= rate <= 1:
            raise UserError(f"{name} = {rate}: must lie in [0, 1]")
    if max(n_arm, n_baseline) > MOST_SEEDS_FISHER:
        raise UserError(f"n = {max(n_arm, n_baseline)}: at most {MOST_SEEDS_FISHER} runs per arm are enumerated")
    rejected = _fisher_p(n_arm, n_baseline) <= level * (1 + 1e-9)  # p = level counts, whatever the last bits say
    first = stats.binom.pmf(np.arange(n_arm + 1), n_arm, rate_arm)
    second = stats.binom.pmf(np.arange(n_baseline + 1), n_baseline, rate_baseline)
    return min(1.0, float(first @ rejected @ second))


def minimal_detectable_rate(
    n_arm: int, n_baseline: int, rate_baseline: float, level: float = 0.05, power: float = 0.8
) -> DetectableRate:
    """Return the failure rates nearest to the baseline's that Fisher's test detects with a given power.

    Parameters
    ----------
    n_arm, n_baseline, rate_baseline, level
        As in `fisher_power`.
    power : float, default 0.8
        Probability of detection, in (0, 1).

    Returns
    -------
    DetectableRate
        On both sides of the baseline's rate.

    Raises
    ------
    UserError
        As in `fisher_power`.

    Examples
    --------
    >>> found = minimal_detectable_rate(20, 20, 0.0)
    >>> print(found.below, f"{found.above:.2f}")
    None 0.31
    """
    _check(n_arm, n_baseline, level, power)

    def reaches(rate: float) -> bool:
        return fisher_power(rate, rate_baseline, n_arm, n_baseline, level) >= power

    def nearest(end: float) -> float | None:
        if rate_baseline == end or not reaches(end):
            return None
        near, far = rate_baseline, end
        while abs(far - near) > 1e-6:
            middle = (near + far) / 2
            near, far = (near, middle) if reaches(middle) else (middle, far)
        return far

    return DetectableRate(nearest(0.0), nearest(1.0), level, power)


def seeds_for_rates(rate_arm: float, rate_baseline: float, level: float = 0.05, power: float = 0.8) -> int | None:
    """Return the runs per arm from which Fisher's test tells two failure rates apart, or None beyond 1,000.

    Parameters
    ----------
    rate_arm, rate_baseline, level
        As in `fisher_power`; the rates must differ.
    power : float, default 0.8
        Probability of detection, in (0, 1).

    Raises
    ------
    UserError
        For equal rates, and as in `fisher_power`.

    Examples
    --------
    >>> seeds_for_rates(0.5, 0.05)
    17
    """
    if rate_arm == rate_baseline:
        raise UserError(f"failure rates {rate_arm} and {rate_baseline}: are equal; must differ")
    _check(3, 3, level, power)

    return _first(lambda n: fisher_power(rate_arm, rate_baseline, n, n, level) >= power, 2, MOST_SEEDS_FISHER, after=5)


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
            raise UserError(f'scores = "{scores}": must be normal, t4, or the scores of a pilot')
        return scores, ()
    pilot = sample(scores, "pilot")
    if is_constant(pilot):
        raise UserError(f"pilot: {pilot.size} scores without spread; must hold at least two that differ")
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


@lru_cache(maxsize=16)
def _fisher_p(n_a: int, n_b: int) -> Floats:
    """Return the two-sided p-value of every table: failed runs of a in rows, of b in columns."""
    p = np.ones((n_a + 1, n_b + 1))
    ways_a, ways_b, ways = (_log_ways(n) for n in (n_a, n_b, n_a + n_b))
    for failed in range(n_a + n_b + 1):
        a = np.arange(max(0, failed - n_b), min(n_a, failed) + 1)
        mass = np.exp(ways_a[a] + ways_b[failed - a] - ways[failed])  # hypergeometric
        order = np.sort(mass)
        # tables as likely as the observed one count, whatever the last bits say
        upto = np.searchsorted(order, mass * (1 + 1e-7), side="right")
        p[a, failed - a] = np.minimum(1.0, np.cumsum(order)[upto - 1])
    return p


def _log_ways(n: int) -> Floats:
    """Return log(n choose k) for k = 0, ..., n."""
    k = np.arange(n + 1)
    ways: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return ways


def _first(reaches: Callable[[int], bool], low: int, most: int, after: int) -> int | None:
    """Return the smallest n in [low, most] that reaches the power and is followed by `after` that do, or None.

    Power grows with n but for small dips: exact tests have steps, and an odd n gives Brown-Forsythe a distance of 0.
    """
    high = low
    while high < most and not reaches(high):
        low, high = high + 1, min(2 * high, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    found = low
    while found <= most:
        dips = [n for n in range(found, min(found + after, most) + 1) if not reaches(n)]
        if not dips:
            return found
        found = dips[-1] + 1
    return None


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name} = {value}: must be a number above 0")


def _check(n_arm: int, n_baseline: int, level: float, power: float = 0.8) -> None:
    for name, n in (("n_arm", n_arm), ("n_baseline", n_baseline)):
        if n < 1:
            raise UserError(f"{name} = {n}: must be at least 1")
        if n > MOST_SEEDS:
            raise UserError(f"{name} = {n}: must be at most {MOST_SEEDS}")
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise UserError(f"{name} = {value}: must lie between 0 and 1")
