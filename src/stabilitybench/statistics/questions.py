"""The three questions of every comparison: how often runs fail, how far they scatter, how good they are.

Reports and plans answer them by these functions. Each gives one number with an interval and a test that are one
method, so that they cannot disagree; what keeps them from an answer is a note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.equality import EqualByContent
from stabilitybench.statistics.contrasts import welch_contrast
from stabilitybench.statistics.crossed_contrast import crossed_deviation_ratio, crossed_difference
from stabilitybench.statistics.decisions import LEVEL
from stabilitybench.statistics.deviation import deviation_ratio, paired_deviation_ratio
from stabilitybench.statistics.failure_odds import failure_contrast, paired_failure_contrast
from stabilitybench.statistics.pairing import SHARED, Pairing
from stabilitybench.statistics.results import Floats, is_constant

Value = TypeVar("Value", bound=np.generic)
Bools = npt.NDArray[np.bool_]
Outliers = Literal["", "worse", "larger", "milder"]

#: Below so many runs an interval of a mean says nothing that the order of the runs does not.
FEWEST_FOR_LEVEL = 4
#: With crossed seeds a bad one fails in every cell that it takes part in.
CROSSED_FAILURES = "not tested: runs that share a seed fail alike"


@dataclass(frozen=True, eq=False)
class Runs(EqualByContent):
    """The finished runs of an arm.

    Attributes
    ----------
    scores : numpy.ndarray, shape (n,)
        Finite; failed runs have theirs, too.
    failed : numpy.ndarray of bool, shape (n,)
        Which of them failed.
    """

    scores: Floats
    failed: Bools


@dataclass(frozen=True)
class Answer:
    """An answer to one question.

    Attributes
    ----------
    estimate : float or None
        Odds ratio of failing, deviation ratio, or difference of the means; None where the data do not define it.
    low, high : float or None
        The interval, which leaves out "no difference" exactly where p is below one minus its level.
    p : float or None
        Of the two-sided test; None where there is none, which leaves the family of tests.
    n_arm, n_baseline : int
        Runs that it rests on.
    paired : bool
        Whether these are pairs.
    method : str
        How interval and test were made.
    note : str
        Why something is missing; empty when nothing is.
    se, df : float or None
        Standard error of the estimate (of a ratio: of its log) and degrees of freedom; None where the method has none.
    holm : float or None
        p adjusted by Holm's method over its family; None without p, and before the family is known.
    tests : int
        Tests in this family; 0 before it is known.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    n_arm: int
    n_baseline: int
    paired: bool
    method: str
    note: str
    se: float | None = None
    df: float | None = None
    holm: float | None = None
    tests: int = 0


@dataclass(frozen=True)
class SpreadAnswer(Answer):
    """The answer to how far runs scatter: a deviation ratio, among the runs that did not fail.

    Attributes
    ----------
    among : bool
        Whether failed runs were left out.
    sd_ratio : float or None
        Of the same runs; it describes, and nothing rests on it.
    outliers : {"", "worse", "larger", "milder"}
        What the ratio hides of the runs far out, as `outliers` tells it.
    """

    among: bool = False
    sd_ratio: float | None = None
    outliers: Outliers = ""


def failure_question(arm: Runs, baseline: Runs, pairs: Pairing, level: float = LEVEL) -> Answer:
    """Answer how often runs fail: the odds of failing over those of the baseline.

    Parameters
    ----------
    arm, baseline : Runs
        All finished runs.
    pairs : Pairing
        Of these runs.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Answer
        Without p where no run failed, all did, or (in pairs) both runs of each pair fared alike: no other outcome of so
        many failures could be told from this one, so the comparison costs others nothing [1]_.  Without p in a crossed
        design, too.  Over all runs, as if independent, where a run without a partner failed.

    References
    ----------
    .. [1] Tarone (1990), Biometrics 46:515-522.
    """
    if not (arm.failed.size and baseline.failed.size):
        return _unanswered(arm, baseline, False, "an arm has no finished run")
    first, second = _paired(arm.failed, baseline.failed, pairs)
    # a failed run without a partner counts, too: then all runs are compared, as if they were independent
    alone = (arm.failed.sum(), baseline.failed.sum()) != (first.sum(), second.sum())
    paired = pairs.kind != "independent" and not alone
    if not paired:
        first, second = arm.failed, baseline.failed
        found = failure_contrast(int(first.sum()), first.size, int(second.sum()), second.size, level)
        told = 0 < first.sum() + second.sum() < first.size + second.size
    else:
        if not first.size:
            return _unanswered(arm, baseline, True, "no pair is finished")
        found = paired_failure_contrast(first, second, level)
        told = bool((first != second).any())
    note = "" if told else _uninformative(first, second)
    if told and pairs.kind == "crossed":
        told, note = False, CROSSED_FAILURES
    return Answer(
        found.odds_ratio,
        found.low if told else None,
        found.high if told else None,
        found.p if told else None,
        *found.n,
        paired,
        found.method,
        note,
    )


