"""The ratio of mean distances to the median: tested and reported as one quantity, for independent and paired runs.

An SD ratio with an interval beside a test of distances would be two quantities, which contradict each other where the
arms differ in shape; here interval and test are the same t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.statistics.results import Floats, check_level, is_constant, paired_samples, sample

# below, no interval keeps its promise by simulation
FEWEST = 7
# distances of a coarse score that take two values have a variance of no use
FEWEST_DISTANCES = 3
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class DeviationRatio:
    """Mean distance to the median of an arm over that of the baseline, with its interval and test.

    Attributes
    ----------
    estimate : float or None
        Below 1 the arm's runs lie closer together; None where an arm's runs are all equal.
    low, high : float or None
        The interval; it excludes 1 exactly where p lies below 1 - level.
    p : float or None
        Of the two-sided test that the ratio is 1; None without an interval.
    df, log_se : float or None
        Degrees of freedom, and standard error of the log ratio.
    n_arm, n_baseline : int
        Runs.
    method : str
        How the interval was made.
    note : str
        Why estimate or interval are missing; empty when both are there.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    df: float | None
    log_se: float | None
    n_arm: int
    n_baseline: int
    method: str
    note: str


class LogRatios(NamedTuple):
    """Log deviation ratios of many comparisons; `se` is NaN where there is no interval."""

    log: Floats
    se: Floats
    df: Floats

    def p(self) -> Floats:
        """Return the p-values, NaN where there is no test."""
        return np.asarray(2 * stats.t.sf(np.abs(self.log) / self.se, self.df))

    def limits(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the limits of the log ratios.

        Parameters
        ----------
        level : float, default 0.95
            Confidence, in (0, 1).
        """
        half = stats.t.isf((1 - level) / 2, self.df) * self.se
        return self.log - half, self.log + half


class Deviations(NamedTuple):
    """Distances to the median, one sample per row: relative to their mean, log of the deviation, how many values."""

    relative: Floats
    log: Floats
    variance: Floats
    m: int
    distinct: npt.NDArray[np.intp]


def deviations(values: Floats) -> Deviations:
    r"""Return the distances :math:`D_i = |x_i - \mathrm{median}|` of each row and what an interval needs of them.

    With an odd number of runs one distance is the median's own 0 and says nothing: m = n - 1 remain, else m = n. The
    deviation is :math:`\sum D / (n - 1)`; its log has the variance :math:`s_D^2 / (m \bar D^2)` over those m.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, n)
        Finite scores, n >= 3.

    Returns
    -------
    Deviations
        Rows without spread have a log of -inf.
    """
    n = values.shape[1]
    m = n - n % 2
    distances = np.abs(values - np.median(values, axis=1, keepdims=True))
    unit = distances.max(axis=1, keepdims=True)
    distances = distances / np.where(unit > 0, unit, 1.0)
    total = distances.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(unit[:, 0]) + np.log(total[:, 0] / (n - 1))
        relative = np.where(total > 0, distances / (total / n), 0.0)
        kept = np.sort(distances, axis=1)[:, n - m :]
        variance = kept.var(axis=1, ddof=1) / (m * kept.mean(axis=1) ** 2)
        # equal scores on a grid of rows are equal but for rounding
        rounding = 1e-9 + 4 * np.finfo(np.float64).eps * np.abs(values).max(axis=1, keepdims=True) / unit
    return Deviations(relative, log, variance, m, 1 + (np.diff(kept, axis=1) > rounding).sum(axis=1))


def log_deviation_ratios(arms: Floats, baselines: Floats) -> LogRatios:
    """Return the log deviation ratios of independent arms, one comparison per row, as `deviation_ratio` has them.

    Parameters
    ----------
    arms, baselines : numpy.ndarray, shape (comparisons, n) and (comparisons, m)
        Finite scores, at least 3 per row.
    """
    first, second = deviations(arms), deviations(baselines)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = first.variance + second.variance
        df = variance**2 / (first.variance**2 / (first.m - 1) + second.variance**2 / (second.m - 1))
        return LogRatios(first.log - second.log, np.where(_enough(first, second), np.sqrt(variance), np.nan), df)


def paired_log_deviation_ratios(arms: Floats, baselines: Floats) -> LogRatios:
    """Return the log deviation ratios of paired runs, one comparison per row, as `paired_deviation_ratio` has them.

    Parameters
    ----------
    arms, baselines : numpy.ndarray, shape (comparisons, n)
        Finite scores, at least 3 per row.
    """
    first, second = deviations(arms), deviations(baselines)
    m = first.m
    u = first.relative - second.relative
    enough = _enough(first, second) & (np.abs(u).max(axis=1) > 1e-9)
    with np.errstate(invalid="ignore"):
        se = np.where(enough, np.sqrt((u**2).sum(axis=1) / (m * (m - 1))), np.nan)
        return LogRatios(first.log - second.log, se, np.full(len(u), m - 1.0))


def deviation_ratio(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> DeviationRatio:
    r"""Return the ratio of mean distances to the median of independent arms, with its interval and test.

    The interval is the log ratio plus or minus Student's t times :math:`\sqrt{v_1 + v_2}`, v as in `deviations`, with
    Welch's degrees of freedom [1]_ [2]_. It holds for arms of different shape, where that of an SD ratio does not.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, in one unit.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    DeviationRatio
        Without interval and p, with a note, below seven runs or three distinct distances in an arm, and for arms equal
        run by run; without estimate where an arm's runs are all equal.

    Raises
    ------
    UserError
        For scores that are not finite or a level outside (0, 1).

    References
    ----------
    .. [1] Bonett & Seier (2003), American Statistician 57:233-236.
    .. [2] Welch (1947), Biometrika 34:28-35.

    Examples
    --------
    >>> found = deviation_ratio([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0], [-8.0, 0.0, 1.0, 7.0, 15.0, 30.0, 40.0])
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}], p = {found.p:.3f}"
    '0.16 [0.07, 0.38], p = 0.001'
    """
    return _ratio(sample(arm, "arm"), sample(baseline, "baseline"), check_level(level), paired=False)


def paired_deviation_ratio(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> DeviationRatio:
    r"""Return the ratio of mean distances to the median of runs in pairs, with its interval and test.

    With :math:`u_i = D_i / \bar D - E_i / \bar E` over all pairs the interval is the log ratio plus or minus Student's
    t with m - 1 degrees of freedom times :math:`\sqrt{\sum u^2 / (m (m - 1))}`, m the even one of n and n - 1. It holds
    whatever the correlation is, and costs nothing where there is none.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        Scores; run i of one arm belongs to run i of the other.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    DeviationRatio
        As from `deviation_ratio`; without an interval also where all distances are in one proportion.

    Raises
    ------
    UserError
        As in `deviation_ratio`, and for unequal numbers of scores.

    Examples
    --------
    >>> found = paired_deviation_ratio([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0], [-8.0, 0.0, 1.0, 7.0, 15.0, 30.0, 40.0])
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}], p = {found.p:.0e}"
    '0.16 [0.12, 0.22], p = 2e-05'
    """
    first, second = paired_samples(arm, baseline)
    return _ratio(first, second, check_level(level), paired=True)


def _enough(first: Deviations, second: Deviations) -> npt.NDArray[np.bool_]:
    few = min(first.relative.shape[1], second.relative.shape[1]) < FEWEST
    enough: npt.NDArray[np.bool_] = np.minimum(first.distinct, second.distinct) >= FEWEST_DISTANCES
    return enough & (not few)


def _ratio(first: Floats, second: Floats, level: float, paired: bool) -> DeviationRatio:
    method = "paired t on log deviation ratio" if paired else "Welch t on log deviation ratio"

    def without(note: str, estimate: float | None = None) -> DeviationRatio:
        return DeviationRatio(estimate, None, None, None, None, None, first.size, second.size, method, note)

    arms = {"arm": first, "baseline": second}
    for name, values in arms.items():
        if values.size < 3:
            return without(f"no ratio: the {name} has {values.size} of the 3 runs needed")
    if np.array_equal(first, second):
        return without("identical runs: both arms hold the same scores, run by run")
    constant = [name for name, values in arms.items() if is_constant(values)]
    if constant:
        who = "both arms have" if len(constant) == 2 else f"the {constant[0]} has"
        return without(f"no ratio: {who} no spread (all scores equal)")
    rows = first[None, :], second[None, :]
    found = (paired_log_deviation_ratios if paired else log_deviation_ratios)(*rows)
    centre, se, df = (float(x[0]) for x in found)
    if abs(centre) > _LARGEST_LOG:
        return without("no ratio: it exceeds what a double can hold")
    estimate = math.exp(centre)
    for name, values in arms.items():
        if values.size < FEWEST:
            return without(f"no interval: the {name} has {values.size} of the {FEWEST} runs needed", estimate)
    for name, row in zip(arms, rows, strict=True):
        distinct = int(deviations(row).distinct[0])
        if distinct < FEWEST_DISTANCES:
            note = f"{distinct} of the {FEWEST_DISTANCES} distinct distances to the median needed"
            return without(f"no interval: the {name} has {note}", estimate)
    if math.isnan(se):
        return without("no interval: the distances of all pairs are in one proportion", estimate)
    low, high = (float(x[0]) for x in found.limits(level))
    if max(-low, high) > _LARGEST_LOG:
        return without("no interval: its limits exceed what a double can hold", estimate)
    p = min(float(found.p()[0]), 1.0)
    return DeviationRatio(estimate, math.exp(low), math.exp(high), p, df, se, first.size, second.size, method, "")
