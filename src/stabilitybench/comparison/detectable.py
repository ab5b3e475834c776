"""What so many seeds could have shown, and about how many seeds an effect that is named beforehand needs.

Nothing here looks at the effect that a study happened to find: the power at that effect says what its p-value says.
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import optimize, stats

from stabilitybench.documents import formats
from stabilitybench.power.brown_forsythe import DetectableRatio
from stabilitybench.power.failures import failure_power, failure_reach
from stabilitybench.power.fisher_test import DetectableRate
from stabilitybench.power.questions import Look, one_look, spread_reach
from stabilitybench.power.seed_search import first_reaching
from stabilitybench.power.simulated_studies import MOST_RUNS, Conditions
from stabilitybench.statistics.decisions import ALPHA, POWER, first_step_level

#: The effects of which a report says how many seeds they need.
NAMED_RATIO, NAMED_DIFFERENCE, NAMED_RATES = 1.5, 0.01, (0.1, 0.4)


def detectable_ratio(
    n_arm: int, n_baseline: int, tests: int, correlation: float | None = None, alpha: float = ALPHA
) -> DetectableRatio | None:
    """Return the deviation ratios that a report shows in 80 of 100 studies after Holm, for normal scores.

    Parameters
    ----------
    n_arm, n_baseline : int
        Runs that did not fail; in pairs as many in either arm.
    tests : int
        Size of the family, at least 1; the level is that of Holm's first step, 0.05 / tests.
    correlation : float or None, default None
        Of the scores of pairs, taken to steps of 0.05 of Fisher's z; None for independent arms.
    alpha : float, default 0.05
        Level of the family; of a declared look its own.

    Returns
    -------
    DetectableRatio or None
        None beyond 1,000 runs.

    Examples
    --------
    >>> found = detectable_ratio(20, 20, 1)
    >>> print(f"{found.below:.1f} {found.above:.1f}")
    0.5 2.1
    """
    if max(n_arm, n_baseline) > MOST_RUNS:
        return None
    if correlation is not None:
        correlation = math.tanh(round(20 * math.atanh(min(max(correlation, -0.995), 0.995))) / 20)
    return _ratio(n_arm, n_baseline, first_step_level(tests, alpha), correlation)


@lru_cache(maxsize=4096)
def _ratio(n_arm: int, n_baseline: int, level: float, correlation: float | None) -> DetectableRatio:
    found = spread_reach((Look(n_arm, n_baseline, level),), Conditions(correlation), POWER)
    return DetectableRatio(found.below, found.above, level, POWER)


@lru_cache(maxsize=4096)
def detectable_rate(
    n_arm: int, n_baseline: int, rate_baseline: float, tests: int, paired: bool = False, alpha: float = ALPHA
) -> DetectableRate | None:
    """Return the failure rates of an arm that a report shows in 80 of 100 studies after Holm.

    Parameters
    ----------
    n_arm, n_baseline : int
        Finished runs; in pairs as many in either arm.
    rate_baseline : float
        True failure rate of the baseline, taken to be the one seen.
    tests : int
        Size of the family, at least 1; the level is that of Holm's first step, 0.05 / tests.
    paired : bool, default False
        Whether the runs make pairs.
    alpha : float, default 0.05
        Level of the family; of a declared look its own.

    Returns
    -------
    DetectableRate or None
        None beyond 1,000 runs.

    Examples
    --------
    >>> print(f"{detectable_rate(20, 20, 0.0, 1).above:.2f}")
    0.26
    """
    if max(n_arm, n_baseline) > MOST_RUNS:
        return None
    level = first_step_level(tests, alpha)
    found = failure_reach(rate_baseline, (Look(n_arm, n_baseline, level),), paired, POWER)
    return DetectableRate(found.below, found.above, level, POWER)


def detectable_difference(se: float, df: float, tests: int, alpha: float = ALPHA) -> float:
    """Return the difference of means that a report shows in 80 of 100 studies after Holm, in the unit of `se`.

    Parameters
    ----------
    se, df : float
        Standard error of the difference as seen, which holds the correlation of pairs, and its degrees of freedom.
    tests : int
        Size of the family, at least 1.
    alpha : float, default 0.05
        Level of the family; of a declared look its own.

    Examples
    --------
    >>> f"{detectable_difference(0.6, 19.0, 1):.2f}"
    '1.77'
    """
    return se * _noncentrality(df, first_step_level(tests, alpha))


def seeds_for_spread(ratio: float, tests: int, correlation: float | None = None) -> int | None:
    r"""Return about how many runs per arm show a deviation ratio with 80 % power, for normal scores.

    The log of the ratio has the variance :math:`(\pi - 2)(1 - \rho_D) / n`, with :math:`\rho_D = (\sqrt{1 - \rho^2} +
    \rho \arcsin \rho - 1) / (\pi / 2 - 1)` the correlation of the distances; simulated powers ask for a log ratio
    larger by 1 + 1.25 / n than Student's t makes of it.  An odd number of pairs is compared with a caution that wears
    off as n grows.

    Parameters
    ----------
    ratio : float
        Positive, not 1; r and 1 / r need as many.
    tests : int
        Size of the family, at least 1.
    correlation : float or None, default None
        Of the scores of pairs; None for independent arms.

    Returns
    -------
    int or None
        At least 7; None above 10,000.

    Examples
    --------
    >>> seeds_for_spread(2.0, 1), seeds_for_spread(2.0, 1, correlation=0.8)
    (22, 12)
    """
    rho = correlation or 0.0
    shared = (math.sqrt(1 - rho * rho) + rho * math.asin(rho) - 1) / (math.pi / 2 - 1)
    level, wanted = first_step_level(tests), abs(math.log(ratio))

    def shows(n: int) -> bool:
        m = n - n % 2
        df = 2.0 * (m - 1) if correlation is None else m - 1.0
        caution = 1.0 if correlation is None else math.sqrt(n * (n - 1) / (m * (m - 1)))
        se = math.sqrt((math.pi - 2) * (1 - shared) / n) * caution
        return wanted >= _noncentrality(df, level) * se * (1 + 1.25 / n)

    return first_reaching(shows, 7, 10_000, after=1)


def seeds_for_level(difference: float, sd: float, tests: int) -> int | None:
    """Return how many runs per arm show a difference of means with 80 % power, by Student's t over pairs.

    Parameters
    ----------
    difference : float
        Of the means, above 0.
    sd : float
        Of the differences of pairs, in the same unit; for independent arms the root of the sum of the variances.
    tests : int
        Size of the family, at least 1.

    Returns
    -------
    int or None
        At least 4; None above 10,000.

    Examples
    --------
    >>> seeds_for_level(1.0, 1.5, 1)
    20
    """
    level = first_step_level(tests)
    return first_reaching(
        lambda n: difference >= _noncentrality(n - 1.0, level) * sd / math.sqrt(n), 4, 10_000, after=0
    )


@lru_cache(maxsize=1024)
def seeds_for_failures(rate_arm: float, rate_baseline: float, tests: int, paired: bool = False) -> int | None:
    """Return about how many runs per arm tell two failure rates apart with 80 % power.

    Parameters
    ----------
    rate_arm, rate_baseline : float
        True rates, between 0 and 1; they must differ.
    tests : int
        Size of the family, at least 1.
    paired : bool, default False
        Whether the runs make pairs.

    Returns
    -------
    int or None
        None above 10,000.

    Examples
    --------
    >>> seeds_for_failures(0.5, 0.05, 1), seeds_for_failures(0.1, 0.4, 1, paired=True)
    (14, 33)
    """
    level = first_step_level(tests)
    return first_reaching(
        lambda n: failure_power(rate_arm, rate_baseline, one_look(n, level), paired) >= POWER, 2, 10_000, after=5
    )


def detectable_ratio_words(found: DetectableRatio | None) -> str:
    """Print the ratios of spread that a test can show.

    Parameters
    ----------
    found : DetectableRatio or None
        None is printed as absent.

    Examples
    --------
    >>> from stabilitybench.power import DetectableRatio
    >>> detectable_ratio_words(DetectableRatio(0.348, 2.87, 0.008, 0.8)), detectable_ratio_words(None)
    ('≤ 0.35 or ≥ 2.87', '–')
    """
    if found is None:
        return formats.ABSENT
    return _beyond(*(None if r is None else formats.ratio(r) for r in (found.below, found.above)))


def detectable_rate_words(found: DetectableRate | None) -> str:
    """Print the failure rates that a test can tell from the baseline's, rounded to the safe side.

    Parameters
    ----------
    found : DetectableRate or None
        None is printed as absent.

    Examples
    --------
    >>> from stabilitybench.power import DetectableRate
    >>> detectable_rate_words(DetectableRate(None, 0.306, 0.05, 0.8))
    '≥ 31 %'
    """
    if found is None:
        return formats.ABSENT
    below = None if found.below is None else f"{math.floor(100 * found.below)} %"
    above = None if found.above is None else f"{math.ceil(100 * found.above)} %"
    return _beyond(below, above)


def _beyond(below: str | None, above: str | None) -> str:
    parts = [f"≤ {below}"] if below is not None else []
    parts += [f"≥ {above}"] if above is not None else []
    return " or ".join(parts) or "none"


@lru_cache(maxsize=4096)
def _noncentrality(df: float, level: float) -> float:
    """Return how many standard errors from 0 an effect lies that a two-sided t test shows with 80 % power."""
    critical = float(stats.t.isf(level / 2, df))
    found: float = optimize.brentq(lambda c: float(stats.nct.sf(critical, df, c)) - POWER, 0.1, critical * 3 + 10)
    return found
