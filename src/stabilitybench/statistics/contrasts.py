"""Means of several arms: weighted sums of them by Welch's t, equivalence, and whether any of them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.argument_checks import listed
from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.decisions import ALPHA, POWER
from stabilitybench.statistics.results import LARGEST, TestResult, is_constant, reals, sample


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of means, and what can be said of it.

    Attributes
    ----------
    estimate : float
        The sum.
    se : float
        Its standard error, above 0.
    df : float
        Degrees of freedom of the standard error.
    """

    estimate: float
    se: float
    df: float

    def p(self, null: float = 0.0) -> float:
        """Return the two-sided p-value against `null`.

        Parameters
        ----------
        null : float, default 0.0
            What the sum is tested against, in its own unit.
        """
        return float(2 * stats.t.sf(abs((self.estimate - null) / self.se), self.df))

    def half_width(self, alpha: float = ALPHA) -> float:
        """Return half the width of the interval at the confidence level ``1 - alpha``.

        Parameters
        ----------
        alpha : float, default 0.05
            One minus the confidence level, in (0, 1).
        """
        return float(stats.t.isf(alpha / 2, self.df)) * self.se

    def power(self, distance: float, alpha: float = ALPHA) -> float:
        """Return the chance to see, on its own side, an effect that lies at a distance from the null.

        Parameters
        ----------
        distance : float
            From the null, in the unit of the sum.
        alpha : float, default 0.05
            Level of the test, in (0, 1).
        """
        critical = float(stats.t.isf(alpha / 2, self.df))
        return float(stats.nct.sf(critical, self.df, distance / self.se))

    def detectable(self, alpha: float = ALPHA, power: float = POWER) -> float:
        """Return the distance from the null that is seen with the chance `power`.

        Parameters
        ----------
        alpha : float, default 0.05
            Level of the test, in (0, 1).
        power : float, default 0.8
            Chance to see it, in (0, 1).
        """
        return float(stats.t.isf(alpha / 2, self.df) + stats.t.isf(1 - power, self.df)) * self.se

    def equivalence_p(self, margin: float) -> float:
        """Return the p-value of two one-sided tests that the sum lies within `margin` of 0.

        Parameters
        ----------
        margin : float
            Above 0, in the unit of the sum.

        References
        ----------
        Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the power approach for assessing
        the equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.
        """
        return float(stats.t.sf((margin - abs(self.estimate)) / self.se, self.df))

    def equivalence_power(self, margin: float, alpha: float = ALPHA) -> float:
        """Return the chance that these two tests show a sum of exactly 0 to lie within `margin`.

        Parameters
        ----------
        margin : float
            Above 0, in the unit of the sum.
        alpha : float, default 0.05
            Level of each of the two tests, in (0, 1).
        """
        return max(0.0, float(2 * stats.t.cdf(margin / self.se - stats.t.isf(alpha, self.df), self.df) - 1))

    def equivalence_margin(self, alpha: float = ALPHA, power: float = POWER) -> float:
        """Return the margin within which a sum of exactly 0 is shown to lie with the chance `power`.

        Parameters
        ----------
        alpha : float, default 0.05
            Level of each of the two tests, in (0, 1).
        power : float, default 0.8
            Chance to show it, in (0, 1).
        """
        return float(stats.t.isf(alpha, self.df) + stats.t.isf((1 - power) / 2, self.df)) * self.se


