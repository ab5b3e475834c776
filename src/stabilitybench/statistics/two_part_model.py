"""Failure and spread apart: the two-part comparison of arms, and which of the two makes a standard deviation large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.failure import Rate, fisher, risk_difference, wilson
from stabilitybench.statistics.results import Estimate, Floats, TestResult, check_level, reals, sample
from stabilitybench.statistics.robust import distance_ratio
from stabilitybench.statistics.sd_ratio_intervals import SdRatio, sd_ratio
from stabilitybench.statistics.spread import brown_forsythe

# below this many runs that did not fail, their spread says too little to be shown
ENOUGH = 10


@dataclass(frozen=True)
class Mixture:
    """The variance of one arm taken apart into failure and spread.

    The three parts add up to `total`.

    Attributes
    ----------
    n : int
        All runs.
    failed : int
        Failed runs.
    total : float or None
        Sample variance (ddof = 1) of all runs; None below two runs, and so are its parts.
    between : float or None
        The part that failing or not explains, from the distance of the two group means.
    within_failed, within_kept : float or None
        The part that scores of failed, and of other, runs spread about their own mean.
    """

    n: int
    failed: int
    total: float | None
    between: float | None
    within_failed: float | None
    within_kept: float | None

    @property
    def failure_share(self) -> float | None:
        """Share of the variance that failed runs make, (between + within_failed) / total; None without variance."""
        if self.total is None or self.between is None or self.within_failed is None or self.total == 0:
            return None
        return min(max((self.between + self.within_failed) / self.total, 0.0), 1.0)

    @property
    def driver(self) -> str:
        """What makes the SD: "failures" or "spread", whichever has the larger share, or "nothing"."""
        share = self.failure_share
        return "nothing" if share is None else "failures" if share > 0.5 else "spread"


@dataclass(frozen=True)
class TwoPart:
    """An arm against the baseline in two parts: how often runs fail, and how the others spread.

    Spread among the runs that did not fail conditions on the outcome, so it describes and does not compare as the draw
    of seeds would: the runs that one method saves from failing enter on one side only.

    Attributes
    ----------
    failure, baseline_failure : Rate
        Failure rates with Wilson intervals.
    difference : Estimate
        Failure rate minus the baseline's, Newcombe's interval.
    fisher : TestResult
        The test of equal rates.
    mixture, baseline_mixture : Mixture
        What makes each arm's SD.
    ratio, distance : SdRatio, Estimate
        Ratios of SDs and of mean distances to the median among the runs that did not fail. Without an estimate, with a
        note, below 10 such runs in an arm.
    brown_forsythe : TestResult
        The test of equal spread among the same runs; undefined where the ratios are.
    """

    failure: Rate
    baseline_failure: Rate
    difference: Estimate
    fisher: TestResult
    mixture: Mixture
    baseline_mixture: Mixture
    ratio: SdRatio
    distance: Estimate
    brown_forsythe: TestResult


def mixture(scores: npt.ArrayLike, failed: npt.ArrayLike) -> Mixture:
    r"""Take the variance of one arm apart into what failing and what ordinary spread contribute.

    .. math::
        (n - 1) s^2 = \frac{n_f n_k}{n} (\bar x_f - \bar x_k)^2 + \sum_f (x - \bar x_f)^2
        + \sum_k (x - \bar x_k)^2

    over failed (f) and other (k) runs.

    Parameters
    ----------
    scores : array_like, shape (n,)
        One per run, failed ones included.
    failed : array_like of bool, shape (n,)
        Which runs failed.

    Returns
    -------
    Mixture
        Without numbers below two runs.

    Raises
    ------
    UserError
        For scores that are not finite or when the two arrays differ in length.

    Examples
    --------
    >>> found = mixture([0.0, 0.7, 0.71, 0.69, 0.7], [True, False, False, False, False])
    >>> found.driver, round(found.failure_share, 3)
    ('failures', 0.999)
    """
    values, bad = _marked(scores, failed, "scores", "failed")
    n = values.size
    if n < 2:
        return Mixture(n, int(bad.sum()), None, None, None, None)
    centred = values - values[0]
    groups = centred[bad], centred[~bad]
    within = [float(((x - x.mean()) ** 2).sum()) if x.size else 0.0 for x in groups]
    between = 0.0
    if groups[0].size and groups[1].size:
        between = groups[0].size * groups[1].size / n * float(groups[0].mean() - groups[1].mean()) ** 2
    parts = [part / (n - 1) for part in (between, *within)]
    return Mixture(n, int(bad.sum()), sum(parts), *parts)


def two_part(
    arm: npt.ArrayLike,
    arm_failed: npt.ArrayLike,
    baseline: npt.ArrayLike,
    baseline_failed: npt.ArrayLike,
    level: float = 0.95,
) -> TwoPart:
    """Compare failure, and then spread among the runs that did not fail.

    Parameters
    ----------
    arm : array_like, shape (n,)
        Scores of all finished runs of the arm.
    arm_failed : array_like of bool, shape (n,)
        Which of them failed.
    baseline : array_like, shape (m,)
        Scores of all finished runs of the baseline.
    baseline_failed : array_like of bool, shape (m,)
        Which of them failed.
    level : float, default 0.95
        Confidence level of the intervals, in (0, 1).

    Returns
    -------
    TwoPart
        What the data do not admit is None, with a note.

    Raises
    ------
    UserError
        For scores that are not finite, arrays that differ in length or a level outside (0, 1).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores, failed = rng.normal(0.7, 0.01, 20), np.arange(20) < 6
    >>> found = two_part(scores + 0.02, np.zeros(20, bool), np.where(failed, 0.5, scores), failed)
    >>> found.baseline_mixture.driver, round(found.fisher.p, 3)
    ('failures', 0.02)
    """
    first, bad_first = _marked(arm, arm_failed, "arm", "arm_failed")
    second, bad_second = _marked(baseline, baseline_failed, "baseline", "baseline_failed")
    check_level(level)
    counts = int(bad_first.sum()), first.size, int(bad_second.sum()), second.size
    kept = first[~bad_first], second[~bad_second]
    ratio, distance = sd_ratio(*kept, level), distance_ratio(*kept, level)
    test = brown_forsythe(*kept)
    for name, values in zip(("arm", "baseline"), kept, strict=True):
        if values.size < ENOUGH:
            note = f"the {name} has {values.size} runs that did not fail, fewer than {ENOUGH}"
            ratio = SdRatio(None, None, None, ratio.method, f"no ratio: {note}")
            distance = Estimate(None, None, None, distance.method, f"no ratio: {note}")
            test = TestResult.undefined(note)
            break
    return TwoPart(
        failure=wilson(counts[0], counts[1], level),
        baseline_failure=wilson(counts[2], counts[3], level),
        difference=risk_difference(*counts, level),
        fisher=fisher(*counts),
        mixture=mixture(first, bad_first),
        baseline_mixture=mixture(second, bad_second),
        ratio=ratio,
        distance=distance,
        brown_forsythe=test,
    )


def _marked(
    scores: npt.ArrayLike, failed: npt.ArrayLike, name: str, marks_name: str
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    values = sample(scores, name)
    marks = reals(failed, marks_name, "must be true or false, one for each run")
    if not np.isin(marks, (0, 1)).all():
        raise UserError(Argument(marks_name, failed), ": must be true or false, one for each run")
    if marks.shape != values.shape:
        raise UserError(f"{marks_name}: {marks.size} marks for {values.size} scores: must be as many")
    return values, marks.astype(bool)
