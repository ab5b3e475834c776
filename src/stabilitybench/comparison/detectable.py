"""What so many seeds can show: minimal detectable effects, and about how many seeds an effect of a given size needs."""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import stats

from stabilitybench.documents import formats
from stabilitybench.statistics.decisions import POWER, first_step_level
from stabilitybench.statistics.failure_power import (
    MOST_SEEDS_FISHER,
    DetectableRate,
    minimal_detectable_rate,
    seeds_for_rates,
)
from stabilitybench.statistics.power import DetectableRatio, minimal_detectable_ratio
from stabilitybench.statistics.seed_search import MOST_SEEDS

# beyond, counting all tables takes seconds
_ENUMERATED = 200
# seeds per arm at which the smallest detectable ratio is simulated; between them it is interpolated
_GRID = (4, 5, 6, 7, 8, 10, 14, 20, 40, 80, 160, 320)


@lru_cache(maxsize=1024)
def detectable_ratio(n_arm: int, n_baseline: int, tests: int) -> DetectableRatio | None:
    """Return the SD ratios that Brown-Forsythe shows in 80 of 100 studies after Holm, for normal scores.

    Parameters
    ----------
    n_arm, n_baseline : int
        Finished runs.
    tests : int
        Size of the family, at least 1; the level is that of Holm's first step, 0.05 / tests.

    Returns
    -------
    DetectableRatio or None
        None beyond 10,000 runs.

    Examples
    --------
    >>> found = detectable_ratio(20, 20, 1)
    >>> print(f"{found.below:.1f} {found.above:.1f}")
    0.5 2.2
    """
    if max(n_arm, n_baseline) > MOST_SEEDS:
        return None
    return minimal_detectable_ratio(n_arm, n_baseline, first_step_level(tests), POWER)


@lru_cache(maxsize=1024)
def detectable_rate(n_arm: int, n_baseline: int, failed_baseline: int, tests: int) -> DetectableRate | None:
    """Return the failure rates of an arm that Fisher's test shows in 80 of 100 studies after Holm.

    Parameters
    ----------
    n_arm, n_baseline : int
        Finished runs.
    failed_baseline : int
        Failed ones of the baseline, whose true rate is taken to be the one seen.
    tests : int
        Size of the family, at least 1; the level is that of Holm's first step, 0.05 / tests.

    Returns
    -------
    DetectableRate or None
        None beyond 1,000 runs.

    Examples
    --------
    >>> print(f"{detectable_rate(20, 20, 0, 1).above:.2f}")
    0.31
    """
    if max(n_arm, n_baseline) > MOST_SEEDS_FISHER:
        return None
    return minimal_detectable_rate(n_arm, n_baseline, failed_baseline / n_baseline, first_step_level(tests), POWER)


def seeds_for_sd_ratio(sd_ratio: float, level: float) -> int | None:
    r"""Return about how many runs per arm show an SD ratio with 80 % power.

    The exact search simulates every number of seeds it tries; this one interpolates the smallest detectable ratio
    between a few, on :math:`\log n` against :math:`\log \log r`, and beyond 320 goes on with
    :math:`n \propto (\log r)^{-2}`, so that a report of many arms stays quick.

    Parameters
    ----------
    sd_ratio : float
        The ratio r, positive, not 1; r and 1 / r need as many.
    level : float
        Significance level of Brown-Forsythe's test.

    Returns
    -------
    int or None
        None above 10,000.

    Examples
    --------
    >>> 23 <= seeds_for_sd_ratio(2.0, 0.05) <= 26
    True
    """
    wanted = math.log(abs(math.log(sd_ratio)))
    before: tuple[float, float] | None = None
    for n in _GRID:
        found = _detectable_above(n, level)
        if found is None:
            continue
        here = math.log(n), math.log(math.log(found))
        if here[1] <= wanted:
            if before is None:
                return n
            share = (before[1] - wanted) / (before[1] - here[1])
            return math.ceil(math.exp(before[0] + share * (here[0] - before[0])) - 1e-9)
        before = here
    if before is None:
        return None
    needed = math.ceil(math.exp(before[0] + 2 * (before[1] - wanted)))
    return needed if needed <= MOST_SEEDS else None


@lru_cache(maxsize=1024)
def _detectable_above(n: int, level: float) -> float | None:
    """Return the smallest ratio over 1 that two arms of n normal scores show at `level` with 80 % power."""
    return minimal_detectable_ratio(n, n, level, POWER).above


@lru_cache(maxsize=1024)
def seeds_for_failure_rates(rate_arm: float, rate_baseline: float, level: float) -> int | None:
    r"""Return about how many runs per arm tell two failure rates apart by Fisher's test with 80 % power.

    By enumeration up to some 200 runs, beyond by the closed form
    :math:`n = \frac{n'}{4} \left(1 + \sqrt{1 + 4 / (n' |p_1 - p_2|)}\right)^2`, with :math:`n'` the number of the
    normal approximation.

    Parameters
    ----------
    rate_arm, rate_baseline : float
        True rates, between 0 and 1; they must differ.
    level : float
        Significance level of the test.

    Returns
    -------
    int or None
        None above 10,000.

    References
    ----------
    Casagrande, Pike & Smith (1978). An improved approximate formula for calculating sample sizes for comparing two
    binomial distributions. Biometrics 34:483-486.

    Examples
    --------
    >>> seeds_for_failure_rates(0.5, 0.05, 0.05), seeds_for_failure_rates(0.05, 0.15, 0.05)
    (17, 151)
    """
    gap, mean = abs(rate_arm - rate_baseline), (rate_arm + rate_baseline) / 2
    alpha, beta = float(stats.norm.isf(level / 2)), float(stats.norm.ppf(POWER))
    pooled = math.sqrt(2 * mean * (1 - mean))
    apart = math.sqrt(rate_arm * (1 - rate_arm) + rate_baseline * (1 - rate_baseline))
    rough = ((alpha * pooled + beta * apart) / gap) ** 2
    needed = math.ceil(rough / 4 * (1 + math.sqrt(1 + 4 / (rough * gap))) ** 2)
    if needed <= _ENUMERATED:  # the form is up to a third too large for few runs and rates near 0 or 1
        return seeds_for_rates(rate_arm, rate_baseline, level, POWER)
    return needed if needed <= MOST_SEEDS else None


def detectable_ratio_words(found: DetectableRatio | None) -> str:
    """Print the SD ratios that a test can show.

    Parameters
    ----------
    found : DetectableRatio or None
        None is printed as absent.

    Examples
    --------
    >>> from stabilitybench.statistics import DetectableRatio
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
    >>> from stabilitybench.statistics import DetectableRate
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
