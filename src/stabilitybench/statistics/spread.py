"""Spread across seeds: the SD ratio with an interval, and two tests that do not need normal scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics.samples import Floats, Test, check_level, is_constant, sample

JACKKNIFE = "jackknife-t on log SD, Welch-Satterthwaite df"


@dataclass(frozen=True)
class SdRatio:
    """SD of an arm over the SD of the baseline; below 1 the arm is the more stable one.

    estimate : the ratio, or None where it is undefined (fewer than two scores, or a baseline without spread).
    low, high : the confidence interval, both None when there is none; `note` then gives the reason.
    method : how the interval was made.
    """

    estimate: float | None
    low: float | None
    high: float | None
    method: str
    note: str

    @property
    def has_interval(self) -> bool:
        """True when `low` and `high` are numbers."""
        return self.low is not None and self.high is not None


def sd(scores: npt.ArrayLike) -> float:
    """Return the sample standard deviation (ddof = 1) of n >= 2 scores; exactly 0 when all are equal.

    Raises UserError for fewer than two scores or a score that is not finite.

    >>> round(sd([1.0, 2.0, 4.0]), 4)
    1.5275
    """
    values = sample(scores, "sd")
    if values.size < 2:
        raise UserError(f"sd: {values.size} score: needs at least 2")
    return _sd(values)


def sd_ratio(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> SdRatio:
    r"""Return SD(arm) / SD(baseline) with a jackknife-t interval on its logarithm.

    arm, baseline : scores of independent runs, at least 3 each for an interval, in any unit.

    With :math:`\theta_{(i)}` the log SD without run i, each arm has the jackknife variance
    :math:`v = \frac{n-1}{n} \sum_i (\theta_{(i)} - \bar\theta_{(\cdot)})^2` (Miller 1974, Biometrika
    61:1-15), and the interval is :math:`\log\widehat{\mathrm{ratio}} \pm t_{df} \sqrt{v_1 + v_2}` with
    the Welch-Satterthwaite df.  Coverage by simulation is in docs/statistics.md; it holds for unimodal
    scores, not for a mixture with failed runs.  Raises UserError for scores that are not finite or a level
    outside (0, 1).

    >>> ratio = sd_ratio([1.0, 2.0, 3.0, 4.5], [1.0, 3.0, 5.0, 8.0])
    >>> print(f"{ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
    0.50 [0.12, 2.17]
    >>> sd_ratio([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]).note
    'no ratio: the baseline has no spread (all scores equal)'
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    check_level(level)
    for name, values in (("arm", first), ("baseline", second)):
        if values.size < 2:
            return SdRatio(None, None, None, JACKKNIFE, f"no ratio: the {name} has {values.size} of the 2 runs needed")
    if is_constant(second):
        return SdRatio(None, None, None, JACKKNIFE, "no ratio: the baseline has no spread (all scores equal)")
    estimate = _sd(first) / _sd(second)
    if not math.isfinite(estimate):
        return SdRatio(None, None, None, JACKKNIFE, "no ratio: it exceeds what a double can hold")
    variances: list[float] = []
    for name, values in (("arm", first), ("baseline", second)):
        if values.size < 3:
            return SdRatio(
                estimate,
                None,
                None,
                JACKKNIFE,
                f"no interval: the {name} has {values.size} runs, fewer than 3",
            )
        if is_constant(values):
            return SdRatio(estimate, None, None, JACKKNIFE, f"no interval: the {name} has no spread (all scores equal)")
        without = _leave_one_out_sd(values)
        if not np.all(without > 0):
            note = f"no interval: all scores of the {name} but one are equal"
            return SdRatio(estimate, None, None, JACKKNIFE, note)
        logs = np.log(without)
        variances.append(float((values.size - 1) / values.size * np.sum((logs - logs.mean()) ** 2)))
    total = sum(variances)
    if total < 1e-24 or estimate == 0:  # below that it is rounding error
        note = "no interval: leaving any one run out changes no SD"
        return SdRatio(estimate, None, None, JACKKNIFE, note)
    # shares instead of squares of tiny variances, so that nothing underflows
    df = 1 / sum((v / total) ** 2 / (x.size - 1) for v, x in zip(variances, (first, second), strict=True))
    half = float(stats.t.ppf(0.5 + level / 2, df)) * math.sqrt(total)
    centre = math.log(estimate)
    if centre + half > 700 or centre - half < -700:
        return SdRatio(estimate, None, None, JACKKNIFE, "no interval: its limits exceed what a double can hold")
    return SdRatio(estimate, math.exp(centre - half), math.exp(centre + half), JACKKNIFE, "")


def brown_forsythe(arm: npt.ArrayLike, baseline: npt.ArrayLike) -> Test:
    """Test equal spread by Levene's test with medians (Brown & Forsythe 1974, JASA 69:364-367).

    It compares the mean distance to the median, keeps its size under skew, heavy tails and failed runs, and
    is conservative for small n.  Undefined below 3 runs per arm, when both arms are constant, and when the
    distances to the median do not vary within either arm.  Raises UserError for scores that are not finite.

    >>> test = brown_forsythe([1.0, 2.0, 3.0, 4.0, 5.0], [-8.0, 0.0, 1.0, 7.0, 15.0])
    >>> round(test.statistic, 3), round(test.p, 3)
    (3.368, 0.104)
    >>> brown_forsythe([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]).reason
    'both arms are constant'
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    undefined = _no_test(first, second)
    if undefined:
        return Test.undefined(undefined)
    distances = [np.abs(x - np.median(x)) for x in (first, second)]
    # distances that are equal but for rounding would give a statistic made of rounding error
    largest = max(float(d.max()) for d in distances)
    if all(float(np.ptp(d)) <= 1e-12 * largest for d in distances):
        return Test.undefined("the distances to the median do not vary within the arms")
    outcome = stats.levene(first, second, center="median")
    statistic, p = float(outcome.statistic), float(outcome.pvalue)
    if not (math.isfinite(statistic) and math.isfinite(p)):
        return Test.undefined("the statistic is not finite")
    return Test.of(statistic, p)


def median_centred_permutation(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, rng: np.random.Generator, draws: int = 9999
) -> Test:
    r"""Test equal spread by permuting the scores after each arm's median is taken away.

    The statistic is :math:`|\log(s_1^2 / s_2^2)|` with :math:`s^2 = \sum (x - \mathrm{median})^2 / (n - 1)`;
    it is infinite when one arm is constant.  The p-value is (1 + draws at least as large) / (1 + draws), as
    befits a random sample of permutations (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585); it is
    approximate because the medians are estimated.  Undefined below 3 runs per arm and when both arms are
    constant.  Raises UserError for scores that are not finite or fewer than 99 draws.

    >>> rng = np.random.default_rng(0)
    >>> test = median_centred_permutation(rng.normal(0, 1, 20), rng.normal(0, 4, 20), rng)
    >>> test.p < 0.001
    True
    """
    first, second = sample(arm, "arm"), sample(baseline, "baseline")
    if draws < 99:
        raise UserError(f"draws = {draws}: must be at least 99")
    undefined = _no_test(first, second)
    if undefined:
        return Test.undefined(undefined)
    centred = np.concatenate([first - np.median(first), second - np.median(second)])
    squares = (centred / np.abs(centred).max()) ** 2
    observed = _log_ratio(squares[None, :], first.size)[0]
    at_least = 0
    # blocks keep memory flat however many runs there are
    for start in range(0, draws, 2000):
        block = np.broadcast_to(squares, (min(2000, draws - start), squares.size))
        permuted = _log_ratio(rng.permuted(block, axis=1), first.size)
        at_least += int(np.sum(permuted >= observed * (1 - 1e-12)))  # ties survive the order of summation
    return Test.of(observed, (1 + at_least) / (1 + draws))


def _log_ratio(squares: Floats, n: int) -> Floats:
    """Return |log variance ratio| per row, the first n columns against the others."""
    first = squares[:, :n].sum(axis=1) / (n - 1)
    second = squares[:, n:].sum(axis=1) / (squares.shape[1] - n - 1)
    with np.errstate(divide="ignore"):
        result: Floats = np.abs(np.log(first) - np.log(second))
    return result


def _no_test(first: Floats, second: Floats) -> str:
    """Return why two samples admit no test of spread, or an empty string."""
    for name, values in (("arm", first), ("baseline", second)):
        if values.size < 3:
            return f"the {name} has {values.size} of the 3 runs needed"
    return "both arms are constant" if is_constant(first) and is_constant(second) else ""


def _sd(values: Floats) -> float:
    """Return the SD, safe against overflow; equal values give exactly 0."""
    if is_constant(values):
        return 0.0
    centred = values - values[0]
    scale = float(np.abs(centred).max())
    return float(np.std(centred / scale, ddof=1)) * scale


def _leave_one_out_sd(values: Floats) -> Floats:
    """Return the n SDs without one run each, in units of the largest distance to the first score."""
    centred = values - values[0]
    centred = centred / np.abs(centred).max()
    return np.array([_sd(np.delete(centred, i)) for i in range(values.size)])