def spread_question(arm: Runs, baseline: Runs, pairs: Pairing, level: float = LEVEL) -> SpreadAnswer:
    """Answer how far runs scatter: the deviation ratio among the runs that did not fail.

    A run that failed drops its pair; where the pairs that remain are fewer than 80 % of the runs that did not fail in
    either arm, these are compared as independent (but for crossed designs, whose runs never are).

    Parameters
    ----------
    arm, baseline : Runs
        All finished runs.
    pairs : Pairing
        Of these runs.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Examples
    --------
    >>> from stabilitybench.statistics.pairing import pairing
    >>> base = np.linspace(0.5, 0.9, 20)
    >>> arm = Runs(0.8 + (base - 0.7) ** 3, np.zeros(20, bool))
    >>> seeds = [(k,) for k in range(20)]
    >>> found = spread_question(arm, Runs(base, base < 0.51), pairing(seeds, seeds))
    >>> found.n_arm, found.paired, found.among
    (19, True, True)
    """
    first, second = arm.scores[~arm.failed], baseline.scores[~baseline.failed]
    paired = False
    if pairs.kind != "independent":
        scores = _paired(arm.scores, baseline.scores, pairs)
        lost = _paired(arm.failed, baseline.failed, pairs)
        ok = ~(lost[0] | lost[1])
        failures = bool(arm.failed.any() or baseline.failed.any())
        # runs that share seeds of a stream are never independent
        if pairs.kind == "crossed" or not failures or ok.sum() >= SHARED * max(first.size, second.size):
            first, second, paired = scores[0][ok], scores[1][ok], True
    if pairs.kind == "crossed":
        streams = {name: np.array(values, dtype=object)[ok] for name, values in pairs.streams}
        found = crossed_deviation_ratio(first, second, streams, level)
    else:
        found = (paired_deviation_ratio if paired else deviation_ratio)(first, second, level)
    return SpreadAnswer(
        found.estimate,
        found.low,
        found.high,
        found.p,
        first.size,
        second.size,
        paired,
        found.method,
        found.note,
        se=found.log_se,
        df=found.df,
        among=bool(arm.failed.any() or baseline.failed.any()),
        sd_ratio=_sd_ratio(first, second),
        outliers=outliers(first, second, found.estimate),
    )


def level_question(arm: Runs, baseline: Runs, pairs: Pairing, level: float = LEVEL) -> Answer:
    """Answer how good runs are: the difference of the mean scores, failed runs included.

    Student's t over pairs (over crossed seeds, with the variance of `crossed_difference`), or Welch's [1]_.

    Parameters
    ----------
    arm, baseline : Runs
        All finished runs.
    pairs : Pairing
        Of these runs.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Answer
        Without interval and p below four runs, and where neither arm (in pairs: no difference) varies.

    References
    ----------
    .. [1] Welch (1947), Biometrika 34:28-35.
    """
    paired = pairs.kind != "independent"
    method = "Student's t over pairs" if paired else "Welch's t"
    first, second = _paired(arm.scores, baseline.scores, pairs) if paired else (arm.scores, baseline.scores)
    sizes = first.size, second.size
    if not min(sizes):
        return _unanswered(arm, baseline, paired, "no pair is finished" if paired else "an arm has no finished run")
    difference = float(np.mean(first - second)) if paired else float(first.mean() - second.mean())

    def without(note: str) -> Answer:
        return Answer(difference, None, None, None, *sizes, paired, method, note)

    if min(sizes) < FEWEST_FOR_LEVEL:
        return without(f"{min(sizes)} of the {FEWEST_FOR_LEVEL} {'pairs' if paired else 'runs'} needed")
    if paired and np.array_equal(first, second):
        return without("identical runs")
    if pairs.kind == "crossed":
        streams = {name: np.array(values, dtype=object) for name, values in pairs.streams}
        crossed = crossed_difference(first, second, streams, level)
        return Answer(
            crossed.estimate, crossed.low, crossed.high, crossed.p, *sizes, True, crossed.method,
            crossed.note.removeprefix("no interval: "), crossed.se, crossed.df,
        )  # fmt: skip
    largest = float(max(np.abs(first).max(), np.abs(second).max()))
    if not 1e-100 < largest < 1e100:
        return without("scores beyond 1e-100 to 1e100")
    if paired:
        gaps = first - second
        if np.ptp(gaps) <= 1e-12 * largest:
            return without("every pair differs by the same")
        se, df = float(gaps.std(ddof=1)) / math.sqrt(gaps.size), gaps.size - 1.0
    else:
        if is_constant(first) and is_constant(second):
            return without("all runs of each arm are equal")
        moments = [[x.size for x in (first, second)]], [[x.mean() for x in (first, second)]]
        sds = [[0.0 if is_constant(x) else x.std(ddof=1) for x in (first, second)]]
        found = welch_contrast(*moments, sds, (1.0, -1.0))
        se, df = found.se, found.df
    half = float(stats.t.isf((1 - level) / 2, df)) * se
    p = min(float(2 * stats.t.sf(abs(difference) / se, df)), 1.0)
    return Answer(difference, difference - half, difference + half, p, *sizes, paired, method, "", se, df)


