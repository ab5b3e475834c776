"""What an arm's runs tell, in sentences for readers without statistics: the three questions, and what is left open."""

from __future__ import annotations

import math

from stabilitybench.comparison.detectable import (
    NAMED_DIFFERENCE,
    NAMED_RATES,
    NAMED_RATIO,
    detectable_rate_words,
    detectable_ratio_words,
    seeds_for_failures,
    seeds_for_level,
    seeds_for_spread,
)
from stabilitybench.comparison.model import ArmResult, BaselineContrast
from stabilitybench.comparison.verdicts import FAR_OUT, equal_runs, few_runs
from stabilitybench.documents import formats
from stabilitybench.statistics.decisions import is_claimed
from stabilitybench.statistics.deviation import FEWEST
from stabilitybench.statistics.questions import CROSSED_FAILURES

MOST = 10_000


def conclusion(cell: ArmResult, base: ArmResult) -> str:
    """Return what an arm's runs tell against the baseline: failures, spread, level, a sentence each.

    Where nothing is shown it says what could have been seen, and how many seeds an effect takes that is named
    beforehand. It never says how many the effect seen would take: that number follows from p alone.

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
    if not (cell.n and base.n):
        return f"Nothing can be told: {cell.n} runs here and {base.n} in the baseline."
    if against.identical:
        return "Both arms are the same runs: nothing changed."
    told = (_failures(cell, base, against), _spread(cell, base, against), _level(cell, base, against))
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in told)


def _failures(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    here, there, found = cell.failure, base.failure, against.failures
    counts = f"{here.failed} of {here.n} against {there.failed} of {there.n}"
    if here.rate is None or there.rate is None:
        return "how often runs fail is not known"
    if here.failed == here.n and there.failed == there.n:
        return "every run failed, here and in the baseline"
    if not here.failed and not there.failed:
        return "no run failed"
    if found.note == CROSSED_FAILURES:
        return f"whether it fails more or less often was not tested, {counts}: runs that share a seed fail alike"
    if found.p is None:
        return f"fails as often as the baseline, {counts}"
    if is_claimed(found.holm) and found.estimate is not None:
        return f"fails {'less' if found.estimate < 1 else 'more'} often: {counts}"
    return f"{_seeds(cell, base)} do not tell the failures apart, {counts}; {_would_show_rate(against)}"


def _would_show_rate(against: BaselineContrast) -> str:
    found, rates = against.detectable_rate, " against ".join(f"{100 * rate:g} %" for rate in NAMED_RATES)
    needed = _needed(seeds_for_failures(*NAMED_RATES, against.failures.tests, against.failures.paired))
    if found is None or (found.below is None and found.above is None):
        return f"they would have shown no difference; {rates} take {needed}"
    return f"they would have shown a rate {detectable_rate_words(found)}, and {rates} take {needed}"


def _spread(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    found = against.spread
    whose = "the runs that did not fail" if found.among else "runs"
    if found.estimate is None or found.p is None:
        why = "their scores take too few values" if found.estimate else equal_runs(found.note)
        if min(found.n_arm, found.n_baseline) < FEWEST:
            why = f"{found.n_arm} and {found.n_baseline} are too few"
        return f"how far {whose} scatter cannot be told: {why}"
    distance = f"{formats.ratio(found.estimate)} times as far from their median"
    if is_claimed(found.holm):
        if found.outliers:
            sds = formats.ratio(found.sd_ratio)
            return f"{whose} lie {FAR_OUT[found.outliers]}: {distance} on average, SD ratio {sds}"
        return f"{whose} lie {'closer together' if found.estimate < 1 else 'farther apart'}: {distance} on average"
    seen = detectable_ratio_words(against.detectable_ratio)
    correlation = against.correlation if found.paired else None
    needed = _needed(seeds_for_spread(NAMED_RATIO, found.tests, correlation))
    return (
        f"{_seeds(cell, base)} do not tell the spreads apart; they would have shown a ratio {seen}, and a factor of "
        f"{NAMED_RATIO:g} takes {needed}"
    )


def _level(cell: ArmResult, base: ArmResult, against: BaselineContrast) -> str:
    found = against.level
    if found.estimate is None:
        return "how good the runs are cannot be told"
    size = f"{'higher' if found.estimate > 0 else 'lower'} by {formats.points(abs(found.estimate))} points"
    if found.p is None:
        return f"scores are {size} on average ({few_runs(cell, base) or found.note})"
    if is_claimed(found.holm):
        return f"scores are {size} on average"
    seen, named = formats.points(against.detectable_difference), f"{100 * NAMED_DIFFERENCE:g} point"
    told = f"the mean scores are not told apart; a difference of {seen} points would have been"
    if found.se is None:
        return told
    sd = found.se / math.sqrt(1 / found.n_arm if found.paired else (1 / found.n_arm + 1 / found.n_baseline) / 2)
    return f"{told}, and {named} takes {_needed(seeds_for_level(NAMED_DIFFERENCE, sd, found.tests))}"


def _seeds(cell: ArmResult, base: ArmResult) -> str:
    return f"{cell.n} seeds" if cell.n == base.n else f"{cell.n} and {base.n} seeds"


def _needed(n: int | None) -> str:
    """Print a number of seeds, to two digits."""
    return f"more than {MOST:,} per arm" if n is None else f"about {n if n < 100 else int(float(f'{n:.2g}')):,} per arm"
