"""How many seeds a claim about failure rates needs: power of Fisher's exact test, and what it can detect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.special import gammaln

from stabilitybench.argument_checks import count, number
from stabilitybench.errors import Argument, UserError
from stabilitybench.power.seed_search import check_design, first_reaching
from stabilitybench.statistics.results import Floats

#: Tables of more runs per arm are too many to count.
MOST_SEEDS_FISHER = 1_000


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
    check_design(n_arm, n_baseline, level)
    for name, rate in (("rate_arm", rate_arm), ("rate_baseline", rate_baseline)):
        _checked_rate(name, rate)
    for name, n in (("n_arm", n_arm), ("n_baseline", n_baseline)):
        count(name, n, 1, MOST_SEEDS_FISHER)
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
    check_design(n_arm, n_baseline, level, power)
    _checked_rate("rate_baseline", rate_baseline)

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
    if _checked_rate("rate_arm", rate_arm) == _checked_rate("rate_baseline", rate_baseline):
        raise UserError(Argument("rate_arm", rate_arm), ": must differ from rate_baseline")
    check_design(3, 3, level, power)

    return first_reaching(
        lambda n: fisher_power(rate_arm, rate_baseline, n, n, level) >= power, 2, MOST_SEEDS_FISHER, after=5
    )


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


def _checked_rate(name: str, rate: float) -> float:
    return number(name, rate, "must lie in [0, 1]", lambda share: 0 <= share <= 1)
