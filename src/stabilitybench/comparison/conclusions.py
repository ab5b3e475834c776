"""What an arm's runs tell, in a sentence for readers without statistics, and how many seeds would tell more."""

from __future__ import annotations

from stabilitybench.comparison.detectable import (
    detectable_rate_words,
    seeds_for_failure_rates,
    seeds_for_sd_ratio,
)
from stabilitybench.comparison.model import ArmResult, BaselineContrast
from stabilitybench.documents import formats
from stabilitybench.statistics.decisions import ALPHA, is_claimed

#: Seeds needed are printed to this number; a claim that needs more is out of reach.
MOST = 10_000


def conclusion(cell: ArmResult, base: ArmResult) -> str:
    """Return what an arm's runs tell against the baseline, in a sentence.

    Seeds that "would be needed" are those at which an effect of exactly the size seen is shown in 80 of 100 studies
    after Holm's adjustment over as many tests as here.  They describe a next study, and not this one.

    Parameters
    ----------
    cell : ArmResult
        The arm, with its contrast; nothing is said of the baseline itself.
    base : ArmResult
        The baseline on the same encoder and task.
    """
    against = cell.against
    if against is None:
        return ""
    if min(cell.n, base.n) < 3:
        return f"too few runs to tell: {cell.n} here and {base.n} in the baseline; each needs 3"
    if cell.failure.failed or base.failure.failed:
        return _about_failures(cell, base, against)
    return _about_spread(cell, base, against)


def _about_failures(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    here, there = cell.failure, base.failure
    counts = f"{here.failed} of {here.n} against {there.failed} of {there.n}"
    if here.failed == here.n and there.failed == there.n:
        return f"every run failed, {counts}: how the method spreads when it works is not known"
    if here.rate is None or there.rate is None:
        return ""
    if is_claimed(against.fisher_holm):
        return f"fails {'less' if here.rate < there.rate else 'more'} often: {counts}"
    if here.rate == there.rate:
        return f"fails as often as the baseline, {counts}; {_would_show(cell, base, against)}"
    level = against.detectable_rate.level if against.detectable_rate else ALPHA
    seen = f"failure rates of the size seen, {_percent(here.rate)} and {_percent(there.rate)},"
    return _cannot_tell(cell, base, seen, seeds_for_failure_rates(here.rate, there.rate, level))


def _about_spread(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    if cell.level != base.level:
        which, score = ("this arm", cell.mean) if cell.level else ("the baseline", base.mean)
        return f"every run of {which} scores {formats.points(score)}: see whether it learned anything"
    test, ratio = against.brown_forsythe, against.ratio.estimate
    if test.p is None or against.brown_forsythe_holm is None:
        return f"spread cannot be compared: {test.reason}"
    sds = f"SD {formats.spread(cell.sd)} against {formats.spread(base.sd)} points"
    smaller = (cell.sd or 0.0) < (base.sd or 0.0)
    if is_claimed(against.brown_forsythe_holm):
        if against.distance_ratio is not None and smaller != (against.distance_ratio < 1):
            return f"spreads differently, {sds}, and a few scores far out decide in which direction: see the seeds"
        return f"spreads {'less' if smaller else 'more'}: {sds}"
    if not ratio or ratio == 1 or against.detectable_ratio is None:
        return f"{_seeds(cell, base)} cannot tell: {sds}"
    level = against.detectable_ratio.level
    seen = f"an SD ratio of the size seen, {formats.ratio(ratio)},"
    return _cannot_tell(cell, base, seen, seeds_for_sd_ratio(ratio, level))


def _cannot_tell(cell: ArmResult, base: ArmResult, seen: str, needed: int | None) -> str:
    start = f"{_seeds(cell, base)} cannot tell: {seen}"
    if needed is None:
        return f"{start} would need more than {MOST:,} per arm"
    if needed <= min(cell.n, base.n):
        # failed or outlying scores cost power that normal scores would have
        return f"{start} often shows with {_about(needed)} per arm and did not here"
    return f"{start} would need about {_about(needed)} per arm"


def _would_show(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    found = against.detectable_rate
    if found is None or (found.below is None and found.above is None):
        return f"{_seeds(cell, base)} would show no difference"
    return f"{_seeds(cell, base)} would show a rate {detectable_rate_words(found)}"


def _seeds(cell: ArmResult, base: ArmResult) -> str:
    return f"{cell.n} seeds" if cell.n == base.n else f"{cell.n} and {base.n} seeds"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _about(n: int) -> str:
    """Print a number of seeds to two digits."""
    return f"{n if n < 100 else int(float(f'{n:.2g}')):,}"
