"""A comparison in words: what was shown, in which direction, and what was not."""

from __future__ import annotations

from stabilitybench.comparison.detectable import detectable_rate_words, detectable_ratio_words
from stabilitybench.comparison.model import NO_VERDICT, ArmResult, BaselineContrast, Verdict
from stabilitybench.documents.formats import estimate, p_value, spread
from stabilitybench.documents.table import Tone
from stabilitybench.statistics.decisions import is_claimed, spread_direction

BETTER: Tone = "better"
WORSE: Tone = "worse"


def verdict(cell: ArmResult, base: ArmResult) -> Verdict:
    """Say what the tests show about an arm against the baseline.

    A difference is claimed when its Holm-adjusted p lies below 0.05.  Failures come first; where either side
    has failed runs, spread is described and not judged, because the SD then mixes two questions.

    Parameters
    ----------
    cell : ArmResult
        The arm, with its contrast; there is no verdict on the baseline itself.
    base : ArmResult
        The baseline on the same encoder and task.
    """
    against = cell.against
    if against is None:
        return NO_VERDICT
    for name, n in (("this arm", cell.n), ("the baseline", base.n)):
        if n < 3:
            return Verdict(f"not compared: {name} has {n} finished {'run' if n == 1 else 'runs'}, fewer than 3")
    if cell.failure.failed or base.failure.failed:
        return _about_failures(cell, base, against)
    return _about_spread(cell, base, against)


def _about_failures(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> Verdict:
    """Compare failure rates; the spread of what did not fail is told beside it, without a test."""
    if cell.failure.failed == cell.n and base.failure.failed == base.n:
        return Verdict("every run failed, as in the baseline")
    if against.fisher.p is None:
        return Verdict("failures not compared: failed runs are not known")
    p = _printed("Fisher", against.fisher.p, against.fisher_holm)
    detectable = f"failure rate {detectable_rate_words(against.detectable_rate)}"
    aside = "spread not compared: failed runs"
    if against.kept_ratio is not None:
        kept = f"{spread(cell.sd_kept)} against {spread(base.sd_kept)}"
        aside = f"SD of the runs that did not fail {kept}, descriptive"
    if not is_claimed(against.fisher_holm):
        return Verdict("no difference in failures detected", p, aside=aside, detectable=detectable)
    if cell.failure.failed / cell.n < base.failure.failed / base.n:
        return Verdict("fails less often", p, aside=aside, tone="better", detectable=detectable)
    return Verdict("fails more often", p, aside=aside, tone="worse", detectable=detectable)


def _about_spread(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> Verdict:
    """Compare spread where no run failed on either side."""
    if cell.level != base.level:
        whose = "all scores" if cell.level else "all scores of the baseline"
        return Verdict(f"{whose} are equal, perhaps collapsed: spread not judged")
    test, adjusted, found = against.brown_forsythe, against.brown_forsythe_holm, against.ratio
    if test.p is None or adjusted is None:
        return Verdict(f"spread not tested: {test.reason}")
    p = _printed("Brown-Forsythe", test.p, adjusted)
    detectable = f"SD ratio {detectable_ratio_words(against.detectable_ratio)}"
    shown = f"SD ratio {estimate(found.estimate, found.low, found.high)}"
    if found.estimate is None:
        shown = f"SD {spread(cell.sd)} against {spread(base.sd)}"
    if not is_claimed(adjusted):
        return Verdict("no difference in spread detected", p, shown, detectable=detectable)
    direction = spread_direction(cell.sd or 0.0, base.sd or 0.0, against.distance_ratio)
    if direction == "unclear":
        return Verdict("spread differs, direction unclear", p, shown, detectable=detectable)
    claim, tone = ("more stable", BETTER) if direction == "smaller" else ("less stable", WORSE)
    return Verdict(claim, p, shown, tone=tone, detectable=detectable)


def _printed(name: str, p: float | None, adjusted: float | None) -> str:
    """Print a p-value, and the adjusted one where it differs."""
    text = f"{name} p = {p_value(p)}"
    return text if p_value(p) == p_value(adjusted) else f"{text}, Holm {p_value(adjusted)}"
