"""Power of a report's own tests of spread and level, by simulation: to see a difference, in its direction.

Several looks count as one study: it shows a difference where any of its looks does, each at its own level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.power.simulated_studies import MOST_RUNS, Conditions, Flags, Studies, simulated, studies_of
from stabilitybench.statistics.deviation import (
    FEWEST,
    LogRatios,
    log_deviation_ratios,
    paired_log_deviation_ratios,
)
from stabilitybench.statistics.pairing import SHARED
from stabilitybench.statistics.questions import FEWEST_FOR_LEVEL
from stabilitybench.statistics.results import Floats

#: A ratio beyond this counts as never detectable: no study meets it.
LARGEST_RATIO = 100.0


class Look(NamedTuple):
    """One look at a study: runs of either arm, and the level at which its test rejects."""

    arm: int
    baseline: int
    level: float


class Reach(NamedTuple):
    """The effects nearest to none that a study shows with the chance asked for, on either side; None where none is."""

    below: float | None
    above: float | None


def one_look(n: int, level: float) -> tuple[Look, ...]:
    """Return the looks of a study that looks once, with equal numbers of runs.

    Parameters
    ----------
    n : int
        Runs per arm.
    level : float
        Of the test.
    """
    return (Look(n, n, level),)


def spread_power(ratio: float, looks: Sequence[Look], conditions: Conditions) -> float:
    """Return the chance that the test of the deviation ratio shows an arm's spread to differ, in its direction.

    Spread is tested among the runs that did not fail: in pairs where 80 % of these are left, else by Welch.

    Parameters
    ----------
    ratio : float
        Spread of the arm over that of the baseline, above 0.
    looks : sequence of Look
        In order; at most 1,000 runs per arm.
    conditions : Conditions
        What the scores are like.

    Returns
    -------
    float
        In [0, 1], from 1,000 to 4,000 simulated studies, always the same.

    Raises
    ------
    UserError
        For a ratio or looks out of range.

    Examples
    --------
    >>> round(spread_power(0.5, one_look(24, 0.05), Conditions()), 1)
    0.8
    """
    if not (math.isfinite(ratio) and ratio > 0):
        raise UserError(f"ratio = {ratio}: must be a number above 0")
    steps, side = _checked(looks), 1 if ratio >= 1 else -1
    count = _count(steps)
    if conditions.rows is None:
        return float(np.mean(_missing(1.0, side, steps, conditions, count) < abs(math.log(ratio))))
    return float(np.mean(_missing(ratio, side, steps, conditions, count) < 0))


def spread_reach(looks: Sequence[Look], conditions: Conditions, power: float = 0.8) -> Reach:
    """Return the ratios of spread nearest to 1 that a study shows.

    Parameters
    ----------
    looks, conditions
        As in `spread_power`.
    power : float, default 0.8
        Chance with which they are shown, in (0, 1).

    Returns
    -------
    Reach
        None where no ratio down to 1/100, or up to 100, is shown.

    Raises
    ------
    UserError
        As in `spread_power`.

    Examples
    --------
    >>> found = spread_reach(one_look(20, 0.05), Conditions())
    >>> print(f"{found.below:.1f} {found.above:.1f}")
    0.5 2.1
    """
    steps = _checked(looks)

    def log_reach(side: int) -> float | None:
        if conditions.rows is not None:
            # coarse scores: the SD of the arm may fall so low that nothing is left to test, so search from 1 on
            return _first(lambda log: spread_power(math.exp(side * log), steps, conditions) >= power)
        missing = np.sort(_missing(1.0, side, steps, conditions, _count(steps)))
        log = float(missing[math.ceil(power * len(missing)) - 1]) * (1 + 1e-12)  # and not one study short of it
        return log if log < math.log(LARGEST_RATIO) else None

    below, above = log_reach(-1), log_reach(1)
    return Reach(None if below is None else math.exp(-below), None if above is None else math.exp(above))


def level_power(points: float, looks: Sequence[Look], conditions: Conditions) -> float:
    """Return the chance that the t test of the means of all runs shows an arm's level to differ, in its direction.

    Parameters
    ----------
    points : float
        Mean of the arm minus that of the baseline, failed runs included, in points.
    looks, conditions
        As in `spread_power`; both arms scatter alike.

    Returns
    -------
    float
        In [0, 1], from 1,000 to 4,000 simulated studies, always the same; 0 where every run of the arm fails.

    Raises
    ------
    UserError
        For points that are not finite, or looks out of range.

    Examples
    --------
    >>> round(level_power(1.9, one_look(20, 0.05), Conditions(sd=2.0)), 1)
    0.8
    """
    if not math.isfinite(points):
        raise UserError(f"points = {points}: must be a finite number")
    steps = _checked(looks)
    count, side = _count(steps), 1 if points >= 0 else -1
    rate, other = conditions.failures
    if rate == 1:
        return 0.0
    shift = (points + (rate - other) * conditions.drop) / (1 - rate)
    shown = np.zeros(count, dtype=np.bool_)
    for look in steps:
        found = simulated(1.0, (look.arm, look.baseline), conditions, count)
        arm = np.where(found.arm_failed, -conditions.drop, found.arm + shift)
        baseline = np.where(found.baseline_failed, -conditions.drop, found.baseline)
        shown |= side * _t(arm, baseline, look.level, conditions.paired) > 0
    return float(np.mean(shown))


def level_reach(looks: Sequence[Look], conditions: Conditions, power: float = 0.8) -> float | None:
    """Return the smallest difference of means, in points, that a study shows; None where it shows none up to 100.

    Parameters
    ----------
    looks, conditions
        As in `level_power`.
    power : float, default 0.8
        Chance with which it is shown, in (0, 1).

    Raises
    ------
    UserError
        As in `level_power`.

    Examples
    --------
    >>> print(f"{level_reach(one_look(20, 0.05), Conditions(sd=2.0)):.1f} points")
    1.9 points
    """
    reached = _first(lambda log: level_power(math.expm1(log), looks, conditions) >= power)
    return None if reached is None else math.expm1(reached)


def _checked(looks: Sequence[Look]) -> tuple[Look, ...]:
    for look in looks:
        for runs in (look.arm, look.baseline):
            if not 1 <= runs <= MOST_RUNS:
                raise UserError(f"n = {runs}: must lie between 1 and {MOST_RUNS}")
        if not 0 < look.level < 1:
            raise UserError(f"level = {look.level}: must lie between 0 and 1")
    return tuple(looks)


def _count(looks: tuple[Look, ...]) -> int:
    return studies_of(max(max(look.arm, look.baseline) for look in looks))


def _first(reaches: Callable[[float], bool]) -> float | None:
    """Return the smallest number up to log `LARGEST_RATIO` that reaches the power, to 0.4 % of it."""
    grid = np.geomspace(0.1, math.log(LARGEST_RATIO), 12).tolist()
    place = next((i for i, x in enumerate(grid) if reaches(x)), None)
    if place is None:
        return None
    low, high = grid[place - 1] if place else 0.0, grid[place]
    while high - low > 4e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return float(high)


@lru_cache(maxsize=128)
def _missing(ratio: float, side: int, looks: tuple[Look, ...], conditions: Conditions, count: int) -> Floats:
    """Return how much farther from 0 each study's log ratio must lie to be shown on one side, at its nearest look."""
    nearest = np.full(count, np.inf)
    for look in looks:
        found = _log_ratios(simulated(ratio, (look.arm, look.baseline), conditions, count), conditions.paired)
        with np.errstate(invalid="ignore"):
            missing = stats.t.isf(look.level / 2, found.df) * found.se - side * found.log
        nearest = np.fmin(nearest, missing)
    return nearest


