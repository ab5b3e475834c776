"""Whether the best of a few runs is likely to reach a goal: the binomial test of the share of runs that reach it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from stabilitybench.argument_checks import count
from stabilitybench.statistics.decisions import ALPHA


@dataclass(frozen=True)
class BestChance:
    """The chance that the best of some runs reaches a goal.

    Attributes
    ----------
    estimate, low, high : float
        The chance with its 95 % interval, from that of Clopper and Pearson for one run.
    p : float
        Two-sided, that the chance is one half.
    """

    estimate: float
    low: float
    high: float
    p: float


def chance_of_best(reached: int, n: int, runs: int) -> BestChance:
    r"""Return the chance :math:`1 - (1 - q)^m` that the best of m runs reaches a goal that one reaches with chance q.

    Parameters
    ----------
    reached, n : int
        How many of how many recorded runs reached the goal.
    runs : int
        m, at least 1.

    Raises
    ------
    UserError
        Unless ``0 <= reached <= n``, n and m at least 1.

    Examples
    --------
    >>> chance_of_best(5, 10, 2).estimate
    0.75
    """
    count("n", n)
    count("reached", reached, 0, n)
    count("runs", runs)
    test = stats.binomtest(reached, n, _one_run(0.5, runs))
    limits = test.proportion_ci(1 - ALPHA)
    chances = (reached / n, float(limits.low), float(limits.high))
    estimate, low, high = (1 - (1 - q) ** runs for q in chances)
    return BestChance(estimate, low, high, float(test.pvalue))


@lru_cache(maxsize=4096)
def best_chance_power(chance: float, runs: int, n: int, alpha: float = ALPHA) -> float:
    """Return the power of the test of `chance_of_best` to see a chance above one half.

    Parameters
    ----------
    chance : float
        That the best of `runs` runs reaches the goal, in truth.
    runs, n : int
        As in `chance_of_best`.
    alpha : float, default 0.05
        Level of the two-sided test.

    Examples
    --------
    >>> best_chance_power(0.5, 1, 20) < 0.05 < best_chance_power(0.9, 1, 20)
    True
    """
    counts = np.arange(n + 1)
    null, true = (stats.binom.pmf(counts, n, _one_run(c, runs)) for c in (0.5, chance))
    rejected = np.array([null[null <= mass * (1 + 1e-7)].sum() < alpha for mass in null])
    return float(true[rejected & (counts > n * _one_run(0.5, runs))].sum())


def _one_run(chance: float, runs: int) -> float:
    """Return the chance of one run with which the best of `runs` has the given chance."""
    return 1.0 - float((1.0 - chance) ** (1.0 / runs))
