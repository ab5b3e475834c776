"""A comparison in words: what was shown of each of the three questions, in which direction, and what was not."""

from __future__ import annotations

import math

from stabilitybench.comparison.detectable import detectable_rate_words, detectable_ratio_words
from stabilitybench.comparison.model import ArmResult, BaselineContrast, Line, Verdict
from stabilitybench.documents import formats
from stabilitybench.documents.formats import counted
from stabilitybench.errors import UserError
from stabilitybench.statistics.decisions import ALPHA, is_claimed
from stabilitybench.statistics.deviation import FEWEST
from stabilitybench.statistics.questions import CROSSED_FAILURES, FEWEST_FOR_LEVEL, Answer

#: How the words of an arm whose runs lie closer together, or farther apart, change for what lies far out.
FAR_OUT = {
    "worse": "mostly closer together, with rarer and worse outliers",
    "larger": "mostly closer together, with rarer and larger outliers",
    "milder": "mostly farther apart, with milder outliers",
}


def verdict(cell: ArmResult, base: ArmResult) -> Verdict:
    """Say what the tests show about an arm against the baseline: three questions, each answered.

    A difference is claimed when its p, after Holm's adjustment over the tests of the same question, lies below 0.05.
    Intervals belong to the p before adjustment; where the two differ, the line says both.

    Parameters
    ----------
    cell : ArmResult
        The arm, with its contrast.
    base : ArmResult
        The baseline on the same encoder and task.

    Raises
    ------
    UserError
        For the baseline itself.
    """
    against = cell.against
    if against is None:
        raise UserError(f'arm "{cell.arm}": is the baseline, on which there is no verdict')
    for name, n in (("this arm", cell.n), ("the baseline", base.n)):
        if n == 0:
            line = Line(f"not compared: {name} has no finished run")
            return Verdict(line, line, line)
    if against.identical:
        line = Line("identical runs", f": all {against.level.n_arm} pairs have equal scores")
        return Verdict(line, line, line)
    return Verdict(_failures(cell, base, against), _spread(cell, base, against), _level(cell, base, against))


