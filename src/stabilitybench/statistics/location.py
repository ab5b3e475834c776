"""Location across seeds: how good the runs of an arm are, and how good the best of a few."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.special import gammaln

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Estimate, Floats, check_level, is_constant, sample


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