def welch_contrast(n: npt.ArrayLike, mean: npt.ArrayLike, sd: npt.ArrayLike, weights: Sequence[float]) -> Contrast:
    r"""Return a weighted sum of means, averaged over strata, without taking the variances as equal.

    The estimate is :math:`\frac1k \sum_{s} \sum_a w_a \bar x_{sa}` over k strata, with variance
    :math:`\frac1{k^2} \sum_s \sum_a w_a^2 s_{sa}^2 / n_{sa}` and the degrees of freedom of Satterthwaite (1946).  With
    one stratum and weights (1, -1) it is Welch's test, with (1, -1, -1, 1) an interaction.  Each stratum is one of
    those asked about; they are no sample of strata.

    Parameters
    ----------
    n, mean, sd : array_like
        Number of runs, mean and sample SD (ddof = 1), each [strata, arms].
    weights : sequence of float
        One for each arm.

    Raises
    ------
    UserError
        Where the shapes differ, or an arm has fewer than two runs.

    Examples
    --------
    >>> a, b = np.array([3.0, 4.0, 6.0]), np.array([1.0, 2.0, 2.5, 2.0])
    >>> found = welch_contrast([[3, 4]], [[a.mean(), b.mean()]], [[a.std(ddof=1), b.std(ddof=1)]], (1, -1))
    >>> abs(found.p() - float(stats.ttest_ind(a, b, equal_var=False).pvalue)) < 1e-12
    True
    """
    given = {"n": n, "mean": mean, "sd": sd, "weights": weights}
    sizes, means, sds, factors = (reals(x, name, "must be numbers") for name, x in given.items())
    if sizes.ndim != 2 or not sizes.size or not sizes.shape == means.shape == sds.shape:
        raise UserError(
            f"n, mean and sd of shapes {sizes.shape}, {means.shape} and {sds.shape}: must all be [strata, arms]"
        )
    for name, x in zip(given, (sizes, means, sds, factors), strict=True):
        if not (np.abs(x) <= LARGEST).all():
            raise UserError(Argument(name, given[name]), f": must be finite numbers of at most {LARGEST:g} in size")
    if factors.shape != sizes.shape[1:]:
        raise UserError(Argument("weights", weights), ": must be one per arm")
    if sizes.min() < 2:
        raise UserError(f"n = {sizes.min():g}: every arm needs at least 2 runs")
    if sds.min() < 0:
        raise UserError(f"sd = {sds.min():g}: must be at least 0")
    k, w = len(sizes), factors.tolist() * len(sizes)
    flat = [x.ravel().tolist() for x in (sizes, means, sds)]
    estimate = sum(w * m for w, m in zip(w, flat[1], strict=True)) / k
    parts = [(w * s / k) ** 2 / m for w, s, m in zip(w, flat[2], flat[0], strict=True)]
    variance = sum(parts)
    below = sum(v**2 / (m - 1) for v, m in zip(parts, flat[0], strict=True))
    return Contrast(estimate, math.sqrt(variance), variance**2 / below if below > 0 else 1.0)


def welch_anova(arms: Sequence[npt.ArrayLike]) -> TestResult:
    """Test whether the means of several arms differ at all, without taking the variances as equal (Welch 1951).

    Parameters
    ----------
    arms : sequence of array_like
        The scores of each arm, at least two.

    Returns
    -------
    TestResult
        Undefined where an arm has fewer than two runs or no spread.

    Examples
    --------
    >>> round(welch_anova([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]).p, 3)
    0.221
    """
    from statsmodels.stats.oneway import anova_oneway

    values = [
        sample(scores, f"arms[{k}]") for k, scores in enumerate(listed("arms", arms, "arms, each with its scores"))
    ]
    if len(values) < 2:
        raise UserError(f"arms: {len(values)} of them: must be at least 2")
    if any(is_constant(x) for x in values):  # one run has no spread, either
        return TestResult.undefined("an arm has no spread")
    found = anova_oneway(values, use_var="unequal")
    return TestResult.of(float(found.statistic), float(found.pvalue))


def range_power(distance: float, sd: float, arms: int, n: int, alpha: float = ALPHA) -> float:
    """Return the power of the analysis of variance where the two extreme of several means lie `distance` apart.

    The other means lie half-way between, which is the least favourable arrangement.

    Parameters
    ----------
    distance : float
        Between the largest and the smallest mean, in the unit of `sd`.
    sd : float
        Common SD of the scores, above 0.
    arms, n : int
        Number of arms, and of runs in each.
    alpha : float, default 0.05
        Level of the test.

    Examples
    --------
    >>> round(range_power(1.0, sd=1.0, arms=3, n=20), 2)
    0.79
    """
    if distance == 0:  # scipy's non-central F is not that of nothing there
        return alpha
    critical = stats.f.isf(alpha, arms - 1, arms * (n - 1))
    return float(stats.ncf.sf(critical, arms - 1, arms * (n - 1), n * distance**2 / (2 * sd**2)))


def detectable_range(sd: float, arms: int, n: int, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """Return the distance between the extreme means that is detected, to a hundredth of an SD; None above 8 SDs.

    Parameters
    ----------
    sd, arms, n, alpha
        As in `range_power`.
    power : float, default 0.8
        The chance to detect it.

    Examples
    --------
    >>> round(detectable_range(1.0, arms=3, n=20), 2)
    1.01
    """
    grid = np.linspace(0, 8 * sd, 801)[1:]
    return next((float(d) for d in grid if range_power(float(d), sd, arms, n, alpha) >= power), None)


def seeds_for_range(
    distance: float, sd: float, arms: int, alpha: float = ALPHA, power: float = POWER, most: int = 2000
) -> int | None:
    """Return the runs per arm that detect extreme means `distance` apart; None where fewer than `most` do not.

    Parameters
    ----------
    distance, sd, arms, alpha
        As in `range_power`.
    power : float, default 0.8
        The chance to detect it.
    most : int, default 2000
        The first number of runs that is not tried.

    Examples
    --------
    >>> seeds_for_range(1.0, sd=1.0, arms=3)
    21
    """
    return next((n for n in range(2, most) if range_power(distance, sd, arms, n, alpha) >= power), None)
