"""Tests of equal spread across seeds that do not need normal scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics.intervals import bonett_parts, bonett_se
from stabilitybench.statistics.resampling import memberships
from stabilitybench.statistics.results import Floats, TestResult, check_draws, is_constant, sample, stack


def brown_forsythe(arm: npt.ArrayLike, baseline: npt.ArrayLike) -> TestResult:
    """Test equal spread by Levene's test with medians [1]_.

    It compares the mean distance to the median, keeps its size under skew, heavy tails and failed runs, and is
    conservative for small n.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, in one unit.

    Returns
    -------
    TestResult
        The statistic is an F with 1 and n + m - 2 degrees of freedom. Undefined below 3 runs per arm, when both arms
        are constant, and when the distances to the median do not vary within either arm.

    Raises
    ------
    UserError
        For scores that are not finite.

    References
    ----------
    .. [1] Brown & Forsythe (1974), JASA 69:364-367.

    Examples
    --------
    >>> test = brown_forsythe([1.0, 2.0, 3.0, 4.0, 5.0], [-8.0, 0.0, 1.0, 7.0, 15.0])
    >>> round(test.statistic, 3), round(test.p, 3)
    (3.368, 0.104)
    >>> brown_forsythe([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]).reason
    'both arms are constant'
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    undefined = _no_test(first, second)
    if undefined:
        return TestResult.undefined(undefined)
    centred = [x - np.median(x) for x in (first, second)]
    largest = max(float(np.abs(x).max()) for x in centred)
    centred = [x / largest for x in centred]
    # distances that are equal but for rounding would give a statistic made of rounding error
    if all(float(np.ptp(np.abs(x))) <= 1e-12 for x in centred):
        return TestResult.undefined("the distances to the median do not vary within the arms")
    outcome = stats.levene(*centred, center="median")
    statistic, p = float(outcome.statistic), float(outcome.pvalue)
    if not (math.isfinite(statistic) and math.isfinite(p)):
        return TestResult.undefined("the statistic is not finite")
    return TestResult.of(statistic, p)


def bonett(arm: npt.ArrayLike, baseline: npt.ArrayLike) -> TestResult:
    r"""Test equal spread by the log variance ratio with a pooled kurtosis [1]_.

    The statistic is the z at which Bonett's interval just touches a ratio of 1; for arms of equal size that is
    :math:`|\log(s_1^2 / s_2^2)| / se`. More powerful than Brown-Forsythe for normal scores, but **not** for scores with
    failed runs: there it rejects equal spreads up to twice as often as it claims (docs/statistics.md).

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, in one unit.

    Returns
    -------
    TestResult
        Undefined below 5 runs per arm and when an arm is constant.

    Raises
    ------
    UserError
        For scores that are not finite.

    References
    ----------
    .. [1] Bonett (2006), Applied Psychological Measurement 30:432-439.

    Examples
    --------
    >>> round(bonett([1.0, 2.0, 3.0, 4.0, 5.0], [-8.0, 0.0, 1.0, 7.0, 15.0]).p, 3)
    0.026
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    for name, values in (("arm", first), ("baseline", second)):
        if values.size < 5:
            return TestResult.undefined(f"the {name} has {values.size} of the 5 runs needed")
        if is_constant(values):
            return TestResult.undefined(f"the {name} is constant")
    n, m = first.size, second.size
    ratios, fourths = bonett_parts(first[None, :], second[None, :])
    log_ratio, se = float(ratios[0]), float(bonett_se(-ratios, fourths, (n, m))[0])
    if not (math.isfinite(log_ratio) and se > 0):
        return TestResult.undefined("the statistic is not finite")
    if n == m:
        return TestResult.of(abs(log_ratio) / se, 2 * float(stats.norm.sf(abs(log_ratio) / se)))

    def gap(z: float) -> float:
        return abs(log_ratio + math.log(n / (n - z)) - math.log(m / (m - z))) - z * se

    # the correction for unequal sizes depends on z: the interval of the smallest level that reaches 1 decides
    grid = np.linspace(0, min(n, m, 38) * 0.999, 400)
    inside = next((k for k, z in enumerate(grid) if gap(float(z)) <= 0), None)
    if inside is None:
        return TestResult.of(float(grid[-1]), 2 * float(stats.norm.sf(grid[-1])))
    if inside == 0:
        return TestResult.of(0.0, 1.0)
    from scipy.optimize import brentq

    z = float(brentq(gap, grid[inside - 1], grid[inside]))
    return TestResult.of(z, 2 * float(stats.norm.sf(z)))


def median_centred_permutation(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, rng: np.random.Generator, draws: int = 9999
) -> TestResult:
    r"""Test equal spread by permuting the scores after each arm's median is taken away.

    The statistic is :math:`|\log(s_1^2 / s_2^2)|` with :math:`s^2 = \sum (x - \mathrm{median})^2 / (n - 1)`; it is
    infinite when one arm is constant. The p-value is (1 + draws at least as large) / (1 + draws), as befits a random
    sample of permutations [1]_; where there are no more than `draws` ways to split the scores, all of them are listed
    and p is the share at least as large. It is approximate because the medians are estimated.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, in one unit.
    rng : numpy.random.Generator
        Draws the permutations.
    draws : int, default 9999
        How many, at least 99.

    Returns
    -------
    TestResult
        Undefined below 3 runs per arm and when both arms are constant.

    Raises
    ------
    UserError
        For scores that are not finite or fewer than 99 draws.

    References
    ----------
    .. [1] Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> test = median_centred_permutation(rng.normal(0, 1, 20), rng.normal(0, 4, 20), rng)
    >>> test.p < 0.001
    True
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    check_draws(rng, draws)
    undefined = _no_test(first, second)
    if undefined:
        return TestResult.undefined(undefined)
    observed, p = _permuted(first[None, :], second[None, :], rng, draws)
    return TestResult.of(float(observed[0]), float(p[0]))


