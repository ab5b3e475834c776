"""Tables of the comparison: verdicts, failures, spread, the two parts, and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.conclusions import conclusion
from stabilitybench.comparison.verdicts import verdict
from stabilitybench.documents import formats
from stabilitybench.documents.table import (
    Column,
    Table,
    TableCell,
    count,
    numeric,
    place,
    place_columns,
    score,
    share,
    span,
)

if TYPE_CHECKING:
    from stabilitybench.comparison.analysis import ArmResult, Comparison
    from stabilitybench.statistics import Estimate

DETECTABLE = "detectable at 80 %"


def caption(comparison: Comparison, varied: str, fixed: str) -> str:
    """Say what every number of the score tables is: n, metric, direction, what varied, what was fixed."""
    tasks: dict[str, list[str]] = {}
    for c in comparison.cells:
        if c.task not in tasks.setdefault(c.metric, []):
            tasks[c.metric].append(c.task)
    metrics = "; ".join(f"{formats.metric(metric)} on {', '.join(names)}" for metric, names in tasks.items())
    what = "scores as given" if comparison.elsewhere else "test split, last checkpoint"
    return (
        f"n = {span(c.n for c in comparison.cells)} finished runs per arm. {metrics}: {what}, in points (x100), "
        f"higher is better. SD across seeds (ddof = 1), lower is more stable; "
        f'SD ratio = SD of the arm / SD of the baseline "{comparison.baseline}", below 1 is more stable. '
        f"Varied: {varied}. Fixed: {fixed}."
    )


def summary(comparison: Comparison, caption: str) -> Table:
    """Return the table of verdicts: failures, mean and SD, SD ratio, what the tests show, and what to conclude."""
    rows = []
    for c in comparison.cells:
        base = comparison.baseline_of(c)
        said = verdict(c, base)
        rows.append(
            (
                *place(comparison, c),
                failed(c),
                TableCell(formats.mean_sd(c.mean, c.sd), c.mean),
                ratio(c),
                TableCell(said.text, None, said.claim, said.tone),
                TableCell(said.detectable),
                TableCell(conclusion(c, base)),
            )
        )
    columns = (
        *place_columns(comparison),
        *numeric("failed", "mean ± SD", "SD ratio [95 %]"),
        Column("verdict", wraps=True),
        Column(DETECTABLE, wraps=True),
        Column("conclusion", wraps=True),
    )
    caption += (
        " Detectable at 80 %: the effects that the test shows in 80 of 100 studies with these numbers of runs, after "
        "Holm. Seeds that would be needed are for an effect of exactly the size seen, with as many tests."
    )
    return Table("summary", "Verdicts", caption, columns, tuple(rows))


def failures(comparison: Comparison, caption: str) -> Table:
    """Return how often runs fail, with the tests of equal rates; flags that no run came with are left out."""
    flags = {
        "near no skill": [c.near_no_skill for c in comparison.cells],
        "constant": [c.constant for c in comparison.cells],
    }
    if not comparison.elsewhere:
        flags["diverged"] = [c.diverged for c in comparison.cells]
    known = {title: counts for title, counts in flags.items() if any(n is not None for n in counts)}
    rows = []
    for i, c in enumerate(comparison.cells):
        a = c.against
        rows.append(
            (
                *place(comparison, c),
                failed(c),
                _rate(c),
                _p(a.fisher.p if a else None, c),
                _p(a.fisher_holm if a else None, c),
                TableCell(formats.detectable_rate(a.detectable_rate) if a else ""),
                score(c.no_skill),
                *(count(counts[i]) for counts in known.values()),
            )
        )
    heads = numeric("failed", "% [95 % Wilson]", "Fisher p", "Holm p", DETECTABLE, "no skill", *known)
    caption += (
        " Detectable: failure rates of the arm that Fisher's test, at the first step of Holm's adjustment, tells from "
        "the baseline's rate as seen here."
    )
    return Table("failures", "Failures", caption, (*place_columns(comparison), *heads), tuple(rows))


def spreads(comparison: Comparison, caption: str) -> Table:
    """Return the spread of all finished runs, with the tests of equal spread."""
    rows = []
    for c in comparison.cells:
        a = c.against
        rows.append(
            (
                *place(comparison, c),
                count(c.n),
                score(c.mean),
                TableCell(formats.spread(c.sd), c.sd),
                score(c.median),
                score(c.minimum),
                score(c.maximum),
                ratio(c),
                _p(a.brown_forsythe.p if a else None, c),
                _p(a.brown_forsythe_holm if a else None, c),
                TableCell(formats.detectable_ratio(a.detectable_ratio) if a else ""),
                _p(a.permutation.p if a else None, c),
            )
        )
    heads = (
        *numeric("n", "mean", "SD", "median", "min", "max"),
        *numeric("SD ratio [95 %]", "Brown-Forsythe p", "Holm p", DETECTABLE, "permutation p"),
    )
    caption += (
        " Tests cover all finished runs, failed ones included. Detectable: SD ratios that Brown-Forsythe, at the first "
        "step of Holm's adjustment, shows for normal scores; heavy tails and failed runs make it fewer."
    )
    return Table("spread", "Spread", caption, (*place_columns(comparison), *heads), tuple(rows))


def two_parts(comparison: Comparison, caption: str) -> Table:
    """Return failure first, then the spread of the runs that did not fail, and which of the two makes the SD."""
    rows = []
    for c in comparison.cells:
        a, parts = c.against, c.mixture
        difference = a.two_part.difference if a else None
        kept = None if a is None else a.kept_ratio if a.withheld else a.ratio.estimate
        rows.append(
            (
                *place(comparison, c),
                _rate(c),
                TableCell("(baseline)", 0.0) if difference is None else _difference(difference),
                TableCell(f"{c.kept}/{c.n}", c.kept),
                score(c.mean_kept),
                TableCell(formats.spread(c.sd_kept), c.sd_kept),
                TableCell("(baseline)", 1.0) if c.is_baseline else TableCell(formats.ratio(kept), kept),
                share(parts.failure_share),
                TableCell(parts.driver if parts.failed else "spread" if c.sd else "nothing"),
            )
        )
    heads = (
        *numeric("% failed [95 % Wilson]", "difference [95 %]", "did not fail", "mean", "SD"),
        *numeric("SD ratio (descriptive)", "% of variance by failures"),
        Column("the SD comes from"),
    )
    caption = (
        "Part one: how often runs fail, and the difference to the baseline in points of per cent with Newcombe's "
        "interval. Part two: the runs that did not fail. It is descriptive, as it looks only at runs that turned out "
        "well, so no p-value belongs to it; the ratio needs 10 such runs on both sides. The last columns take the "
        f"variance of all runs apart: what failing contributes, and the spread of the others. {caption}"
    )
    return Table("two-part", "Failure and spread apart", caption, (*place_columns(comparison), *heads), tuple(rows))


def checkpoints(comparison: Comparison, caption: str) -> Table:
    """Return the last checkpoint beside the one with the best validation score; no rows where scores lack it."""
    rows = [
        (
            *place(comparison, c),
            TableCell(formats.mean_sd(c.mean, c.sd), c.mean),
            TableCell(formats.mean_sd(c.mean_best, c.sd_best), c.mean_best),
        )
        for c in comparison.cells
    ]
    if all(c.mean_best is None for c in comparison.cells):
        rows = []
    heads = numeric("last checkpoint", "best-validation checkpoint")
    return Table("checkpoints", "Checkpoints", caption, (*place_columns(comparison), *heads), tuple(rows))


def ratio(cell: ArmResult) -> TableCell:
    """Return the SD ratio with its interval, or why there is none to print."""
    if cell.against is None:
        return TableCell("(baseline)", 1.0)
    found = cell.against.ratio
    if cell.against.withheld:
        return TableCell("withheld")
    return TableCell(formats.estimate(found.estimate, found.low, found.high), found.estimate)


def _difference(found: Estimate) -> TableCell:
    """Return a difference of failure rates in per cent."""
    if found.estimate is None:
        return TableCell(formats.ABSENT)
    limits = "" if found.low is None or found.high is None else f" [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"
    return TableCell(f"{100 * found.estimate:+.0f}".replace("+0", "0") + limits, found.estimate)


def failed(cell: ArmResult) -> TableCell:
    """Return how many runs failed of how many, as far as that is known."""
    f = cell.failure
    if not cell.failures_known:
        return TableCell(f"≥ {f.failed}/{cell.n}" if f.failed else f"?/{cell.n}")
    return TableCell(f"{f.failed}/{cell.n}", f.rate)


def _rate(cell: ArmResult) -> TableCell:
    f = cell.failure
    if not cell.failures_known:
        return TableCell("unknown")
    limits = "" if f.rate is None else f" [{formats.percent(f.low)}, {formats.percent(f.high)}]"
    return TableCell(formats.percent(f.rate) + limits, f.rate)


def _p(p: float | None, cell: ArmResult) -> TableCell:
    return TableCell("" if cell.is_baseline else formats.p_value(p), p)
