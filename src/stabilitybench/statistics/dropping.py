"""Dropping the runs that look bad early: what it saves, what it loses, and how early a failure shows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import comb

from stabilitybench.argument_checks import count, inside, mapping, number, whole
from stabilitybench.errors import UserError
from stabilitybench.statistics.level import probability_of_improvement
from stabilitybench.statistics.location import expected_best
from stabilitybench.statistics.results import Estimate, Floats, check_draws, paired_samples, sample

# all subsets of more runs would overflow a float
LARGEST = 1000


def dropping_cost(started: int, dropped: int, fraction: float) -> float:
    """Return what it costs, in whole runs, to start runs and to stop some of them early.

    ``(s - k) + k f`` [1]_.

    Parameters
    ----------
    started : int
        s, the runs that start.
    dropped : int
        k, the runs that are stopped; 0 <= k < s.
    fraction : float
        f, the part of its training after which a run is stopped, in (0, 1).

    Raises
    ------
    UserError
        For numbers out of these ranges.

    References
    ----------
    .. [1] Dodge et al. (2020), arXiv:2002.06305.

    Examples
    --------
    >>> dropping_cost(10, 5, 0.4)
    7.0
    """
    count("started", started)
    whole("dropped", dropped, f"must be at least 0 and below started = {started}", lambda k: 0 <= k < started)
    inside("fraction", fraction, 0, 1)
    return float((started - dropped) + dropped * fraction)


def early_dropping(
    early: npt.ArrayLike, final: npt.ArrayLike, started: int, dropped: int, score: npt.ArrayLike | None = None
) -> float:
    r"""Return the expected score of the run kept in the end, when bad runs are dropped early.

    `started` runs are drawn without replacement from those recorded; the `dropped` ones with the lowest reading `early`
    are stopped, the others finish, and the one with the highest `final` is kept. Equal readings are dropped, and equal
    finals kept, in the order given.

    The mean is exact, over all subsets: with :math:`b_t` runs below t in `early`, and with :math:`a_{ti}` runs above t
    whose final is below that of i, run i is kept in

    .. math:: \binom{b_i}{k}\binom{a_{ii}}{s-k-1} + \sum_{t} \binom{b_t}{k}\binom{a_{ti}}{s-k-2}

    of the :math:`\binom{n}{s}` subsets, t running over the runs below i in both. Dodge et al. [1]_ estimate the same by
    drawing subsets.

    Parameters
    ----------
    early : array_like, shape (n,)
        Early reading of each recorded run, higher is better.
    final : array_like, shape (n,)
        What runs that finish are chosen by, higher is better.
    started : int
        Runs that start, at most n.
    dropped : int
        Runs that are stopped; 0 <= dropped < started.
    score : array_like, shape (n,), optional
        What the kept run counts, such as the test score where runs are chosen by validation; `final` itself where it is
        left out.

    Raises
    ------
    UserError
        For lengths that differ, numbers that are not finite or out of range, or more than 1,000 runs.

    References
    ----------
    .. [1] Dodge et al. (2020), arXiv:2002.06305.

    Examples
    --------
    >>> early, final = [0.5, 0.6, 0.5, 0.7], [0.6, 0.7, 0.5, 0.9]
    >>> early_dropping(early, final, started=4, dropped=2)
    0.9
    >>> round(early_dropping(early, final, started=2, dropped=1), 3)  # pairs: 0.7, 0.5, 0.9, 0.7, 0.9, 0.9
    0.767
    """
    readings, finals = sample(early, "early"), sample(final, "final")
    scores = finals if score is None else sample(score, "score")
    n = readings.size
    if not n == finals.size == scores.size:
        raise UserError(f"{n} early readings, {finals.size} finals, {scores.size} scores: must be one of each per run")
    if n > LARGEST:
        raise UserError(f"{n} runs: must be at most {LARGEST}, or their subsets are too many to count")
    dropping_cost(started, dropped, 0.5)
    whole("started", started, f"must be at most the {n} runs there are", lambda s: s <= n)
    # places of the runs from the worst reading to the best; the first of equal readings goes first
    order = np.argsort(readings, kind="stable")
    # ranks of the finals in that order; the first of equal finals wins
    finals, scores = finals[order], scores[order]
    rank = np.empty(n, dtype=np.int64)
    rank[np.lexsort((-order, finals))] = np.arange(n)
    kept = started - dropped
    lower = rank[None, :] < rank[:, None]  # lower[i, j]: run j ends below run i
    above = lower[:, ::-1].cumsum(axis=1)[:, ::-1] - lower  # above[i, t]: those of them beyond place t
    doomed = comb(np.arange(n), dropped)  # ways to choose the dropped ones below each place
    ways = doomed * comb(np.diagonal(above), kept - 1)
    if kept >= 2:
        below = np.tril(lower, -1)  # t stands below i in both
        ways += (below * doomed * comb(above, kept - 2)).sum(axis=1)
    weights = ways / ways.sum()
    return float(scores[0] + weights @ (scores - scores[0]))


def dropping_plans(
    readings: Mapping[float, npt.ArrayLike], final: npt.ArrayLike, budget: float, score: npt.ArrayLike | None = None
) -> pd.DataFrame:
    """Return the plans of early dropping that a budget admits, best first.

    For every number of starts and every fraction, as few runs are dropped as the budget allows. The best of many plans
    on the same runs looks better than it will be on others.

    Parameters
    ----------
    readings : mapping of float to array_like, shape (n,)
        For each fraction of the training in (0, 1), the early readings as in `early_dropping`.
    final : array_like, shape (n,)
        What runs that finish are chosen by, higher is better.
    budget : float
        The most that a plan may cost, in whole runs; at least 1.
    score : array_like, shape (n,), optional
        What the kept run counts; `final` itself where it is left out.

    Returns
    -------
    pandas.DataFrame
        One row per plan: started, dropped, fraction, cost and expected (the score of the run kept); the plan without
        dropping has fraction NaN.

    Raises
    ------
    UserError
        For a budget below 1 or what `early_dropping` refuses.

    Examples
    --------
    >>> readings = {0.5: [0.5, 0.6, 0.5, 0.7]}
    >>> plans = dropping_plans(readings, [0.6, 0.7, 0.5, 0.9], budget=2)
    >>> plans[["started", "dropped", "expected"]].round(3).values.tolist()
    [[3.0, 2.0, 0.85], [2.0, 0.0, 0.783]]
    """
    finals = sample(final, "final")
    budget = number("budget", budget, "must be at least 1 run", lambda runs: runs >= 1)
    mapping("readings", readings, "fractions of the training to early readings")
    plain = min(int(budget), finals.size)
    first = next(iter(readings.values()), finals)
    rows = [(plain, 0, math.nan, float(plain), early_dropping(first, finals, plain, 0, score))]
    for fraction, early in readings.items():
        dropping_cost(2, 1, fraction)
        for started in range(plain + 1, finals.size + 1):
            dropped = math.ceil((started - budget) / (1 - fraction) - 1e-9)
            if dropped < started:
                cost = dropping_cost(started, dropped, fraction)
                rows.append((started, dropped, fraction, cost, early_dropping(early, finals, started, dropped, score)))
    table = pd.DataFrame(rows, columns=["started", "dropped", "fraction", "cost", "expected"])
    return table.sort_values(["expected", "cost"], ascending=[False, True], kind="stable", ignore_index=True)


def plain_best(final: npt.ArrayLike, budget: float) -> float:
    """Return the expected best of runs that all finish; between whole numbers of runs it is interpolated.

    Parameters
    ----------
    final : array_like, shape (n,)
        Final scores, higher is better.
    budget : float
        How many runs finish, in [1, n].

    Raises
    ------
    UserError
        For a budget out of this range, or scores that are not finite.

    Examples
    --------
    >>> round(plain_best([0.6, 0.7, 0.8], 1.5), 3)
    0.733
    """
    values = sample(final, "final")
    if not values.size:
        raise UserError("final: holds no scores: needs at least 1")
    allowed = f"must lie between 1 and the {values.size} runs there are"
    budget = number("budget", budget, allowed, lambda runs: 1 <= runs <= values.size)
    low = math.floor(budget)
    high = min(low + 1, values.size)
    one, two = expected_best(values, [low, high])
    return float(one + (budget - low) * (two - one))


def failure_auc(early: npt.ArrayLike, failed: npt.ArrayLike, level: float = 0.95) -> Estimate:
    """Return the probability that a failed run has a lower early reading than one that did not fail.

    1: the reading tells every failure; 0.5: it tells nothing. Ties count one half.

    Parameters
    ----------
    early : array_like, shape (n,)
        One reading per run, higher is better (for a loss, its negative).
    failed : array_like of bool, shape (n,)
        Which runs failed.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Estimate
        With the interval of `probability_of_improvement`; undefined, with a note, where no run or every run failed.

    Raises
    ------
    UserError
        For lengths that differ, flags that are no booleans, or readings that are not finite.

    Examples
    --------
    >>> failure_auc([0.50, 0.50, 0.55, 0.70], [True, True, False, False]).estimate
    1.0
    """
    readings = sample(early, "early")
    flags = _flags(failed)
    if flags.shape != readings.shape or flags.dtype != np.bool_:
        raise UserError(f"failed: {flags.size} flags for {readings.size} early readings: must be one boolean per run")
    if flags.all() or not flags.any():
        which = "no run" if not flags.any() else "every run"
        return Estimate(None, None, None, "Brunner-Munzel on the logit scale", f"undefined: {which} failed")
    return probability_of_improvement(readings[~flags], readings[flags], level)


def _flags(failed: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    try:
        return np.asarray(failed)
    except ValueError:  # lists of different lengths
        return np.empty(0, dtype=np.bool_)


def dropping_gains(
    early: npt.ArrayLike,
    final: npt.ArrayLike,
    started: int,
    dropped: int,
    fraction: float,
    rng: np.random.Generator,
    resamples: int = 1_999,
) -> tuple[float, Floats]:
    """Return what early dropping gains over as many whole runs as it costs, and the same over bootstrap samples.

    The gain is the expected best of the runs kept minus that of so many undisturbed runs, both drawn with replacement
    from the recorded ones.

    Parameters
    ----------
    early, final : array_like
        One reading and one final score for each recorded run, higher is better.
    started, dropped, fraction
        As in `dropping_cost`; the cost must be a whole number of runs.
    rng : numpy.random.Generator
        Draws the runs.
    resamples : int, default 1999
        Number of bootstrap samples, at least 99.

    Returns
    -------
    float, array
        The gain, and that of each bootstrap sample.

    Raises
    ------
    UserError
        Where the cost is no whole number of runs.

    Examples
    --------
    >>> final = np.arange(10.0)
    >>> gain, drawn = dropping_gains(final, final, 8, 5, 0.4, np.random.default_rng(0), resamples=99)
    >>> gain > 0, drawn.shape
    (True, (99,))
    """
    readings, finals = paired_samples(early, final)
    check_draws(rng, resamples, "resamples")
    cost = dropping_cost(started, dropped, fraction)
    if abs(cost - round(cost)) > 1e-9:
        raise UserError(f"{started} runs without {dropped} after {fraction} of the training cost {cost} whole runs")
    n, inner = len(finals), 200

    def gain(rows: npt.NDArray[np.intp]) -> float:
        sets = rows[rng.integers(0, n, (inner, started))]
        kept = np.argsort(-readings[sets], axis=1, kind="stable")[:, : started - dropped]
        best = np.take_along_axis(finals[sets], kept, axis=1).max(axis=1).mean()
        return float(best) - float(expected_best(finals[rows], [round(cost)], replace=True)[0])

    everything = np.arange(n)
    effect = float(np.mean([gain(everything) for _ in range(100)]))
    return effect, np.array([gain(rng.integers(0, n, n)) for _ in range(resamples)])
