"""SD ratios of paired runs with the tests that are asked for by name; verdicts rest on `paired_deviation_ratio`.

Pitman-Morgan needs normal scores, and all of them speak of SDs, which mislead where arms differ in shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.statistics.intervals import exact_sd, leave_one_out_log_sd
from stabilitybench.statistics.resampling import swaps
from stabilitybench.statistics.results import (
    Estimate,
    Floats,
    TestResult,
    check_draws,
    check_level,
    is_constant,
    paired_samples,
)
from stabilitybench.statistics.sd_ratio_intervals import SdRatio

METHOD = "jackknife-t over pairs on log SD ratio"


@dataclass(frozen=True)
class PairedSpread:
    """Spread of two arms whose runs come in pairs.

    Attributes
    ----------
    n : int
        Pairs.
    correlation : Estimate
        Pearson's, with Fisher's interval; None with a note where an arm is constant.
    ratio : SdRatio
        SD ratio with an interval that allows for the correlation.
    pitman_morgan, permutation : TestResult
        The two tests; the first assumes normal pairs.
    """

    n: int
    correlation: Estimate
    ratio: SdRatio
    pitman_morgan: TestResult
    permutation: TestResult


def paired_spread(
    arm: npt.ArrayLike,
    baseline: npt.ArrayLike,
    rng: np.random.Generator,
    draws: int = 9999,
    level: float = 0.95,
) -> PairedSpread:
    """Return correlation, SD ratio and both paired tests for runs in pairs.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        Scores; run i of one arm belongs to run i of the other.
    rng : numpy.random.Generator
        Draws the swaps of the permutation test.
    draws : int, default 9999
        How many, at least 99.
    level : float, default 0.95
        Confidence level of the intervals, in (0, 1).

    Returns
    -------
    PairedSpread
        What the data do not admit is None, with a note.

    Raises
    ------
    UserError
        For unequal numbers of scores, scores that are not finite, a level or draws out of range.

    Examples
    --------
    >>> found = paired_spread([1.0, 2.0, 4.0, 3.0], [2.0, 4.0, 9.0, 5.0], np.random.default_rng(0))
    >>> found.n, round(found.correlation.estimate, 2), round(found.ratio.estimate, 2)
    (4, 0.96, 0.44)
    """
    first, second = paired_samples(arm, baseline)
    return PairedSpread(
        n=first.size,
        correlation=_correlation(first, second, check_level(level)),
        ratio=paired_sd_ratio(first, second, level),
        pitman_morgan=pitman_morgan(first, second),
        permutation=paired_permutation(first, second, rng, draws),
    )


def pitman_morgan(arm: npt.ArrayLike, baseline: npt.ArrayLike) -> TestResult:
    r"""Test equal spread of normal pairs [1]_ [2]_.

    Equal variances mean uncorrelated sums and differences: with r their correlation, the statistic :math:`t = r
    \sqrt{(n - 2) / (1 - r^2)}` has n - 2 degrees of freedom. It is not robust: heavy tails make it reject too often, so
    `paired_permutation` stands beside it.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        Scores; run i of one arm belongs to run i of the other.

    Returns
    -------
    TestResult
        Undefined below 4 pairs and when sums or differences are constant.

    Raises
    ------
    UserError
        For unequal numbers of scores or scores that are not finite.

    References
    ----------
    .. [1] Pitman (1939), Biometrika 31:9-12.
    .. [2] Morgan (1939), Biometrika 31:13-19.

    Examples
    --------
    >>> round(pitman_morgan([1.0, 2.0, 4.0, 3.0], [2.0, 4.0, 9.0, 5.0]).p, 3)
    0.038
    """
    first, second = paired_samples(arm, baseline)
    if first.size < 4:
        return TestResult.undefined(f"there are {first.size} of the 4 pairs needed")
    a, b = first - first.mean(), second - second.mean()
    sums, differences = a + b, a - b
    scale = max(float(np.abs(a).max()), float(np.abs(b).max()))
    for name, values in (("sums", sums), ("differences", differences)):
        if float(np.abs(values).max()) <= 1e-12 * scale:
            return TestResult.undefined(f"the {name} of the pairs do not vary")
    outcome = stats.pearsonr(sums / scale, differences / scale)
    r = float(outcome.statistic)
    n = first.size
    t = math.copysign(math.inf, r) if abs(r) >= 1 else r * math.sqrt((n - 2) / (1 - r * r))
    return TestResult.of(t, float(outcome.pvalue))


def paired_permutation(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, rng: np.random.Generator, draws: int = 9999
) -> TestResult:
    r"""Test equal spread of pairs by swapping the two scores of random pairs after each arm's median is taken away.

    The statistic is :math:`|\log(\sum a^2 / \sum b^2)|` about the medians. Where there are no more than `draws` ways to
    swap, all of them are listed and p is the share at least as large; otherwise p is (1 + draws at least as large) / (1
    + draws). Approximate because the medians are estimated.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        Scores; run i of one arm belongs to run i of the other.
    rng : numpy.random.Generator
        Draws the swaps.
    draws : int, default 9999
        How many, at least 99.

    Returns
    -------
    TestResult
        Undefined below 4 pairs and when both arms are constant.

    Raises
    ------
    UserError
        As in `pitman_morgan`, and for fewer than 99 draws.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pairs = rng.normal(size=20)
    >>> paired_permutation(pairs, 2 * pairs + rng.normal(size=20), rng).p < 0.01
    True
    """
    first, second = paired_samples(arm, baseline)
    check_draws(rng, draws)
    if first.size < 4:
        return TestResult.undefined(f"there are {first.size} of the 4 pairs needed")
    if is_constant(first) and is_constant(second):
        return TestResult.undefined("both arms are constant")
    # sorted, so that the same pairs in another order meet the same random swaps
    order = np.lexsort((second, first))
    a, b = first[order] - np.median(first), second[order] - np.median(second)
    scale = max(float(np.abs(a).max()), float(np.abs(b).max()))
    squares = (a / scale) ** 2, (b / scale) ** 2
    with np.errstate(divide="ignore"):
        observed = abs(float(np.log(squares[0].sum()) - np.log(squares[1].sum())))
    # at a fixed total the log ratio is as large wherever the difference of the two sums is
    gap = float(squares[0].sum() - squares[1].sum())
    limit = abs(gap) - 1e-12 * float(squares[0].sum() + squares[1].sum())
    at_least, done = 0, 0
    blocks, listed = swaps(first.size, draws, rng)
    for block in blocks:
        gaps = gap - 2 * (block @ (squares[0] - squares[1]))
        at_least += int(np.count_nonzero(np.abs(gaps) >= limit))
        done += len(block)
    return TestResult.of(observed, at_least / done if listed else (1 + at_least) / (1 + done))


def paired_sd_ratio(arm: npt.ArrayLike, baseline: npt.ArrayLike, level: float = 0.95) -> SdRatio:
    """Return SD(arm) / SD(baseline) of runs in pairs, with a jackknife-t interval that leaves out pairs (n - 1 df).

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        Scores; run i of one arm belongs to run i of the other.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    SdRatio
        Undefined cases carry a note.

    Raises
    ------
    UserError
        For unequal numbers of scores, scores that are not finite or a level outside (0, 1).

    Examples
    --------
    >>> found = paired_sd_ratio([1.0, 2.0, 4.0, 3.0, 7.0], [2.0, 4.0, 9.0, 5.0, 12.0])
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '0.57 [0.30, 1.09]'
    """
    first, second = paired_samples(arm, baseline)
    check_level(level)
    n = first.size
    if n < 2:
        return SdRatio(None, None, None, METHOD, f"no ratio: there are {n} of the 2 pairs needed")
    if is_constant(second):
        return SdRatio(None, None, None, METHOD, "no ratio: the baseline has no spread (all scores equal)")
    estimate = exact_sd(first) / exact_sd(second)
    if not math.isfinite(estimate):
        return SdRatio(None, None, None, METHOD, "no ratio: it exceeds what a double can hold")
    if n < 4:
        return SdRatio(estimate, None, None, METHOD, f"no interval: there are {n} of the 4 pairs needed")
    if estimate == 0:
        return SdRatio(estimate, None, None, METHOD, "no interval: the arm has no spread (all scores equal)")
    logs = [leave_one_out_log_sd(values[None, :])[0] for values in (first, second)]
    if not all(np.isfinite(x).all() for x in logs):
        return SdRatio(estimate, None, None, METHOD, "no interval: all scores of an arm but one are equal")
    without = logs[0] - logs[1]
    se = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    if se < 1e-12:
        return SdRatio(estimate, None, None, METHOD, "no interval: leaving any one pair out does not change the ratio")
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * se
    centre = math.log(estimate)
    if abs(centre) + half > 700:
        return SdRatio(estimate, None, None, METHOD, "no interval: its limits exceed what a double can hold")
    return SdRatio(estimate, math.exp(centre - half), math.exp(centre + half), METHOD, "", se)


def _correlation(first: Floats, second: Floats, level: float) -> Estimate:
    method = "Fisher's z"
    if first.size < 4:
        return Estimate(None, None, None, method, f"no correlation: there are {first.size} of the 4 pairs needed")
    for name, values in (("arm", first), ("baseline", second)):
        if is_constant(values):
            return Estimate(None, None, None, method, f"no correlation: the {name} has no spread (all scores equal)")
    unit = [(x - x[0]) / np.abs(x - x[0]).max() for x in (first, second)]
    outcome = stats.pearsonr(*unit)
    r = min(max(float(outcome.statistic), -1.0), 1.0)
    if abs(r) == 1:
        return Estimate(r, None, None, method, "no interval: the pairs lie on a line")
    limits = outcome.confidence_interval(level)
    return Estimate(r, float(limits.low), float(limits.high), method, "")
