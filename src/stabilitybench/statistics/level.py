"""Level across seeds: how good runs are, how good the best of a few, and whether one arm is better or as good."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.special import gammaln

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import (
    Estimate,
    Floats,
    TestResult,
    check_draws,
    check_level,
    is_constant,
    sample,
)

# a claim of almost stochastic dominance needs the violation to be surely below this (Ulmer et al. 2022)
DOMINANT = 0.2


@dataclass(frozen=True)
class Dominance:
    """Almost stochastic order of an arm over the baseline.

    Attributes
    ----------
    violation : float or None
        Estimated share of the quantile distance at which the baseline is ahead, 0 (the arm's every quantile is at least
        as high) to 1; None when undefined.
    upper : float or None
        Upper confidence limit of the violation at the corrected level.
    dominant : bool
        True when `upper` is below 0.2.
    level : float
        The corrected one-sided level, 1 - (1 - level) / comparisons.
    note : str
        Why there is no answer; empty otherwise.
    """

    violation: float | None
    upper: float | None
    dominant: bool
    level: float
    note: str


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided Welch tests (TOST) of whether two means differ by less than a margin.

    Attributes
    ----------
    difference : float or None
        Mean of the arm minus mean of the baseline.
    low, high : float or None
        Its 1 - 2 alpha confidence interval, which lies inside (-margin, margin) exactly when p < alpha.
    margin : float
        The largest difference that counts as none.
    test : TestResult
        The larger of the two one-sided p-values, and its t.
    equivalent : bool
        Whether p < alpha.
    """

    difference: float | None
    low: float | None
    high: float | None
    margin: float
    test: TestResult
    equivalent: bool


