"""Spearman's correlation over groups: interval, power, and how many groups would show one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics.decisions import ALPHA, POWER
from stabilitybench.statistics.results import is_constant, paired_samples


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation.

    Attributes
    ----------
    estimate, low, high : float
        The correlation with its 95 % interval.
    p : float
        Two-sided, that there is none.
    """

    estimate: float
    low: float
    high: float
    p: float


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> RankCorrelation:
    """Return Spearman's correlation with the interval of Bonett & Wright (2000, Psychometrika 65:23-28).

    Parameters
    ----------
    first, second : array_like
        Two numbers for each group, at least 4 groups.

    Examples
    --------
    >>> found = rank_correlation([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5])
    >>> round(found.estimate, 2), found.low < found.estimate < found.high
    (0.89, True)
    """
    x, y = paired_samples(first, second, ("first", "second"))
    for name, values in (("first", x), ("second", y)):
        if is_constant(values):
            raise UserError(f"{name}: all {values.size} numbers are equal: must vary, or there is no rank")
    if x.size < 4:
        raise UserError(f"first: {x.size} groups: a correlation needs at least 4")
    found = stats.spearmanr(x, y)
    r = float(found.statistic)
    se = math.sqrt((1 + r**2 / 2) / (x.size - 3))
    z = float(stats.norm.isf(ALPHA / 2))
    low, high = (math.tanh(math.atanh(max(min(r, 0.9999), -0.9999)) + sign * z * se) for sign in (-1, 1))
    return RankCorrelation(r, low, high, float(found.pvalue))


def correlation_power(correlation: float, groups: int, alpha: float = ALPHA) -> float:
    """Return the chance that a correlation is seen over so many groups, by Fisher's transformation.

    Parameters
    ----------
    correlation : float
        In truth, below 1 in size.
    groups : int
        At least 4.
    alpha : float, default 0.05
        Level of the two-sided test.

    Examples
    --------
    >>> round(correlation_power(0.5, 30), 2)
    0.81
    """
    z = float(stats.norm.isf(alpha / 2))
    return float(stats.norm.cdf(math.atanh(correlation) / (1 / math.sqrt(groups - 3)) - z))


def detectable_correlation(groups: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the correlation that is seen over so many groups with the chance `power`.

    Parameters
    ----------
    groups, alpha
        As in `correlation_power`.
    power : float, default 0.8
        The chance to see it.

    Examples
    --------
    >>> round(detectable_correlation(30), 2)
    0.49
    """
    plain = 1 / math.sqrt(groups - 3)
    return math.tanh((float(stats.norm.isf(alpha / 2)) + float(stats.norm.ppf(power))) * plain)


def groups_for_correlation(correlation: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Return how many groups show a correlation with the chance `power`.

    Parameters
    ----------
    correlation, alpha
        As in `correlation_power`.
    power : float, default 0.8
        The chance to see it.

    Examples
    --------
    >>> groups_for_correlation(0.5)
    30
    """
    z, wanted = float(stats.norm.isf(alpha / 2)), float(stats.norm.ppf(power))
    return math.ceil(3 + ((z + wanted) / math.atanh(correlation)) ** 2)
