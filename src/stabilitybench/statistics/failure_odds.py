"""Does an arm fail more often: a test and an interval that cannot disagree, for independent and for paired runs.

Given how many runs failed in all (or how many pairs differ), only the odds ratio decides which arm they are of. Mid-p
tail chances rank the outcomes; the p-value is the largest chance, over all rates of failure, of an outcome ranked as
far out. So the size is at most the level, which mid-p alone exceeds: up to .058 for independent arms (17 + 17 runs at a
rate of .5), up to .077 for pairs (16, all of which differ), over all rates and 5 to 50 runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from stabilitybench.errors import UserError
from stabilitybench.statistics.failure import check_counts
from stabilitybench.statistics.results import Floats, check_level

_RATES = np.linspace(0, 1, 201)
# with more tables than these the largest chance takes too long, and mid-p alone has a size of at most .055
_MOST_TABLES = 250_000
# the log of an odds ratio that no count of runs tells from infinity
_LARGEST_LOG = 200.0


@dataclass(frozen=True)
class FailureContrast:
    """The odds of failure of an arm over those of the baseline, with interval and test.

    Attributes
    ----------
    odds_ratio : float or None
        Infinite where only the arm failed (paired: alone); None where the counts do not define it.
    low, high : float
        The interval, from 0 to infinity at most; it excludes 1 exactly where p lies below 1 - level.
    p : float
        Of the two-sided test of equal rates; 1 where nothing can be told.
    counts : tuple of int
        Failed runs of arm and baseline; paired: pairs of which only the arm's run failed, and only the baseline's.
    n : tuple of int
        Runs of arm and baseline.
    method : str
        How test and interval were made.
    """

    odds_ratio: float | None
    low: float
    high: float
    p: float
    counts: tuple[int, int]
    n: tuple[int, int]
    method: str


def failure_contrast(
    failed_arm: int, n_arm: int, failed_baseline: int, n_baseline: int, level: float = 0.95
) -> FailureContrast:
    """Compare the failure rates of independent arms, by an exact unconditional test that ranks by mid-p [1]_ [2]_.

    The interval is the conditional mid-p interval of the odds ratio, at the confidence that makes it agree with the
    test. It is less careful than Fisher's test, and does not disagree with itself as Fisher beside Newcombe does.

    Parameters
    ----------
    failed_arm, n_arm : int
        Failed and all runs of the arm.
    failed_baseline, n_baseline : int
        The same of the baseline.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    FailureContrast
        Without information (no run or every run failed) p is 1 and the interval goes from 0 to infinity.

    Raises
    ------
    UserError
        Unless 0 <= failed <= n in both arms and 0 < level < 1.

    References
    ----------
    .. [1] Boschloo (1970), Statistica Neerlandica 24:1-9.
    .. [2] Hirji, Tan & Elashoff (1991), Statist. Med. 10:1137-1153.

    Examples
    --------
    >>> found = failure_contrast(1, 20, 7, 20)
    >>> f"{found.odds_ratio:.2f} [{found.low:.2f}, {found.high:.2f}], p = {found.p:.3f}"
    '0.10 [0.00, 0.75], p = 0.022'
    """
    check_counts(failed_arm, n_arm)
    check_counts(failed_baseline, n_baseline)
    sizes = (int(n_arm), int(n_baseline))
    total, ok = failed_arm + failed_baseline, (n_arm - failed_arm, n_baseline - failed_baseline)
    above, below = failed_arm * ok[1], failed_baseline * ok[0]
    at = int(failed_arm - max(0, total - n_baseline))
    p, low, high = _exact(sizes, int(total), at, check_level(level))
    method = "exact unconditional, ranked by mid-p" if _countable(sizes) else "conditional mid-p"
    counts = (int(failed_arm), int(failed_baseline))
    return FailureContrast(_quotient(above, below), low, high, p, counts, sizes, method)


def paired_failure_contrast(
    arm_failed: npt.ArrayLike, baseline_failed: npt.ArrayLike, level: float = 0.95
) -> FailureContrast:
    """Compare the failure rates of paired runs: McNemar's comparison, exact unconditional, ranked by mid-p [1]_.

    Only the pairs of which one run failed tell anything; the odds ratio is that of their two kinds.

    Parameters
    ----------
    arm_failed, baseline_failed : array_like of bool, shape (n,)
        Whether a run failed; run i of one arm belongs to run i of the other.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    FailureContrast
        Without information (no pair differs) p is 1 and the interval goes from 0 to infinity.

    Raises
    ------
    UserError
        For unequal numbers of runs, values that are not true or false, or a level outside (0, 1).

    References
    ----------
    .. [1] Fagerland, Lydersen & Laake (2013), BMC Med. Res. Methodol. 13:91.

    Examples
    --------
    >>> found = paired_failure_contrast([False] * 8, [True] * 6 + [False] * 2)
    >>> found.counts, f"{found.odds_ratio:.2f} [{found.low:.2f}, {found.high:.2f}], p = {found.p:.3f}"
    ((0, 6), '0.00 [0.00, 0.75], p = 0.016')
    """
    first, second = np.asarray(arm_failed), np.asarray(baseline_failed)
    if first.ndim != 1 or first.shape != second.shape or not first.dtype == second.dtype == np.bool_:
        raise UserError(f"failed runs of shapes {first.shape} and {second.shape}: must be True or False, one per pair")
    n, counts = first.size, (int((first & ~second).sum()), int((second & ~first).sum()))
    p, low, high = _exact((n,), sum(counts), counts[0], check_level(level))
    method = "McNemar, exact unconditional, ranked by mid-p" if _countable((n,)) else "McNemar, mid-p"
    return FailureContrast(_quotient(*counts), low, high, p, counts, (n, n), method)


def _exact(sizes: tuple[int, ...], total: int, at: int, level: float) -> tuple[float, float, float]:
    """Return p and the limits of the odds ratio at outcome `at` of those with `total` failures or unequal pairs."""
    weights = _log_weights(sizes, total)
    if not _countable(sizes):
        return float(_mid_p(weights)[at]), *_limits(weights, at, 1 - level)
    ranks, chances = _null(sizes)
    p = float(chances[np.searchsorted(ranks, _mid_p(weights)[at] - 1e-10)])
    # the conditional interval that leaves 1 out wherever the rank is among those rejected, half-way to the next
    rejected = int(np.searchsorted(chances, 1 - level))
    alpha = float(ranks[rejected] + (ranks[rejected - 1] if rejected else 0)) / 2
    return p, *_limits(weights, at, alpha)


def _countable(sizes: tuple[int, ...]) -> bool:
    return math.prod(sizes) <= _MOST_TABLES and max(sizes) ** 2 <= 2 * _MOST_TABLES


def _limits(weights: Floats, at: int, alpha: float) -> tuple[float, float]:
    """Return the mid-p limits of the odds ratio, from 0 to infinity at most."""
    beyond = _limit(weights[::-1], len(weights) - 1 - at, alpha / 2)
    return _limit(weights, at, alpha / 2), 1 / beyond if beyond else math.inf


@lru_cache(maxsize=512)
def _null(sizes: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the ranks (mid-p) that occur, and the largest chance over all rates of one as small, both ascending."""
    strata = [_log_weights(sizes, k) for k in range(sum(sizes) + 1)]
    of = np.repeat(np.arange(len(strata)), [len(x) for x in strata])
    rank, share = (np.concatenate([f(x) for x in strata]) for f in (_mid_p, special.softmax))
    order = np.argsort(rank, kind="stable")
    rank, share, of = rank[order], share[order], of[order]
    last = np.append(np.diff(rank) > 1e-10, True)
    chances = np.zeros(int(last.sum()))
    for rate in _RATES:
        within = stats.binom.pmf(np.arange(len(strata)), len(strata) - 1, rate)
        chances = np.maximum(chances, np.cumsum(within[of] * share)[last])
    chances[-1] = 1.0  # but for rounding
    return rank[last], np.minimum(chances, 1.0)