def outliers(arm: Floats, baseline: Floats, deviation: float | None) -> Outliers:
    """Tell what a deviation ratio hides of the runs far out.

    Parameters
    ----------
    arm, baseline : numpy.ndarray, shape (n,) and (m,)
        Scores of the runs that it compares.
    deviation : float or None
        The ratio, arm over baseline.

    Returns
    -------
    {"", "worse", "larger", "milder"}
        Of an arm whose runs lie closer together: "worse" where its worst run lies farther below its median than that of
        the baseline below its own, else "larger" where its SD is the larger one. Of an arm whose runs lie farther
        apart: "milder" where its SD is the smaller one. Else empty.

    Examples
    --------
    >>> even = np.linspace(0.6, 0.8, 9)
    >>> outliers(np.r_[0.3, np.full(4, 0.7), np.full(4, 0.71)], even, 0.4)
    'worse'
    """
    if deviation is None or deviation == 1:
        return ""
    wider = (_sd_ratio(arm, baseline) or 0.0) > 1
    if deviation > 1:
        return "" if wider else "milder"
    if np.median(arm) - arm.min() > np.median(baseline) - baseline.min():
        return "worse"
    return "larger" if wider else ""


def correlation(arm: Runs, baseline: Runs, pairs: Pairing) -> float | None:
    """Return Pearson's correlation of the scores of pairs without a failed run.

    None below three such pairs, and where an arm does not vary: one failed run would decide it.

    Parameters
    ----------
    arm, baseline : Runs
        All finished runs.
    pairs : Pairing
        Of these runs.
    """
    first, second = _paired(arm.scores, baseline.scores, pairs)
    lost = _paired(arm.failed, baseline.failed, pairs)
    first, second = first[~(lost[0] | lost[1])], second[~(lost[0] | lost[1])]
    if first.size < 3 or is_constant(first) or is_constant(second):
        return None
    centred = [(x - x.mean()) / np.abs(x - x.mean()).max() for x in (first, second)]
    norms = [float(np.sqrt((x**2).sum())) for x in centred]
    return min(max(float(centred[0] @ centred[1]) / norms[0] / norms[1], -1.0), 1.0)


def _paired(
    arm: npt.NDArray[Value], baseline: npt.NDArray[Value], pairs: Pairing
) -> tuple[npt.NDArray[Value], npt.NDArray[Value]]:
    places = np.array(pairs.pairs, dtype=np.intp).reshape(-1, 2)
    return arm[places[:, 0]], baseline[places[:, 1]]


def _sd_ratio(arm: Floats, baseline: Floats) -> float | None:
    if min(arm.size, baseline.size) < 2 or is_constant(baseline):
        return None
    below = float(baseline.std(ddof=1))  # 0 where the squares of tiny scores are
    return (0.0 if is_constant(arm) else float(arm.std(ddof=1)) / below) if below else None


def _uninformative(first: Bools, second: Bools) -> str:
    if not (first.any() or second.any()):
        return "no run failed"
    return "every run failed" if first.all() and second.all() else "both runs of every pair fared alike"


def _unanswered(arm: Runs, baseline: Runs, paired: bool, note: str) -> Answer:
    return Answer(None, None, None, None, arm.scores.size, baseline.scores.size, paired, "", note)
