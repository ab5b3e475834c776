"""Ratios of robust measures of spread: what an SD ratio owes to the tails shows beside them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.statistics.results import Estimate, Floats, check_draws, check_level, sample

# elements of one block of resamples
_BLOCK = 2**20


def distance_ratio(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> Estimate:
    r"""Return the ratio of mean distances to the median, which is what Brown-Forsythe compares, with an interval.

    With :math:`\tau = \sum |x - \mathrm{median}| / n`, :math:`\delta = (\bar x - \mathrm{median}) / \tau` and
    :math:`\gamma^2 = s^2 / \tau^2`, the log of :math:`\tau n / (n - 1)` has the variance :math:`(\delta^2 + \gamma^2 -
    1) / n`; the two add up and the limits are normal [1]_.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, in one unit.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Estimate
        Below 1 that of the arm is smaller. Undefined cases carry a note.

    Raises
    ------
    UserError
        For scores that are not finite or a level outside (0, 1).

    References
    ----------
    .. [1] Bonett & Seier (2003), American Statistician 57:233-236.

    Examples
    --------
    >>> found = distance_ratio([1.0, 2.0, 3.0, 4.0, 5.0], [-8.0, 0.0, 1.0, 7.0, 15.0])
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '0.20 [0.06, 0.67]'
    """
    method = "Bonett-Seier on log mean distance to the median"
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    check_level(level)
    logs, variances = [], []
    for name, values in (("arm", first), ("baseline", second)):
        n = values.size
        if n < 3:
            return Estimate(None, None, None, method, f"no ratio: the {name} has {n} of the 3 runs needed")
        centred = values - np.median(values)
        unit = float(np.abs(centred).max())
        if unit == 0:
            if name == "baseline":
                return Estimate(None, None, None, method, "no ratio: the baseline has no spread (all scores equal)")
            logs.append(-math.inf)
            continue
        centred /= unit
        distance = float(np.abs(centred).mean())
        logs.append(math.log(unit) + math.log(distance * n / (n - 1)))
        variances.append(((centred.mean() / distance) ** 2 + centred.var(ddof=1) / distance**2 - 1) / n)
    if logs[0] == -math.inf:
        return Estimate(0.0, None, None, method, "no interval: the arm has no spread (all scores equal)")
    half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt(max(sum(variances), 0.0))
    centre = logs[0] - logs[1]
    if abs(centre) + half > 700:
        return Estimate(None, None, None, method, "no ratio: it exceeds what a double can hold")
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half), method, "")


def mad_ratio(
    arm: npt.ArrayLike,
    baseline: npt.ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1999,
) -> Estimate:
    """Return the ratio of median distances to the median, with a percentile bootstrap interval.

    An SD ratio far from 1 beside a MAD ratio near 1 is a difference in the tails, not in the centre.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, in one unit.
    rng : numpy.random.Generator
        Draws the resamples.
    level : float, default 0.95
        Confidence level, in (0, 1).
    resamples : int, default 1999
        Bootstrap resamples, at least 99.

    Returns
    -------
    Estimate
        Undefined, with a note, below 3 runs and where the median distance is 0 (half the scores are equal).

    Raises
    ------
    UserError
        For scores that are not finite, a level outside (0, 1) or fewer than 99 resamples.

    Examples
    --------
    >>> mad_ratio([1.0, 2.0, 3.0, 9.0], [1.0, 3.0, 5.0, 9.0], np.random.default_rng(0)).estimate
    0.5
    """
    return _bootstrap_ratio(arm, baseline, _mad, "median distance to the median", rng, level, resamples)


def iqr_ratio(
    arm: npt.ArrayLike,
    baseline: npt.ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1999,
) -> Estimate:
    """Return the ratio of interquartile ranges (linear interpolation), with a percentile bootstrap interval.

    Parameters
    ----------
    arm, baseline, rng, level, resamples
        As in `mad_ratio`.

    Returns
    -------
    Estimate
        Undefined, with a note, below 3 runs and where the baseline's range is 0.

    Raises
    ------
    UserError
        As in `mad_ratio`.

    Examples
    --------
    >>> iqr_ratio([1.0, 2.0, 3.0, 4.0, 50.0], [1.0, 3.0, 5.0, 7.0, 9.0], np.random.default_rng(0)).estimate
    0.5
    """
    return _bootstrap_ratio(arm, baseline, _iqr, "interquartile range", rng, level, resamples)


def _mad(values: Floats) -> Floats:
    distances: Floats = np.abs(values - np.median(values, axis=-1, keepdims=True))
    return np.asarray(np.median(distances, axis=-1), dtype=np.float64)


def _iqr(values: Floats) -> Floats:
    quartiles: Floats = np.quantile(values, (0.25, 0.75), axis=-1)
    result: Floats = quartiles[1] - quartiles[0]
    return result


def _bootstrap_ratio(
    arm: npt.ArrayLike,
    baseline: npt.ArrayLike,
    measure: Callable[[Floats], Floats],
    words: str,
    rng: np.random.Generator,
    level: float,
    resamples: int,
) -> Estimate:
    method = f"percentile bootstrap of the {words}"
    # sorted, so that the same runs in another order give the same resamples
    samples = np.sort(sample(arm, "arm")), np.sort(sample(baseline, "baseline"))
    check_level(level)
    check_draws(rng, resamples, "resamples")
    for name, values in zip(("arm", "baseline"), samples, strict=True):
        if values.size < 3:
            return Estimate(None, None, None, method, f"no ratio: the {name} has {values.size} of the 3 runs needed")
    spreads = [float(measure(values)) for values in samples]
    if spreads[1] == 0:
        return Estimate(None, None, None, method, f"no ratio: the baseline's {words} is 0")
    estimate = spreads[0] / spreads[1]
    if not math.isfinite(estimate):
        return Estimate(None, None, None, method, "no ratio: it exceeds what a double can hold")
    if spreads[0] == 0:
        return Estimate(0.0, None, None, method, f"no interval: the arm's {words} is 0")
    draws = [_resampled(values, measure, resamples, rng) for values in samples]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = draws[0] / draws[1]
    ratios = ratios[~np.isnan(ratios)]
    # order statistics: interpolation between finite and infinite ratios has no value
    limits = np.quantile(ratios, ((1 - level) / 2, (1 + level) / 2), method="inverted_cdf")
    if limits[0] == 0 or not np.isfinite(limits[1]):
        return Estimate(estimate, None, None, method, f"no interval: too many resamples have a {words} of 0")
    return Estimate(estimate, float(limits[0]), float(limits[1]), method, "")


def _resampled(values: Floats, measure: Callable[[Floats], Floats], resamples: int, rng: np.random.Generator) -> Floats:
    step = max(1, _BLOCK // values.size)
    parts = [
        measure(values[rng.integers(0, values.size, (min(step, resamples - start), values.size))])
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)