def _log_weights(sizes: tuple[int, ...], total: int) -> Floats:
    """Return the log number of ways to each outcome: of failures among two arms, or of the sides of unequal pairs."""

    def ways(n: int, k: npt.NDArray[np.intp]) -> Floats:
        return np.asarray(-special.betaln(n - k + 1, k + 1) - math.log(n + 1), dtype=np.float64)

    if len(sizes) == 1:
        return ways(total, np.arange(total + 1))
    first = np.arange(max(0, total - sizes[1]), min(sizes[0], total) + 1)
    return ways(sizes[0], first) + ways(sizes[1], total - first)


def _mid_p(log_weights: Floats) -> Floats:
    """Return the two-sided mid-p of each outcome at an odds ratio of 1."""
    chance = special.softmax(log_weights)
    below = np.cumsum(chance) - chance / 2
    p: Floats = np.minimum(2 * np.minimum(below, 1 - below), 1.0)
    return p


def _limit(log_weights: Floats, at: int, tail: float) -> float:
    """Return the odds ratio at which the mid-p chance of `at` or more is `tail`; 0 where it always is larger."""
    from scipy.optimize import brentq

    if at == 0:  # the lowest outcome is no evidence against small ratios
        return 0.0
    k = np.arange(len(log_weights))

    def beyond(log_odds: float) -> float:
        chance = special.softmax(log_weights + k * log_odds)
        return float(chance[at:].sum() - chance[at] / 2) - tail

    return math.exp(brentq(beyond, -_LARGEST_LOG, _LARGEST_LOG, xtol=1e-12))


def _quotient(above: int, below: int) -> float | None:
    return above / below if below else math.inf if above else None
