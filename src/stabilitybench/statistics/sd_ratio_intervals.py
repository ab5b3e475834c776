"""The ratio of two standard deviations, with the intervals that simulation recommends and those it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from stabilitybench.errors import UserError
from stabilitybench.statistics.intervals import (
    bonett_limits,
    bootstrap_limits,
    exact_sd,
    jackknife_t_limits,
    leave_one_out_log_sd,
    row_sds,
)
from stabilitybench.statistics.results import Estimate, Floats, check_draws, check_level, sample, stack

METHODS = {
    "jackknife-t": "jackknife-t on log SD, Welch-Satterthwaite df",
    "bonett": "inversion of Bonett's test",
    "bca": "BCa bootstrap",
    "percentile": "percentile bootstrap",
}


@dataclass(frozen=True)
class SdRatio(Estimate):
    """SD of an arm over the SD of the baseline; below 1 that of the arm is smaller.

    Attributes
    ----------
    estimate : float or None
        The ratio; None where it is undefined (fewer than two scores, or a baseline without spread).
    low, high : float or None
        The confidence interval, both None when there is none.
    method : str
        How the interval was made.
    note : str
        Why the ratio or its interval is missing; empty otherwise.
    log_se : float or None, default None
        Standard error of the logarithm of the ratio, as a meta-analysis needs it: Bonett's beside his interval, the
        jackknife's beside the others; None without an interval.
    """

    log_se: float | None = None


def sd_ratio(
    arm: npt.ArrayLike,
    baseline: npt.ArrayLike,
    level: float = 0.95,
    interval: str | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 9999,
) -> SdRatio:
    r"""Return SD(arm) / SD(baseline) with a confidence interval.

    The intervals:

    - ``"bonett"``: the ratios that Bonett's test of the log variance ratio does not reject, its kurtosis pooled from
      both arms [1]_ (inverted as by [2]_); at least 5 runs each.  The default, but for arms of fewer than 7 runs.
    - ``"jackknife-t"``: with :math:`\theta_{(i)}` the log SD without run i, each arm has the jackknife variance
      :math:`v = \frac{n-1}{n} \sum_i (\theta_{(i)} - \bar\theta_{(\cdot)})^2` [3]_, and the interval is
      :math:`\log\widehat{\mathrm{ratio}} \pm t_{df} \sqrt{v_1 + v_2}` with the Welch-Satterthwaite df.
    - ``"bca"``, ``"percentile"``: the bootstrap [4]_ with `resamples` from `rng`; both cover too rarely for few runs.

    Coverage by simulation is in docs/statistics.md; it holds for unimodal scores, not for a mixture with failed runs.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,) and (m,)
        Scores of independent runs, at least 3 each for an interval, in any unit.
    level : float, default 0.95
        Confidence level, in (0, 1).
    interval : {"bonett", "jackknife-t", "bca", "percentile"}, optional
        How it is made; by default whichever of the first two covers best by simulation at these n.
    rng : numpy.random.Generator, optional
        Draws the resamples; a bootstrap needs it.
    resamples : int, default 9999
        Bootstrap resamples, at least 99.

    Returns
    -------
    SdRatio
        Undefined cases carry a note.

    Raises
    ------
    UserError
        For scores that are not finite, a level outside (0, 1), an unknown interval, a bootstrap without `rng` or with
        fewer than 99 resamples.

    References
    ----------
    .. [1] Bonett (2006), Applied Psychological Measurement 30:432-439.
    .. [2] Banga & Fox (2013), On Bonett's robust confidence interval for a ratio of standard deviations.
    .. [3] Miller (1974), Biometrika 61:1-15.
    .. [4] Efron (1987), JASA 82:171-185.

    Examples
    --------
    >>> ratio = sd_ratio([1.0, 2.0, 3.0, 4.5], [1.0, 3.0, 5.0, 8.0])
    >>> print(f"{ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
    0.50 [0.12, 2.17]
    >>> sd_ratio([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]).note
    'no ratio: the baseline has no spread (all scores equal)'
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    interval = _checked(interval, first.size, second.size, level, rng, resamples)
    numbers, notes = _ratios(first[None, :], second[None, :], level, interval, rng, resamples)
    estimate, low, high, se = (None if math.isnan(x) else float(x) for x in numbers[:, 0])
    return SdRatio(estimate, low, high, METHODS[interval], notes[0], se)


def sd_ratios(
    arms: npt.ArrayLike,
    baselines: npt.ArrayLike,
    level: float = 0.95,
    interval: str | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 9999,
) -> pd.DataFrame:
    """Return the SD ratios of many comparisons at once, each as `sd_ratio` would give it.

    The bootstrap intervals share their resamples, so that their Monte-Carlo errors are alike.

    Parameters
    ----------
    arms, baselines : array_like, shape (comparisons, n) and (comparisons, m)
        Scores of independent runs.
    level, interval, rng, resamples
        As in `sd_ratio`.

    Returns
    -------
    pandas.DataFrame
        One row per comparison: estimate, low, high, log_se, method and note; a number that `note` explains away is NaN.

    Raises
    ------
    UserError
        As in `sd_ratio`, and for unequal numbers of rows.

    Examples
    --------
    >>> table = sd_ratios([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]], [[3.0, 5.0, 4.0], [1.0, 2.0, 3.0]])
    >>> table["estimate"].round(2).tolist(), table["note"].tolist()
    ([1.53, 0.0], ['', 'no interval: the arm has no spread (all scores equal)'])
    """
    first, second = stack(arms, "arms"), stack(baselines, "baselines")
    interval = _checked(interval, first.shape[1], second.shape[1], level, rng, resamples)
    if len(first) != len(second):
        raise UserError(
            f"{len(first)} rows of arms and {len(second)} of baselines: must be as many, one per comparison"
        )
    numbers, notes = _ratios(first, second, level, interval, rng, resamples)
    table = pd.DataFrame(dict(zip(("estimate", "low", "high", "log_se"), numbers, strict=True)))
    return table.assign(method=METHODS[interval], note=notes)


def sd(scores: npt.ArrayLike) -> float:
    """Return the sample standard deviation (ddof = 1); exactly 0 when all scores are equal.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Finite scores, n >= 2.

    Raises
    ------
    UserError
        For fewer than two scores or a score that is not finite.

    Examples
    --------
    >>> round(sd([1.0, 2.0, 4.0]), 4)
    1.5275
    """
    values = sample(scores, "sd")
    if values.size < 2:
        raise UserError(f"sd: {values.size} score: needs at least 2")
    return exact_sd(values)


def default_interval(n: int, m: int) -> str:
    """Return the interval with the best simulated coverage (docs/statistics.md).

    Parameters
    ----------
    n, m : int
        Runs of the two arms.

    Returns
    -------
    {"bonett", "jackknife-t"}
        As `sd_ratio` takes it.
    """
    return "bonett" if min(n, m) >= 5 and max(n, m) >= 7 else "jackknife-t"


def _checked(
    interval: str | None, n: int, m: int, level: float, rng: np.random.Generator | None, resamples: int
) -> str:
    check_level(level)
    if interval is None:
        return default_interval(n, m)
    if interval not in METHODS:
        raise UserError(f'interval = "{interval}": must be one of {", ".join(METHODS)}')
    if interval in ("bca", "percentile"):
        check_draws(rng, resamples, "resamples")
    return interval


def _ratios(
    first: Floats, second: Floats, level: float, interval: str, rng: np.random.Generator | None, resamples: int
) -> tuple[Floats, list[str]]:
    """Return estimate, low, high and log_se (NaN where undefined) as four rows, and a note for each comparison."""
    numbers = np.full((4, len(first)), np.nan)
    notes = np.full(len(first), "", dtype=object)

    def say(where: npt.NDArray[np.bool_], words: str) -> None:
        notes[where & (notes == "")] = words

    arms = ("arm", first), ("baseline", second)
    for name, x in arms:
        if x.shape[1] < 2:
            return numbers, [f"no ratio: the {name} has {x.shape[1]} of the 2 runs needed"] * len(first)
    constant = [np.asarray((x == x[:, :1]).all(axis=1)) for _, x in arms]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = row_sds(first) / row_sds(second)
    say(constant[1], "no ratio: the baseline has no spread (all scores equal)")
    say(~np.isfinite(ratio), "no ratio: it exceeds what a double can hold")
    numbers[0] = np.where(notes == "", ratio, np.nan)
    for (name, x), same in zip(arms, constant, strict=True):
        say(np.full(len(x), x.shape[1] < 3), f"no interval: the {name} has {x.shape[1]} runs, fewer than 3")
        say(same, f"no interval: the {name} has no spread (all scores equal)")
    say(ratio == 0, "no interval: the ratio is too small for a double")
    if min(x.shape[1] for _, x in arms) < 3:
        return numbers, notes.tolist()

    logs = [leave_one_out_log_sd(x) for _, x in arms]
    for (name, _), log in zip(arms, logs, strict=True):
        say(np.asarray(np.isneginf(log).any(axis=1)), f"no interval: all scores of the {name} but one are equal")
    kept = notes == ""
    parts = [np.zeros(len(first)), np.zeros(len(first))]
    for part, log in zip(parts, logs, strict=True):
        n = log.shape[1]
        part[kept] = (n - 1) / n * ((log[kept] - log[kept].mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    if interval in ("jackknife-t", "bca"):
        say(parts[0] + parts[1] < 1e-24, "no interval: leaving any one run out changes no SD")  # but by rounding
    kept = notes == ""
    if not kept.any():
        return numbers, notes.tolist()
    numbers[3, kept] = np.sqrt(parts[0][kept] + parts[1][kept])
    a, b, centre = first[kept], second[kept], np.log(ratio[kept])
    if interval == "jackknife-t":
        limits = jackknife_t_limits(centre, [part[kept] for part in parts], (a.shape[1], b.shape[1]), level)
    elif interval == "bonett":
        limits, numbers[3, kept] = bonett_limits(a, b, level)
    else:
        assert rng is not None
        influence = [log[kept] for log in logs] if interval == "bca" else None
        limits = bootstrap_limits(a, b, influence, level, resamples, rng)
    below, above = (np.full(len(first), np.nan) for _ in limits)
    below[kept], above[kept] = limits
    say(~(np.isfinite(below) & np.isfinite(above)), _NO_LIMITS[interval])
    say((above > 700) | (below < -700), "no interval: its limits exceed what a double can hold")
    kept = notes == ""
    numbers[1, kept], numbers[2, kept] = np.exp(below[kept]), np.exp(above[kept])
    return numbers, notes.tolist()


_NO_LIMITS = {
    "jackknife-t": "no interval: its limits exceed what a double can hold",
    "bonett": "no interval: Bonett's needs at least 5 runs in each arm",
    "bca": "no interval: too many resamples have an arm without spread",
    "percentile": "no interval: too many resamples have an arm without spread",
}
