"""One number for each of several datasets: on which side of a value they lie, by their signs or by their mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.argument_checks import count
from stabilitybench.errors import UserError
from stabilitybench.statistics.decisions import ALPHA, POWER
from stabilitybench.statistics.results import sample, unit_of


@dataclass(frozen=True)
class MeanExcess:
    """A mean against 0, by one-sided t tests.

    Attributes
    ----------
    estimate : float
        The mean.
    above, below : float
        The p-value that it does not lie above 0, and that it does not lie below.
    """

    estimate: float
    above: float
    below: float


def mean_excess(gaps: npt.ArrayLike) -> MeanExcess:
    """Return whether a mean lies above 0 or below it.

    A bound on an expectation is exceeded where the mean of what is measured minus the bound lies above 0.  Numbers that
    are all equal, or a single one, count as known without error.

    Parameters
    ----------
    gaps : array_like
        One number for each dataset, at least one.

    Examples
    --------
    >>> found = mean_excess([0.9, 1.1, 1.3])
    >>> found.above < 0.05 < found.below
    True
    >>> mean_excess([0.2]).above
    0.0
    """
    values = sample(gaps, "gaps")
    if not values.size:
        raise UserError("gaps: must hold at least one number")
    mean, n = float(values.mean()), len(values)
    if n == 1 or np.ptp(values) == 0:
        above = 0.5 if mean == 0 else float(mean < 0)
        return MeanExcess(mean, above, 1.0 - above)
    values = values / unit_of(values)
    t = values.mean() / (values.std(ddof=1) / math.sqrt(n))
    return MeanExcess(mean, float(stats.t.sf(t, n - 1)), float(stats.t.cdf(t, n - 1)))


def sign_test(up: int, down: int) -> float:
    """Return the two-sided p-value of the sign test; 1 where neither happened.

    Parameters
    ----------
    up, down : int
        How many go one way and the other, at least 0; ties are left out.

    Raises
    ------
    UserError
        For a number that is no such count.

    Examples
    --------
    >>> round(sign_test(10, 0), 3), sign_test(0, 0)
    (0.002, 1.0)
    """
    count("up", up, 0)
    count("down", down, 0)
    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def median_limits(values: npt.ArrayLike) -> tuple[float, float] | None:
    """Return the 95 % interval of a median from order statistics; None where there are too few values.

    Parameters
    ----------
    values : array_like
        A sample.

    Examples
    --------
    >>> median_limits(range(1, 11))
    (2.0, 9.0)
    """
    ordered = np.sort(sample(values, "values"))
    n = len(ordered)
    k = int(stats.binom.ppf(ALPHA / 2, n, 0.5))
    return (float(ordered[k - 1]), float(ordered[n - k])) if k >= 1 else None


def sign_power(share: float, n: int) -> float:
    """Return the power of the sign test at 5 % where a share of n datasets goes one way.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    n : int
        Number of datasets.

    Examples
    --------
    >>> sign_power(1.0, 10), sign_power(1.0, 5)
    (1.0, 0.0)
    """
    rejected = _rejected(n)
    return float(stats.binom.cdf(rejected, n, share) + stats.binom.cdf(rejected, n, 1 - share))


def detectable_share(n: int, power: float = POWER) -> float | None:
    """Return the smallest share, in steps of half a per cent, that n datasets show to go one way; None where none is.

    Parameters
    ----------
    n : int
        Number of datasets.
    power : float, default 0.8
        The chance to see it.

    Examples
    --------
    >>> round(detectable_share(10), 3), detectable_share(5)
    (0.92, None)
    """
    return next((float(s) for s in np.linspace(0.5, 1, 101) if sign_power(float(s), n) >= power), None)


@lru_cache
def _rejected(n: int) -> int:
    """Return the largest count of the rarer sign that the test rejects with; -1 where it never does."""
    return max((k for k in range(n // 2 + 1) if stats.binomtest(k, n).pvalue < ALPHA), default=-1)
