"""Failure across seeds: a rate with its interval, and the comparison of two rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics.samples import Test, check_level


@dataclass(frozen=True)
class Rate:
    """Failed runs out of n, with a Wilson interval for the failure probability.

    rate, low, high : fractions in [0, 1]; all None when n = 0.
    """

    failed: int
    n: int
    rate: float | None
    low: float | None
    high: float | None


def wilson(failed: int, n: int, level: float = 0.95) -> Rate:
    """Return the failure rate with the Wilson score interval (Wilson 1927, JASA 22:209-212).

    It stays inside [0, 1] and says something at 0 of n, unlike the normal approximation.  Raises UserError
    unless 0 <= failed <= n and 0 < level < 1.

    >>> rate = wilson(0, 20)
    >>> f"{rate.low:.3f} {rate.high:.3f}"
    '0.000 0.161'
    """
    _check(failed, n)
    check_level(level)
    if n == 0:
        return Rate(failed, n, None, None, None)
    limits = stats.binomtest(failed, n).proportion_ci(confidence_level=level, method="wilson")
    return Rate(failed, n, failed / n, float(limits.low), float(limits.high))


def fisher(failed_a: int, n_a: int, failed_b: int, n_b: int) -> Test:
    """Test equal failure probability by Fisher's exact test, two-sided; the statistic is the odds ratio.

    Undefined when an arm has no runs.  p is 1 when no run or every run failed.  The odds ratio is None
    where it is 0/0 and infinite where only its denominator is 0.  Raises UserError unless 0 <= failed <= n.

    >>> f"{fisher(1, 20, 16, 20).p:.0e}"
    '2e-06'
    """
    _check(failed_a, n_a)
    _check(failed_b, n_b)
    if n_a == 0 or n_b == 0:
        return Test.undefined("an arm has no finished run")
    outcome = stats.fisher_exact(np.array([[failed_a, n_a - failed_a], [failed_b, n_b - failed_b]]))
    if outcome.statistic != outcome.statistic:
        return Test(None, 1.0, True, "")
    return Test.of(outcome.statistic, outcome.pvalue)


def _check(failed: int, n: int) -> None:
    if not 0 <= failed <= n:
        raise UserError(f"failed = {failed} of n = {n}: must satisfy 0 <= failed <= n")