def _log_ratios(studies: Studies, paired: bool) -> LogRatios:
    """Return what the test of spread finds in each study, among the runs that did not fail."""
    arm, baseline, out = studies.arm, studies.baseline, studies.arm_failed
    gone = studies.baseline_failed
    if not (out.any() or gone.any()):
        return _tested(arm, baseline, paired)
    both = ~out & ~gone if paired else np.zeros_like(out)
    # pairs that are left come first in both arms, in one order, then single runs, then failed ones
    first, second = (
        np.take_along_axis(scores, np.argsort(_rank(failed, both, paired), axis=1, kind="stable"), axis=1)
        for scores, failed in ((arm, out), (baseline, gone))
    )
    left = np.stack([(~out).sum(axis=1), (~gone).sum(axis=1)], axis=1)
    if paired:
        pairs = both.sum(axis=1)
        enough = pairs >= SHARED * left.max(axis=1)
        left = np.where(enough[:, None], pairs[:, None], left)
    else:
        enough = np.zeros(len(arm), dtype=np.bool_)
    result = LogRatios(*(np.full(len(arm), np.nan) for _ in range(3)))
    groups, members = np.unique(np.column_stack([left, enough]), axis=0, return_inverse=True)
    for i, (n, m, in_pairs) in enumerate(groups.tolist()):
        rows = np.flatnonzero(members.ravel() == i)
        for column, values in zip(result, _tested(first[rows, :n], second[rows, :m], bool(in_pairs)), strict=True):
            column[rows] = values
    return result


def _rank(failed: Flags, both: Flags, paired: bool) -> npt.NDArray[np.intp]:
    return np.where(failed, 2, np.where(both, 0, 1)).astype(np.intp) if paired else failed.astype(np.intp)


def _tested(arm: Floats, baseline: Floats, paired: bool) -> LogRatios:
    if min(arm.shape[1], baseline.shape[1]) < FEWEST:
        return LogRatios(*(np.full(len(arm), np.nan) for _ in range(3)))
    return (paired_log_deviation_ratios if paired else log_deviation_ratios)(arm, baseline)


def _t(arm: Floats, baseline: Floats, level: float, paired: bool) -> Floats:
    """Return the difference of means of each study where the t test shows it, paired or Welch's, and 0 elsewhere."""
    n, m = arm.shape[1], baseline.shape[1]
    difference = arm.mean(axis=1) - baseline.mean(axis=1)
    if min(n, m) < FEWEST_FOR_LEVEL:
        return np.zeros(len(arm))
    if paired:
        variance, df = (arm - baseline).var(axis=1, ddof=1) / n, np.full(len(arm), n - 1.0)
    else:
        parts = arm.var(axis=1, ddof=1) / n, baseline.var(axis=1, ddof=1) / m
        variance = parts[0] + parts[1]
        with np.errstate(invalid="ignore"):
            df = variance**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    # without any variation there is no test
    shown = (variance > 1e-18) & (np.abs(difference) > stats.t.isf(level / 2, df) * np.sqrt(variance))
    return np.where(shown, difference, 0.0)
