"""Level across seeds: whether one arm is better than another, or as good."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.argument_checks import count, inside, number
from stabilitybench.statistics.contrasts import welch_contrast
from stabilitybench.statistics.location import round_trip_mean
from stabilitybench.statistics.results import (
    Estimate,
    Floats,
    TestResult,
    check_draws,
    check_level,
    is_constant,
    sample,
    unit_of,
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
    count("comparisons", comparisons)
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
    margin = number(
        "margin", margin, "must be a finite number above 0, in the unit of the scores", lambda most: most > 0
    )
    alpha = inside("alpha", alpha, 0, 0.5, "0.05")
    if min(first.size, second.size) < 2:
        reason = "an arm has fewer than 2 runs"
        return Equivalence(None, None, None, margin, TestResult.undefined(reason), False)
    difference = round_trip_mean(first) - round_trip_mean(second)
    if is_constant(first) and is_constant(second):
        return Equivalence(difference, None, None, margin, TestResult.undefined("both arms are constant"), False)
    shifted = [values - second[0] for values in (first, second)]  # scores far from 0 keep their digits
    unit = unit_of(*shifted)
    shifted = [values / unit for values in shifted]
    found = welch_contrast(
        [[x.size for x in shifted]], [[x.mean() for x in shifted]], [[x.std(ddof=1) for x in shifted]], (1.0, -1.0)
    )
    p, half = found.equivalence_p(margin / unit), found.half_width(2 * alpha)
    t = (found.estimate - math.copysign(margin / unit, found.estimate)) / found.se
    low, high = unit * (found.estimate - half), unit * (found.estimate + half)
    return Equivalence(difference, low, high, margin, TestResult.of(t, p), p < alpha)
