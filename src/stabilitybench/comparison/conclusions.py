"""What an arm's runs tell, in sentences for readers without statistics: the three questions, and what is left open."""

from __future__ import annotations

from stabilitybench.comparison.detectable import detectable_rate_words, detectable_ratio_words, seeds_for_sd_ratio
from stabilitybench.comparison.model import ArmResult, BaselineContrast
from stabilitybench.comparison.verdicts import FAR_OUT, equal_runs, few_runs
from stabilitybench.documents import formats
from stabilitybench.statistics.decisions import first_step_level, is_claimed
from stabilitybench.statistics.deviation import FEWEST

#: The effect by which a next study is told in seeds: named beforehand, and never the one seen.
NAMED = 1.5
MOST = 10_000


def conclusion(cell: ArmResult, base: ArmResult) -> str:
    """Return what an arm's runs tell against the baseline: failures, spread, level, a sentence each.

    Where nothing is shown it says what could have been seen, and how many seeds a factor of 1.5 in spread takes. It
    never says how many the effect seen would take: that number follows from p alone.

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
    if against.level.note == "identical runs":
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
    if found.p is None:
        return f"fails as often as the baseline, {counts}"
    if is_claimed(found.holm) and found.estimate is not None:
        return f"fails {'less' if found.estimate < 1 else 'more'} often: {counts}"
    return f"{_seeds(cell, base)} do not tell the failures apart, {counts}; {_would_show_rate(against)}"


def _would_show_rate(against: BaselineContrast) -> str:
    found = against.detectable_rate
    if found is None or (found.below is None and found.above is None):
        return "they would have shown no difference"
    return f"they would have shown a rate {detectable_rate_words(found)}"


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
    needed = seeds_for_sd_ratio(NAMED, first_step_level(found.tests))
    count = f"more than {MOST:,}" if needed is None else f"about {_about(needed)}"
    return (
        f"{_seeds(cell, base)} do not tell the spreads apart; they would have shown a ratio {seen}, and a factor of "
        f"{NAMED:g} takes {count} per arm"
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
    seen = formats.points(against.detectable_difference)
    return f"the mean scores are not told apart; a difference of {seen} points would have been"


def _seeds(cell: ArmResult, base: ArmResult) -> str:
    return f"{cell.n} seeds" if cell.n == base.n else f"{cell.n} and {base.n} seeds"


def _about(n: int) -> str:
    """Print a number of seeds to two digits."""
    return f"{n if n < 100 else int(float(f'{n:.2g}')):,}"