def iqm(scores: npt.ArrayLike) -> float:
    """Return the interquartile mean: the mean without the lowest and the highest floor(n / 4) scores.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Finite scores, n >= 1.

    Raises
    ------
    UserError
        For no scores or a score that is not finite.

    Examples
    --------
    >>> iqm([0.0, 0.70, 0.71, 0.72, 0.73, 0.74, 0.75, 0.99])
    0.725
    """
    values = sample(scores, "iqm")
    if values.size == 0:
        raise UserError("iqm: 0 scores: needs at least 1")
    return float(round_trip_mean(np.sort(values)[values.size // 4 : values.size - values.size // 4]))


def round_trip_mean(values: Floats) -> float:
    """Return the mean; equal values give exactly that value.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        n >= 1.
    """
    return float(values[0] + (values - values[0]).mean())


def levels(scores: npt.ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """Return mean, median and interquartile mean with confidence intervals.

    The mean has Student's t limits, the median those of order statistics (conservative, free of assumptions), the
    interquartile mean those of Tukey & McLaughlin [1]_. Failed runs pull the mean most and the interquartile mean
    least.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores of independent runs, n >= 1.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        Rows mean, median and iqm; columns estimate, low, high, method and note. A limit that `note` explains away is
        NaN.

    Raises
    ------
    UserError
        For no scores, a score that is not finite or a level outside (0, 1).

    References
    ----------
    .. [1] Tukey & McLaughlin (1963), Sankhya A 25:331-352.

    Examples
    --------
    >>> levels([0.70, 0.71, 0.72, 0.73, 0.74, 0.0])["estimate"].round(3).to_dict()
    {'mean': 0.6, 'median': 0.715, 'iqm': 0.715}
    """
    values = np.sort(sample(scores, "levels"))
    check_level(level)
    if values.size == 0:
        raise UserError("levels: 0 scores: needs at least 1")
    rows = {
        "mean": _mean(values, 0, level, "Student's t"),
        "median": _median(values, level),
        "iqm": _mean(values, values.size // 4, level, "Tukey-McLaughlin t"),
    }
    return pd.DataFrame(
        {name: [getattr(row, name) for row in rows.values()] for name in ("estimate", "low", "high", "method", "note")},
        index=list(rows),
    ).astype({"estimate": float, "low": float, "high": float})


def _mean(values: Floats, cut: int, level: float, method: str) -> Estimate:
    """Return the mean of sorted values without `cut` on each side; its SE comes from the winsorised variance."""
    n = values.size
    estimate = round_trip_mean(values[cut : n - cut])
    df = n - 2 * cut - 1
    if df < 1:
        return Estimate(estimate, None, None, method, "no interval: fewer than 2 runs are left")
    if is_constant(values):
        return Estimate(estimate, None, None, method, "no interval: all scores are equal")
    winsorised = np.clip(values, values[cut], values[n - cut - 1]) - estimate
    se = float(np.std(winsorised, ddof=1)) * math.sqrt(n) / (n - 2 * cut)
    if se == 0:
        return Estimate(estimate, None, None, method, "no interval: the middle half of the scores are equal")
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    return Estimate(estimate, estimate - half, estimate + half, method, "")


def _median(values: Floats, level: float) -> Estimate:
    n, method = values.size, "order statistics"
    estimate = float(np.median(values))
    # fewer than k scores lie below the median with a probability under (1 - level) / 2
    k = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
    if k < 1:
        return Estimate(estimate, None, None, method, f"no interval: {n} runs are too few at this level")
    return Estimate(estimate, float(values[k - 1]), float(values[n - k]), method, "")


def expected_best(scores: npt.ArrayLike, budgets: npt.ArrayLike, replace: bool = False) -> Floats:
    r"""Return the expected maximum of m runs, for several m.

    Without replacement it is the mean over all subsets of m of the n runs, :math:`\sum_i x_{(i)} \binom{i-1}{m-1} /
    \binom{n}{m}`, free of bias for m <= n [1]_. With replacement it is that of m draws from the scores, :math:`\sum_i
    x_{(i)} [(i/n)^m - ((i-1)/n)^m]` [2]_, too low by construction but defined for every m. Compare arms at equal m
    only.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores of independent runs, higher is better.
    budgets : array_like of int, shape (k,)
        The numbers of runs m, from 1 (to n, without replacement).
    replace : bool, default False
        Whether the m runs are drawn with replacement.

    Returns
    -------
    numpy.ndarray, shape (k,)
        One expectation for each budget.

    Raises
    ------
    UserError
        For no scores, a score that is not finite, or a budget out of range.

    References
    ----------
    .. [1] Tang et al. (2020), ACL.
    .. [2] Dodge et al. (2019), EMNLP.

    Examples
    --------
    >>> expected_best([0.6, 0.7, 0.8], [1, 2, 3]).round(3).tolist()
    [0.7, 0.767, 0.8]
    >>> expected_best([0.6, 0.7, 0.8], [1, 2, 3], replace=True).round(3).tolist()
    [0.7, 0.744, 0.767]
    """
    values = np.sort(sample(scores, "expected_best"))
    n = values.size
    if n == 0:
        raise UserError("expected_best: 0 scores: needs at least 1")
    wanted = np.atleast_1d(np.asarray(budgets))
    if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
        raise UserError(f"budgets = {budgets!r:.80}: must be whole numbers of runs")
    if wanted.size and (wanted.min() < 1 or (not replace and wanted.max() > n)):
        allowed = "at least 1" if replace else f"from 1 to the {n} runs there are, or replace = True"
        raise UserError(f"budgets = {wanted.tolist()!s:.80}: must be {allowed}")
    m = wanted[:, None].astype(np.float64)
    place = np.arange(1, n + 1, dtype=np.float64)
    if replace:
        weights = (place / n) ** m - ((place - 1) / n) ** m
    else:
        with np.errstate(invalid="ignore"):
            logs = _log_binomial(place - 1, m - 1) - _log_binomial(np.full(n, float(n)), m)
        weights = np.where(place >= m, np.exp(logs), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    best: Floats = np.minimum(values[0] + weights @ (values - values[0]), values[-1])
    return best


def _log_binomial(n: Floats, k: Floats) -> Floats:
    result: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0.0) + 1)
    return result


def probability_of_improvement(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> Estimate:
    """Return the probability that a run of the arm beats one of the baseline, ties counting one half.

    It is the Mann-Whitney U over n m. The interval takes the variance and the degrees of freedom of Brunner & Munzel
    [1]_ on the logit scale, so that it stays inside (0, 1) and swapping the arms gives one minus the limits.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Estimate
        No interval, with a note, below 3 runs per arm and when every run of one arm beats every run of the other.

    Raises
    ------
    UserError
        For scores that are not finite or a level outside (0, 1).

    References
    ----------
    .. [1] Brunner & Munzel (2000), Biom. J. 42:17-25.

    Examples
    --------
    >>> found = probability_of_improvement([0.72, 0.70, 0.74, 0.71], [0.69, 0.71, 0.66, 0.70])
    >>> f"{found.estimate:.3f} [{found.low:.2f}, {found.high:.2f}]"
    '0.875 [0.30, 0.99]'
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    check_level(level)
    method = "Brunner-Munzel on the logit scale"
    n, m = first.size, second.size
    if min(n, m) == 0:
        return Estimate(None, None, None, method, "no probability: an arm has no run")
    overall = stats.rankdata(np.concatenate([first, second]))
    ranks = overall[:n], overall[n:]
    estimate = min(max((float(ranks[0].mean()) - (n + 1) / 2) / m, 0.0), 1.0)
    if min(n, m) < 3:
        return Estimate(estimate, None, None, method, "no interval: an arm has fewer than 3 runs")
    if estimate in (0.0, 1.0):
        return Estimate(estimate, None, None, method, "no interval: every run of one arm beats every run of the other")
    # how many runs of the other arm each run beats
    parts = [
        float(np.var(rank - stats.rankdata(values), ddof=1)) / (values.size * other**2)
        for rank, values, other in zip(ranks, (first, second), (m, n), strict=True)
    ]
    total = sum(parts)
    if total == 0:
        return Estimate(estimate, None, None, method, "no interval: the placements of the runs do not vary")
    df = total**2 / sum(part**2 / (size - 1) for part, size in zip(parts, (n, m), strict=True))
    half = float(stats.t.ppf(0.5 + level / 2, df)) * math.sqrt(total) / (estimate * (1 - estimate))
    centre = math.log(estimate / (1 - estimate))
    low, high = (_logistic(centre + sign * half) for sign in (-1, 1))
    return Estimate(estimate, low, high, method, "")


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(max(x, -745.0)) / (1 + math.exp(max(x, -745.0)))


def stochastic_dominance(
    arm: npt.ArrayLike,
    baseline: npt.ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    comparisons: int = 1,
    resamples: int = 1999,
) -> Dominance:
    r"""Tell whether the arm's scores almost stochastically dominate the baseline's (ASO).

    The violation is :math:`\int_{F^{-1} < G^{-1}} (F^{-1} - G^{-1})^2 / \int (F^{-1} - G^{-1})^2` over the quantile
    functions F of the arm and G of the baseline [1]_ [2]_, computed exactly. Its upper limit is normal with the
    bootstrap SE.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, higher is better.
    rng : numpy.random.Generator
        Draws the resamples.
    level : float, default 0.95
        One-sided confidence level of all comparisons together, in (0, 1).
    comparisons : int, default 1
        How many comparisons the level is corrected for, by Bonferroni.
    resamples : int, default 1999
        Bootstrap resamples, at least 99.

    Returns
    -------
    Dominance
        Undefined, with a note, below 3 runs per arm, where so few runs do not overlap by chance more often than the
        level allows, and when the two samples are the same.

    Raises
    ------
    UserError
        For scores that are not finite, a level, comparisons or resamples out of range.

    References
    ----------
    .. [1] del Barrio, Cuesta-Albertos & Matran (2018), An optimal transportation approach for assessing almost
       stochastic order.
    .. [2] Dror, Shlomov & Reichart (2019), ACL.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stochastic_dominance(rng.normal(0.73, 0.01, 20), rng.normal(0.70, 0.02, 20), rng).dominant
    True
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    check_level(level)
    check_draws(rng, resamples, "resamples")
    if comparisons < 1:
        raise UserError(f"comparisons = {comparisons}: must be at least 1")
    corrected = 1 - (1 - level) / comparisons
    for name, values in (("arm", first), ("baseline", second)):
        if values.size < 3:
            note = f"the {name} has {values.size} of the 3 runs needed"
            return Dominance(None, None, False, corrected, note)
    if 1 / math.comb(first.size + second.size, first.size) > 1 - corrected:
        # then not even arms that do not overlap are evidence at this level, and the bootstrap would not see it
        note = f"{first.size} and {second.size} runs are too few at a level of {corrected:.3g}"
        return Dominance(None, None, False, corrected, note)
    first, second = np.sort(first), np.sort(second)
    unit = float(max(first[-1], second[-1]) - min(first[0], second[0]))
    violation = _violation(first[None, :], second[None, :], unit or 1.0)[0]
    if math.isnan(violation):
        return Dominance(None, None, False, corrected, "the two arms have the same quantiles")
    again = [np.sort(x[rng.integers(0, x.size, (resamples, x.size))], axis=1) for x in (first, second)]
    draws = _violation(again[0], again[1], unit)
    se = float(np.std(draws[~np.isnan(draws)]))
    upper = min(float(violation) + float(stats.norm.ppf(corrected)) * se, 1.0)
    return Dominance(float(violation), upper, upper < DOMINANT, corrected, "")


def _violation(first: Floats, second: Floats, unit: float) -> Floats:
    """Return the violation ratio of sorted samples, one per row; NaN where the quantile functions are equal."""
    n, m = first.shape[1], second.shape[1]
    # both quantile functions are steps: constant between the merged multiples of 1/n and 1/m
    edges = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    width = np.diff(edges)
    gap = (first[:, edges[:-1] // m] - second[:, edges[:-1] // n]) / unit
    squares = gap * gap * width
    total = squares.sum(axis=1)
    with np.errstate(invalid="ignore"):
        ratio: Floats = np.where(gap < 0, squares, 0.0).sum(axis=1) / total
    return ratio


def equivalence(arm: npt.ArrayLike, baseline: npt.ArrayLike, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test whether two means differ by less than a margin, by two one-sided Welch tests [1]_.

    "No significant difference" is not "no difference"; this is the test for the second.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs.
    margin : float
        The largest difference that counts as none, above 0, in the unit of the scores; to be chosen before looking.
    alpha : float, default 0.05
        Significance level of each one-sided test, in (0, 0.5).

    Returns
    -------
    Equivalence
        Undefined, with a reason, below 2 runs per arm and when both arms are constant.

    Raises
    ------
    UserError
        For scores that are not finite, a margin or an alpha out of range.

    References
    ----------
    .. [1] Schuirmann (1987), J. Pharmacokinet. Biopharm. 15:657-680.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> equivalence(rng.normal(0.700, 0.01, 20), rng.normal(0.701, 0.01, 20), margin=0.01).equivalent
    True
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    if not (math.isfinite(margin) and margin > 0):
        raise UserError(f"margin = {margin}: must be a finite number above 0, in the unit of the scores")
    if not 0 < alpha < 0.5:
        raise UserError(f"alpha = {alpha}: must lie between 0 and 0.5, for example 0.05")
    if min(first.size, second.size) < 2:
        reason = "an arm has fewer than 2 runs"
        return Equivalence(None, None, None, margin, TestResult.undefined(reason), False)
    difference = round_trip_mean(first) - round_trip_mean(second)
    if is_constant(first) and is_constant(second):
        return Equivalence(difference, None, None, margin, TestResult.undefined("both arms are constant"), False)
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    compared = CompareMeans(DescrStatsW(first - second[0]), DescrStatsW(second - second[0]))
    p, (lower, upper) = compared.ttost_ind(-margin, margin, usevar="unequal")
    low, high = compared.tconfint_diff(alpha=2 * alpha, usevar="unequal")
    t = lower[0] if lower[1] >= upper[1] else upper[0]
    test = TestResult.of(float(t), float(p))
    return Equivalence(difference, float(low), float(high), margin, test, float(p) < alpha)
