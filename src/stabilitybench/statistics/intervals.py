"""Limits of the log SD ratio, for many comparisons at once: rows of scores in, one limit per row out.

Which rows have limits at all, and what is said of the others, is decided in `sd_ratios`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from stabilitybench.statistics.resampling import variance_ratio_limits
from stabilitybench.statistics.results import Floats


def exact_sd(values: Floats) -> float:
    """Return the SD of a vector as `row_sds` does.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        Scores, n >= 2.
    """
    return float(row_sds(values[None, :])[0])


def row_sds(values: Floats) -> Floats:
    """Return the SD of each row (ddof = 1), safe against overflow; equal values give exactly 0.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, n)
        Scores, n >= 2.
    """
    centred = values - values[:, :1]
    unit = np.abs(centred).max(axis=1, keepdims=True)
    sds: Floats = np.std(centred / np.where(unit > 0, unit, 1.0), axis=1, ddof=1) * unit[:, 0]
    return sds


def leave_one_out_log_sd(values: Floats) -> Floats:
    r"""Return for each row the log SDs without one run each, up to a constant of the row.

    The sum of squares without run i is :math:`SS - \frac{n}{n-1} (x_i - \bar x)^2`; where that cancels, the SD is taken
    afresh.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, n)
        Scores, n >= 3.

    Returns
    -------
    numpy.ndarray, shape (rows, n)
        -inf for an SD of 0.
    """
    n = values.shape[1]
    centred = values - values[:, :1]
    largest = np.abs(centred).max(axis=1, keepdims=True)
    centred /= np.where(largest > 0, largest, 1.0)
    afresh = centred
    centred = centred - centred.mean(axis=1, keepdims=True)
    squares = centred**2
    total = squares.sum(axis=1, keepdims=True)
    left: Floats = total - squares * (n / (n - 1))
    cancelled = left < 1e-6 * total
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Floats = 0.5 * np.log(left / (n - 2))
    for row, run in np.argwhere(cancelled | (total == 0)):
        rest = exact_sd(np.delete(afresh[row], run))
        logs[row, run] = math.log(rest) if rest > 0 else -math.inf
    return logs


def jackknife_t_limits(
    centre: Floats, parts: list[Floats], sizes: tuple[int, int], level: float
) -> tuple[Floats, Floats]:
    """Return Student's t limits with the jackknife variances of the two arms and Welch's df.

    Parameters
    ----------
    centre : numpy.ndarray, shape (rows,)
        Log SD ratios.
    parts : list of numpy.ndarray, 2 of shape (rows,)
        Jackknife variance of each arm's log SD.
    sizes : tuple of (int, int)
        Runs of the two arms.
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    low, high : numpy.ndarray, shape (rows,)
        Limits of the log SD ratio.
    """
    total = parts[0] + parts[1]
    # shares instead of squares of tiny variances, so that nothing underflows
    df = 1 / sum((part / total) ** 2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    half = stats.t.ppf(0.5 + level / 2, df) * np.sqrt(total)
    return centre - half, centre + half


def bonett_limits(first: Floats, second: Floats, level: float) -> tuple[tuple[Floats, Floats], Floats]:
    """Return the log SD ratios, for each row, between which Bonett's test does not reject, and their standard error.

    The arms are pooled for their kurtosis only after they are brought to one scale by the ratio in question, so that
    the coverage does not depend on which ratio is true [1]_.

    Parameters
    ----------
    first, second : numpy.ndarray, shape (rows, n) and (rows, m)
        Scores of the two arms.
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    limits : tuple of 2 numpy.ndarray, shape (rows,)
        NaN where there are fewer than 5 runs, or too few for the level.
    se : numpy.ndarray, shape (rows,)
        Standard error of the log SD ratio.

    References
    ----------
    .. [1] Banga & Fox (2013), On Bonett's robust confidence interval for a ratio of standard deviations.
    """
    z = float(stats.norm.ppf(0.5 + level / 2))
    n, m = first.shape[1], second.shape[1]
    if min(n, m) < 5 or z >= min(n, m):
        nothing = np.full(len(first), np.nan)
        return (nothing, nothing), nothing
    log_ratio, fourths = bonett_parts(first, second)
    centre = log_ratio + math.log(n / (n - z)) - math.log(m / (m - z))
    # no common scale gives a larger kurtosis than one of the arms alone
    largest = (n + m) * np.maximum(fourths[0] / (n - 1) ** 2, fourths[1] / (m - 1) ** 2)
    limits = []
    for sign in (-1.0, 1.0):
        inside, outside = np.zeros(len(first)), z * np.sqrt(largest * (1 / (n - 1) + 1 / (m - 1)))
        for _ in range(60):
            middle = (inside + outside) / 2
            held = middle <= z * bonett_se(centre + sign * middle - log_ratio, fourths, (n, m))
            inside, outside = np.where(held, middle, inside), np.where(held, outside, middle)
        limits.append((centre + sign * inside) / 2)
    return (limits[0], limits[1]), bonett_se(np.zeros(len(first)), fourths, (n, m)) / 2


def bonett_parts(first: Floats, second: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Return the log variance ratio of each row, and each arm's sum of fourth powers over its squared variance.

    The fourth powers are about a trimmed mean, as heavy tails ask for.

    Parameters
    ----------
    first, second : numpy.ndarray, shape (rows, n) and (rows, m)
        Scores of the two arms, at least 5 each, not all equal.

    Returns
    -------
    log_ratio : numpy.ndarray, shape (rows,)
        Log of the first arm's variance over the second's.
    fourths : tuple of 2 numpy.ndarray, shape (rows,)
        One entry for each arm.
    """
    logs, fourths = [], []
    for values in (first, second):
        centred = values - values[:, :1]
        unit = np.abs(centred).max(axis=1, keepdims=True)
        scaled = centred / unit
        variance = scaled.var(axis=1, ddof=1)
        middle = stats.trim_mean(scaled, 1 / (2 * math.sqrt(values.shape[1] - 4)), axis=1)
        fourths.append(((scaled - middle[:, None]) ** 4).sum(axis=1) / variance**2)
        logs.append(np.log(variance) + 2 * np.log(unit[:, 0]))
    return logs[0] - logs[1], (fourths[0], fourths[1])


