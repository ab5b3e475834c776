"""Failure across seeds: a rate with its interval, and the comparison of two rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stabilitybench.argument_checks import count, whole
from stabilitybench.statistics.results import Estimate, TestResult, check_level


@dataclass(frozen=True)
class Rate:
    """Failed runs out of all, with a Wilson interval for the failure probability.

    Attributes
    ----------
    failed : int
        Failed runs.
    n : int
        All runs.
    rate, low, high : float or None
        Fractions in [0, 1]; None when n = 0.
    """

    failed: int
    n: int
    rate: float | None
    low: float | None
    high: float | None


def wilson(failed: int, n: int, level: float = 0.95) -> Rate:
    """Return the failure rate with the Wilson score interval [1]_.

    It stays inside [0, 1] and says something at 0 of n, unlike the normal approximation.

    Parameters
    ----------
    failed : int
        Failed runs, in [0, n].
    n : int
        All runs.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Rate
        Without numbers when n = 0.

    Raises
    ------
    UserError
        For counts or a level out of these ranges.

    References
    ----------
    .. [1] Wilson (1927), JASA 22:209-212.

    Examples
    --------
    >>> rate = wilson(0, 20)
    >>> f"{rate.low:.3f} {rate.high:.3f}"
    '0.000 0.161'
    """
    check_counts(failed, n)
    check_level(level)
    if n == 0:
        return Rate(failed, n, None, None, None)
    limits = stats.binomtest(failed, n).proportion_ci(confidence_level=level, method="wilson")
    return Rate(failed, n, failed / n, float(limits.low), float(limits.high))


def fisher(failed_a: int, n_a: int, failed_b: int, n_b: int) -> TestResult:
    """Test equal failure probability by Fisher's exact test, two-sided.

    Parameters
    ----------
    failed_a, n_a : int
        Failed and all runs of one arm.
    failed_b, n_b : int
        The same of the other.

    Returns
    -------
    TestResult
        The statistic is the odds ratio, None where it is 0/0 and infinite where only its denominator is 0; p is 1 when
        no run or every run failed. Undefined when an arm has no runs.

    Raises
    ------
    UserError
        Unless 0 <= failed <= n in both arms.

    Examples
    --------
    >>> f"{fisher(1, 20, 16, 20).p:.0e}"
    '2e-06'
    """
    check_counts(failed_a, n_a, "failed_a", "n_a")
    check_counts(failed_b, n_b, "failed_b", "n_b")
    if n_a == 0 or n_b == 0:
        return TestResult.undefined("an arm has no finished run")
    outcome = stats.fisher_exact(np.array([[failed_a, n_a - failed_a], [failed_b, n_b - failed_b]]))
    if outcome.statistic != outcome.statistic:
        return TestResult(None, 1.0, True, "")
    return TestResult.of(outcome.statistic, outcome.pvalue)


def risk_difference(failed_a: int, n_a: int, failed_b: int, n_b: int, level: float = 0.95) -> Estimate:
    """Return failure rate a minus failure rate b with Newcombe's interval.

    The interval combines the two Wilson intervals [1]_.

    Parameters
    ----------
    failed_a, n_a : int
        Failed and all runs of arm a.
    failed_b, n_b : int
        The same of arm b.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Estimate
        In [-1, 1]. Undefined, with a note, when an arm has no runs.

    Raises
    ------
    UserError
        Unless 0 <= failed <= n in both arms and 0 < level < 1.

    References
    ----------
    .. [1] Newcombe (1998), Statist. Med. 17:873-890, method 10.

    Examples
    --------
    >>> found = risk_difference(0, 20, 16, 20)
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '-0.80 [-0.92, -0.53]'
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    check_counts(failed_a, n_a, "failed_a", "n_a")
    check_counts(failed_b, n_b, "failed_b", "n_b")
    check_level(level)
    method = "Newcombe, from Wilson intervals"
    if n_a == 0 or n_b == 0:
        return Estimate(None, None, None, method, "no difference: an arm has no finished run")
    low, high = confint_proportions_2indep(
        failed_a, n_a, failed_b, n_b, method="newcomb", compare="diff", alpha=1 - level
    )
    return Estimate(failed_a / n_a - failed_b / n_b, max(float(low), -1.0), min(float(high), 1.0), method, "")


def check_counts(failed: int, n: int, failed_name: str = "failed", n_name: str = "n") -> None:
    """Refuse what is no number of failed runs among n.

    Parameters
    ----------
    failed : int
        Failed runs, in [0, n].
    n : int
        Runs.
    failed_name, n_name : str, default "failed" and "n"
        The arguments that say so, for the message.

    Raises
    ------
    UserError
        For anything else.
    """
    count(n_name, n, 0)
    whole(failed_name, failed, f"must satisfy 0 <= {failed_name} <= {n_name} = {n}", lambda runs: 0 <= runs <= n)
