"""An arm that spreads less, or more, than another."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import stats

from stabilitybench.claims.evidence import Cells, Sample
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import PairComparison, runs_of
from stabilitybench.power import brown_forsythe_power, minimal_detectable_ratio, seeds_for_ratio
from stabilitybench.statistics import brown_forsythe, sd_ratio
from stabilitybench.statistics.decisions import ALPHA, POWER, seeds_for_effect
from stabilitybench.statistics.stratified import stratified_spread_permutation

#: An arm with so large a share of failed runs has no spread to speak of: almost all its runs are one constant guess.
COLLAPSED = 0.9
_ENTROPY = 2_006_059


class SpreadCheck(PairComparison):
    """The scores of the first arm spread less than those of the second, or more.

    Attributes
    ----------
    higher : bool
        Whether they are claimed to spread more.
    interest : float
        The smallest ratio of the larger to the smaller SD worth knowing, above 1.
    """

    rule: Literal["spread"]
    higher: bool
    interest: float = Field(gt=1)

    directed: ClassVar[bool] = True

    def compare(self, found: Cells) -> CheckResult:
        """Return the ratio of the SDs and its test."""
        return spread(found, higher=self.higher, interest=self.interest)


def spread(cells: Cells, *, higher: bool = False, interest: float = 1.5) -> CheckResult:
    r"""Test whether the first arm of each cell spreads less (or more) than the second; the effect is the SD ratio.

    One task: Brown-Forsythe, with the interval that inverts Bonett's test.  Several: the geometric mean of the
    ratios, tested by permuting, within each task, the scores after each arm's median is taken away; its interval takes
    the tasks' standard errors as independent.  Summaries: the normal theory of :math:`\log s`, said in the note.

    The note tells the means of both arms, and for a single task both SDs and the inverse ratio, as published tables
    print it, with a BCa bootstrap interval.

    Failures come first: a task where an arm fails in 90 % of its runs or more, or scores on average no better than a
    constant guess, is left out (such runs spread little, which is not stability), and with failed runs among the others
    the interval is withheld.

    Parameters
    ----------
    cells : dict of str to list of Sample
        By task, the samples of the two arms.
    higher : bool, default False
        Whether the first arm is claimed to spread more, rather than less.
    interest : float, default 1.5
        The smallest ratio of the larger to the smaller SD worth knowing, above 1.

    Returns
    -------
    CheckResult
        The SD of the first arm over that of the second.  Where no task is left, or an arm has no spread, the rule does
        not apply.
    """
    used = {t: pair for t, pair in cells.items() if all(s.failures < COLLAPSED * s.n and s.learned for s in pair)}
    lost = ", ".join(t for t in cells if t not in used)
    notes = [f"left out, since an arm learned nothing or at least 90 % of its runs fail: {lost}"]
    notes = notes if len(used) < len(cells) else []
    if not used:
        return CheckResult(runs_of(cells), unit="SD ratio", note=notes[0], decided="not applicable")
    flat = [t for t, (a, b) in used.items() if a.sd == 0 or b.sd == 0]
    if flat:
        note = f"no ratio: an arm has no spread on {', '.join(flat)}"
        return CheckResult(runs_of(cells), unit="SD ratio", note=note, decided="not applicable")
    logs = np.array([math.log(a.sd / b.sd) for a, b in used.values()])
    se = math.sqrt(sum(_log_se(a, b) ** 2 for a, b in used.values())) / len(used)
    ratio = math.exp(float(logs.mean()))
    first, second = next(iter(used.values()))
    runs = max(first.n, second.n)
    if len(used) == 1 and first.known:
        p = brown_forsythe(first.values, second.values).p
        found = sd_ratio(first.values, second.values)
        low, high = found.low, found.high
        notes.append(_inverse(first, second))
        reach = minimal_detectable_ratio(first.n, second.n, ALPHA, POWER)
        detectable = reach.above if higher else reach.below
        power, seeds = brown_forsythe_power(interest, runs, runs, ALPHA), seeds_for_ratio(interest, ALPHA, POWER)
    else:
        z = float(stats.norm.isf(ALPHA / 2))
        notes.append("; ".join(f"{t}: {_means(*pair)}" for t, pair in used.items()))
        if all(a.known for a, _ in used.values()):
            pairs = [(a.values, b.values) for a, b in used.values()]
            p = stratified_spread_permutation(pairs, np.random.default_rng(_ENTROPY))
        else:
            p = float(2 * stats.norm.sf(abs(logs.mean()) / se))
            notes.append("from published SDs, taken as those of normal scores")
        low, high = (math.exp(float(logs.mean()) + sign * z * se) for sign in (-1, 1))
        far = (z + float(stats.norm.ppf(POWER))) * se
        detectable = math.exp(far if higher else -far)
        power = float(stats.norm.cdf(math.log(interest) / se - z))
        seeds = seeds_for_effect(runs, far, math.log(interest))
    if any(s.failures for pair in used.values() for s in pair):
        low = high = None
        notes.append("interval withheld, and power told for scores without failures: runs failed")
    if p is None:
        return CheckResult(
            runs_of(used), ratio, unit="SD ratio", note="; ".join([*notes, "no test"]), decided="not detected"
        )
    return CheckResult(
        runs_of(used), ratio, low, high, "SD ratio", p=p, ahead=(ratio > 1) == higher, power=power,
        detectable=detectable, seeds=seeds, note="; ".join(note for note in notes if note),
    )  # fmt: skip


def _log_se(first: Sample, second: Sample) -> float:
    """Return the standard error of the log SD ratio: Bonett's, or that of normal scores where only SDs are known."""
    if first.known and second.known:
        found = sd_ratio(first.values, second.values).log_se
        if found:
            return found
    return math.sqrt(1 / (2 * (first.n - 1)) + 1 / (2 * (second.n - 1)))


def _inverse(first: Sample, second: Sample) -> str:
    said = f"SDs {100 * first.sd:.2g} and {100 * second.sd:.2g} points, {_means(first, second)}; second over first"
    if first.failures or second.failures:
        return f"{said} {second.sd / first.sd:.3g}"
    found = sd_ratio(second.values, first.values, interval="bca", rng=np.random.default_rng(0))
    limits = "" if found.low is None or found.high is None else f", BCa [{found.low:.2f}, {found.high:.2f}]"
    return f"{said} {second.sd / first.sd:.2f}{limits}"


def _means(first: Sample, second: Sample) -> str:
    """Say both levels: a method may spread less because it learns less."""
    return f"means {100 * first.mean:.1f} and {100 * second.mean:.1f}"