def bonett_se(scale: Floats, fourths: tuple[Floats, Floats], sizes: tuple[int, int]) -> Floats:
    r"""Return Bonett's standard error of the log variance ratio.

    With :math:`\hat\gamma` the pooled kurtosis its square is :math:`\sum_j (\hat\gamma - (n_j - 3) / n_j) / (n_j - 1)`.

    Parameters
    ----------
    scale : numpy.ndarray, shape (rows,)
        The arms are pooled as if their log variance ratio were -`scale`.
    fourths : tuple of 2 numpy.ndarray, shape (rows,)
        As `bonett_parts` gives them.
    sizes : tuple of (int, int)
        Runs of the two arms.
    """
    n, m = sizes
    half = np.exp(np.clip(scale, -600, 600) / 2)
    kurtosis = (n + m) * (fourths[0] / half**2 + fourths[1] * half**2) / ((n - 1) / half + (m - 1) * half) ** 2
    se: Floats = np.sqrt(sum((kurtosis - (size - 3) / size) / (size - 1) for size in sizes))
    return se


def bootstrap_limits(
    first: Floats,
    second: Floats,
    leave_one_out: list[Floats] | None,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return bootstrap limits of the log SD ratio of each row, percentile or BCa.

    Parameters
    ----------
    first, second : numpy.ndarray, shape (rows, n) and (rows, m)
        Scores of the two arms.
    leave_one_out : list of 2 numpy.ndarray, or None
        For BCa limits the log SDs without one run, as `leave_one_out_log_sd` gives them; None for percentile limits.
    level : float
        Confidence level, in (0, 1).
    resamples : int
        Bootstrap resamples, shared by all rows.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    low, high : numpy.ndarray, shape (rows,)
        Not finite where too many resamples have an arm without spread.
    """
    acceleration = None
    if leave_one_out is not None:
        # the logarithm of a ratio: the second arm pulls the other way
        pulls = [
            sign * (logs.mean(axis=1, keepdims=True) - logs) * (logs.shape[1] - 1) / logs.shape[1]
            for sign, logs in zip((1, -1), leave_one_out, strict=True)
        ]
        cubes, squares = (sum((pull**power).sum(axis=1) for pull in pulls) for power in (3, 2))
        acceleration = cubes / (6 * squares**1.5)
    # sorted, so that the same runs in another order give the same resamples
    centred = [np.sort(x, axis=1) - np.median(x, axis=1, keepdims=True) for x in (first, second)]
    unit = [np.abs(x).max(axis=1, keepdims=True) for x in centred]
    scaled = centred[0] / unit[0], centred[1] / unit[1]
    low, high = variance_ratio_limits(*scaled, resamples, rng, level, acceleration)
    shift = np.log(unit[0][:, 0]) - np.log(unit[1][:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return 0.5 * np.log(low) + shift, 0.5 * np.log(high) + shift