def _failures(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> Line:
    found, here, there = against.failures, cell.failure, base.failure
    counts = f"{here.failed} of {here.n} against {there.failed} of {there.n}"
    collapsed = _collapsed(cell, base, against)
    if here.rate is None or there.rate is None:
        return Line("failures not compared: failed runs are not known")
    if here.failed == here.n and there.failed == there.n:
        known = cell.no_skill is not None and base.no_skill is not None
        return Line(f"all {here.n + there.n} runs {'at or below no skill' if known else 'failed'}", collapsed)
    if not here.failed and not there.failed:
        return Line("no run failed")
    if found.note == CROSSED_FAILURES:
        return Line(f"failures {found.note} ({counts}{collapsed})")
    if found.p is None or found.estimate is None:
        return Line(f"no difference in failures shown ({counts}: {found.note}{collapsed})")
    evidence = f" ({counts}, {_p(found)}{collapsed})"
    if not is_claimed(found.holm):
        detectable = f"failure rates {detectable_rate_words(against.detectable_rate)}"
        return Line("no difference in failures shown", evidence, detectable=detectable)
    if found.estimate < 1:
        return Line("fails less often", evidence, "better")
    return Line("fails more often", evidence, "worse")


def _collapsed(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    """Tell the worse grade of failure apart where arms differ in it and failures alone do not say so."""
    here, there = cell.collapsed, base.collapsed
    if here is None or there is None or here * base.n == there * cell.n:
        return ""
    if (here, there) == (cell.failure.failed, base.failure.failed):
        return ""
    p = against.collapsed.p if against.collapsed else None
    told = f", p = {formats.p_value(p)}" if p is not None else ""
    return f"; collapsed {here} of {cell.n} against {there} of {base.n}{told}"


def _spread(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> Line:
    found = against.spread
    among = _among(against)
    if found.estimate is None and found.note.startswith("no ratio") and min(found.n_arm, found.n_baseline) >= FEWEST:
        return Line(f"spread not compared: {among}{equal_runs(found.note)}")
    for who, n, result in (("this arm", found.n_arm, cell), ("the baseline", found.n_baseline, base)):
        if n < FEWEST:
            runs = counted(n, "run") if n else "no run"
            few = f"only {runs} of {who} did not fail" if result.failure.failed else f"{runs} of {who}"
            return Line(f"spread not tested: {few}, {FEWEST} needed", _ratio_seen(found))
    value = f": {formats.estimate(found.estimate, found.low, found.high)}"
    if found.p is None or found.estimate is None:
        return Line(f"{among}spread not tested: {found.note.removeprefix('no interval: ')}", _ratio_seen(found))
    evidence = f"{value}, {_p(found)}"
    if against.pairing.kind != "independent" and not found.paired:
        evidence += ", taken as independent: too few pairs without a failed run"
    if not is_claimed(found.holm):
        detectable = f"ratios {detectable_ratio_words(against.detectable_ratio)}"
        return Line(f"{among}no difference in spread shown", evidence, detectable=detectable)
    closer = found.estimate < 1
    plain = "closer together" if closer else "farther apart"
    if found.outliers:
        evidence += f"; SD ratio {formats.ratio(found.sd_ratio)}"
        return Line(f"{among}{FAR_OUT[found.outliers]}", evidence)
    return Line(f"{among}{plain}", evidence, "better" if closer else "worse")


def _ratio_seen(found: Answer) -> str:
    return f" (ratio {formats.ratio(found.estimate)})" if found.estimate else ""


def _among(against: BaselineContrast) -> str:
    """Say among which runs spread is compared, where some failed."""
    found = against.spread
    if not found.among:
        return ""
    if found.paired:
        return f"among the {counted(found.n_arm, 'pair')} without a failed run, "
    n = f"{found.n_arm}" if found.n_arm == found.n_baseline else f"{found.n_arm} and {found.n_baseline}"
    return f"among the {n} that did not fail, "


def equal_runs(note: str) -> str:
    """Say whose runs are all equal, which leaves no ratio of spreads.

    Parameters
    ----------
    note : str
        Of the answer.

    Examples
    --------
    >>> equal_runs("no ratio: the arm has no spread (all scores equal)")
    'all runs of this arm equal'
    """
    if "both arms" in note:
        return "all runs equal in either arm"
    if "the arm" in note:
        return "all runs of this arm equal"
    return "all runs of the baseline equal" if "the baseline" in note else note.removeprefix("no ratio: ")


def _level(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> Line:
    found = against.level
    if found.estimate is None:
        return Line(f"level not compared: {found.note}")
    higher = found.estimate > 0
    size = f"{'higher' if higher else 'lower'} by {formats.points(abs(found.estimate))} points"
    if found.low is None or found.high is None:
        return Line(f"level not tested: {few_runs(cell, base) or found.note}", f" ({size})")
    limits = (found.low, found.high) if higher else (-found.high, -found.low)
    shown = f" [{', '.join(formats.points(x) for x in limits)}], {_p(found)}"
    if is_claimed(found.holm):
        return Line(size, shown, "better" if higher else "worse")
    detectable = f"differences ≥ {formats.points(against.detectable_difference)} points"
    return Line("no difference in level shown", f": {size}{shown}", detectable=detectable)


def few_runs(cell: ArmResult, base: ArmResult) -> str:
    """Say how two or three runs lie against each other, which is all that can be said of them; empty for more.

    Parameters
    ----------
    cell, base : ArmResult
        The arm and the baseline.
    """
    n, m = cell.n, base.n
    limits = (cell.minimum, cell.maximum, base.minimum, base.maximum)
    low, high, base_low, base_high = (math.nan if x is None else x for x in limits)
    if min(n, m) >= FEWEST_FOR_LEVEL:
        return ""
    chance = f"by chance in 1 of {math.comb(n + m, n):,}"
    if low > base_high:
        return f"{n} of {n} above all {m} of the baseline, {chance}"
    if high < base_low:
        return f"{n} of {n} below all {m} of the baseline, {chance}"
    return f"{n} and {m} runs, {FEWEST_FOR_LEVEL} needed"


def _p(found: Answer) -> str:
    """Print p, and what is left of it after Holm's adjustment where that differs."""
    alone, holm = formats.p_value(found.p), formats.p_value(found.holm)
    if found.p is not None and found.p < ALPHA and not is_claimed(found.holm):
        return f"alone p = {alone}, not after Holm over {found.tests}"
    if alone == holm:
        return f"p = {alone}"
    return f"p = {alone}, Holm {holm}"
