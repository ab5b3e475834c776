"""Power of the exact test of failures of a report, paired or not: to see that an arm fails more, or less, often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal, stats

from stabilitybench.argument_checks import number
from stabilitybench.errors import UserError
from stabilitybench.power.questions import Look, Reach
from stabilitybench.statistics.failure_odds import _log_weights, _mid_p, _null
from stabilitybench.statistics.results import Floats

#: Tables of more runs per arm are not enumerated: the normal approximation has come close by then.
MOST_ENUMERATED = 200


def failure_power(rate_arm: float, rate_baseline: float, looks: Sequence[Look], paired: bool = True) -> float:
    r"""Return the chance that the exact test of failures shows an arm to fail more, or less, often than the baseline.

    Up to 200 runs all tables are enumerated, look after look.  Beyond, with the last look alone, :math:`\Phi((|p_1 -
    p_2| \sqrt{n} - z_{\alpha/2} \sqrt{v_0}) / \sqrt{v_1})`, where :math:`v_1 = p_1(1 - p_1) + p_2(1 - p_2)`, and
    :math:`v_0 = 2 \bar p (1 - \bar p)` or, in pairs, the chance that a pair differs.

    Parameters
    ----------
    rate_arm, rate_baseline : float
        True failure probabilities, in [0, 1]; in pairs, too, the arms fail independently.
    looks : sequence of Look
        In order; pairs need equal numbers.
    paired : bool, default True
        Whether the runs of a seed are compared with each other (McNemar).

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UserError
        For rates or looks out of range.

    Examples
    --------
    >>> from stabilitybench.power.questions import one_look
    >>> print(f"{failure_power(0.1, 0.4, one_look(20, 0.05)):.2f}")
    0.56
    """
    for name, rate in (("rate_arm", rate_arm), ("rate_baseline", rate_baseline)):
        number(name, rate, "must be a rate between 0 and 1", lambda share: 0 <= share <= 1)
    for look in looks:
        if min(look.arm, look.baseline) < 1 or not 0 < look.level < 1:
            raise UserError(f"{look}: must have at least 1 run in each arm and a level between 0 and 1")
        if paired and look.arm != look.baseline:
            raise UserError(f"{look}: pairs need as many runs in either arm")
    rates, last = (rate_arm, rate_baseline), looks[-1]
    if max(last.arm, last.baseline) > MOST_ENUMERATED:
        return _approximate(rates, last, paired)
    shown, before = 0.0, (0, 0)
    going = np.ones((1, 1))
    for look in looks:
        more = _counts(rates, (look.arm - before[0], look.baseline - before[1]), paired)
        going = more if going.shape == (1, 1) else signal.convolve(going, more, method="direct")
        stops = _shown(look, rate_arm >= rate_baseline, paired)
        shown += float(going[stops].sum())
        going, before = np.where(stops, 0.0, going), (look.arm, look.baseline)
    return min(shown, 1.0)


def failure_reach(rate_baseline: float, looks: Sequence[Look], paired: bool = True, power: float = 0.8) -> Reach:
    """Return the failure rates of an arm nearest to the baseline's that a study shows.

    Parameters
    ----------
    rate_baseline, looks, paired
        As in `failure_power`.
    power : float, default 0.8
        Chance with which they are shown, in (0, 1).

    Returns
    -------
    Reach
        On either side of the baseline's rate; None where not even 0 or 1 is shown.

    Raises
    ------
    UserError
        As in `failure_power`.

    Examples
    --------
    >>> from stabilitybench.power.questions import one_look
    >>> found = failure_reach(0.0, one_look(20, 0.05))
    >>> print(found.below, f"{found.above:.2f}")
    None 0.31
    """

    def reaches(rate: float) -> bool:
        return failure_power(rate, rate_baseline, looks, paired) >= power

    def nearest(end: float) -> float | None:
        if rate_baseline == end or not reaches(end):
            return None
        near, far = rate_baseline, end
        while abs(far - near) > 1e-4:
            middle = (near + far) / 2
            near, far = (near, middle) if reaches(middle) else (middle, far)
        return far

    return Reach(nearest(0.0), nearest(1.0))


def chance_to_tell(rate: float, n: int, paired: bool = True) -> float:
    """Return the chance that two arms with one failure rate can be told apart at all: some run failed, and not all.

    Parameters
    ----------
    rate : float
        Of failure in both arms, in [0, 1].
    n : int
        Runs per arm.
    paired : bool, default True
        Whether the runs make pairs, which are told apart by those alone of which one run failed.

    Examples
    --------
    >>> chance_to_tell(0.0, 20), round(chance_to_tell(0.1, 20), 2)
    (0.0, 0.98)
    """
    same = rate * rate + (1 - rate) ** 2
    return 1 - same**n if paired else 1 - rate ** (2 * n) - (1 - rate) ** (2 * n)


@lru_cache(maxsize=64)
def p_table(sizes: tuple[int, ...]) -> Floats:
    """Return the p-value of every outcome of `failure_contrast` or, for one size, of `paired_failure_contrast`.

    Parameters
    ----------
    sizes : tuple of int
        Runs of arm and baseline, or pairs.

    Returns
    -------
    ndarray, shape (n + 1, m + 1)
        Failed runs of the arm in rows and of the baseline in columns; for pairs those of which only the arm's run, and
        only the baseline's, failed, and 1 where there are not so many pairs.
    """
    ranks, chances = _null(sizes)
    table = np.ones((sizes[0] + 1, sizes[-1] + 1))
    for total in range(sum(sizes) + 1):
        p = chances[np.searchsorted(ranks, _mid_p(_log_weights(sizes, total)) - 1e-10)]
        first = max(0, total - sizes[1]) if len(sizes) == 2 else 0
        arm = np.arange(first, first + len(p))
        table[arm, total - arm] = p
    return table


def _shown(look: Look, more: bool, paired: bool) -> npt.NDArray[np.bool_]:
    """Tell which outcomes show a difference, in its direction."""
    table = p_table((look.arm,) if paired else (look.arm, look.baseline))
    arm, baseline = np.ogrid[: look.arm + 1, : look.baseline + 1]
    ahead = arm * look.baseline - baseline * look.arm
    shown: npt.NDArray[np.bool_] = (table < look.level) & (ahead > 0 if more else ahead < 0)
    return shown


def _counts(rates: tuple[float, float], runs: tuple[int, int], paired: bool) -> Floats:
    """Return the chance of every outcome of so many runs, as in `p_table`."""
    first, second = (np.arange(n + 1) for n in runs)
    if not paired:
        return np.outer(stats.binom.pmf(first, runs[0], rates[0]), stats.binom.pmf(second, runs[1], rates[1]))
    alone, other = rates[0] * (1 - rates[1]), rates[1] * (1 - rates[0])
    rest = min(1.0, other / (1 - alone)) if alone < 1 else 0.0
    chance: Floats = stats.binom.pmf(first, runs[0], alone)[:, None] * stats.binom.pmf(
        second[None, :], (runs[0] - first)[:, None], rest
    )
    return chance


def _approximate(rates: tuple[float, float], look: Look, paired: bool) -> float:
    arm, baseline = rates
    gap, mean = abs(arm - baseline), (arm * look.arm + baseline * look.baseline) / (look.arm + look.baseline)
    true = arm * (1 - arm) / look.arm + baseline * (1 - baseline) / look.baseline
    null = mean * (1 - mean) * (1 / look.arm + 1 / look.baseline)
    if paired:
        null = (arm + baseline - 2 * arm * baseline) / look.arm
    beyond = gap - float(stats.norm.isf(look.level / 2)) * math.sqrt(null)
    return float(stats.norm.cdf(beyond / math.sqrt(true))) if true > 0 else float(beyond > 0)