def median_centred_permutations(
    arms: npt.ArrayLike, baselines: npt.ArrayLike, rng: np.random.Generator, draws: int = 9999
) -> pd.DataFrame:
    """Return the permutation tests of many comparisons at once, each as `median_centred_permutation` would give it.

    The comparisons share their permutations.

    Parameters
    ----------
    arms, baselines : array_like, shape (comparisons, n) and (comparisons, m)
        Scores of independent runs.
    rng : numpy.random.Generator
        Draws the permutations.
    draws : int, default 9999
        How many, at least 99.

    Returns
    -------
    pandas.DataFrame
        One row per comparison: statistic, p, defined and reason; a number that `reason` explains away is NaN.

    Raises
    ------
    UserError
        As in `median_centred_permutation`, and for unequal numbers of rows.

    Examples
    --------
    >>> scores = np.random.default_rng(0).normal(size=(3, 20))
    >>> median_centred_permutations(scores, 4 * scores, np.random.default_rng(1))["p"].round(3).tolist()
    [0.0, 0.0, 0.0]
    """
    first, second = stack(arms, "arms"), stack(baselines, "baselines")
    check_draws(rng, draws)
    if len(first) != len(second):
        raise UserError(
            f"{len(first)} rows of arms and {len(second)} of baselines: must be as many, one per comparison"
        )
    defined = np.array([min(first.shape[1], second.shape[1]) >= 3] * len(first))
    if defined.any():
        defined &= (first != first[:, :1]).any(axis=1) | (second != second[:, :1]).any(axis=1)
    reasons = ["" if fine else _no_test(a, b) for fine, a, b in zip(defined, first, second, strict=True)]
    statistic, p = np.full(len(first), np.nan), np.full(len(first), np.nan)
    if defined.any():
        statistic[defined], p[defined] = _permuted(first[defined], second[defined], rng, draws)
    return pd.DataFrame({"statistic": statistic, "p": p, "defined": defined, "reason": reasons})


def _permuted(first: Floats, second: Floats, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
    """Return |log variance ratio| about the medians, and its p-value, for each row."""
    n, m = first.shape[1], second.shape[1]
    # sorted, so that the same runs in another order meet the same random permutations
    centred = np.hstack([np.sort(x, axis=1) - np.median(x, axis=1, keepdims=True) for x in (first, second)])
    squares = (centred / np.abs(centred).max(axis=1, keepdims=True)) ** 2
    total = squares.sum(axis=1)
    with np.errstate(divide="ignore"):
        observed: Floats = np.abs(
            np.log(squares[:, :n].sum(axis=1) / (n - 1)) - np.log(squares[:, n:].sum(axis=1) / (m - 1))
        )
        # the log ratio is as large wherever the first arm's share of all squares lies beyond one of two limits
        odds = (n - 1) / (m - 1)
        above = total / (1 + np.exp(-observed) / odds)
        below = total * odds / (odds + np.exp(observed))
    # ties survive the order of summation
    above, below = above * (1 - 1e-12), below * (1 + 1e-12)
    blocks, listed = memberships(n + m, n, draws, rng)
    at_least, done = np.zeros(len(first)), 0
    for block in blocks:
        for row, sums in enumerate(squares @ block.T):
            at_least[row] += np.count_nonzero(sums >= above[row]) + np.count_nonzero(sums <= below[row])
        done += len(block)
    # both limits hold at once where the observed ratio is 1
    p = np.minimum(at_least, done) / done if listed else (1 + np.minimum(at_least, done)) / (1 + done)
    return observed, p


def _no_test(first: Floats, second: Floats) -> str:
    """Return why two samples admit no test of spread, or an empty string."""
    for name, values in (("arm", first), ("baseline", second)):
        if values.size < 3:
            return f"the {name} has {values.size} of the 3 runs needed"
    return "both arms are constant" if is_constant(first) and is_constant(second) else ""
