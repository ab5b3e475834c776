"""Tables of the comparison: verdicts, failures, spread, the two parts, and checkpoints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stabilitybench.comparison.detectable import detectable_rate_words, detectable_ratio_words
from stabilitybench.comparison.tables.cells import (
    deviation,
    difference,
    failed,
    p_cell,
    p_values,
    place,
    place_columns,
    sd_ratio,
)
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, score, sentences, share, texts

if TYPE_CHECKING:
    from stabilitybench.comparison.model import ArmResult, Comparison
    from stabilitybench.statistics import Estimate
    from stabilitybench.statistics.questions import Answer

DETECTABLE = "detectable at 80 %"
RATIO = (
    "Deviation ratio: mean distance to the median over that of the baseline, among the runs that did not fail; below 1 "
    "the runs lie closer together."
)


def summary(comparison: Comparison, caption: str) -> Table:
    """Return the table of verdicts: failures, mean and SD, the three answers, and what to conclude.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    caption : str
        What every number is, as `cells.caption` says it.
    """
    rows = tuple(
        {
            **place(comparison.cells, c),
            "failed": failed(c),
            "mean": TableCell(formats.mean_sd(c.mean, c.sd), c.mean),
            "deviation_ratio": deviation(c),
            "level_difference": difference(c),
            "verdict": _verdict(c),
            "compared": TableCell(_compared(c)),
            "detectable": TableCell(c.verdict.detectable if c.verdict else ""),
            "conclusion": TableCell(c.conclusion),
        }
        for c in comparison.cells
    )
    columns = (
        *place_columns(comparison.cells),
        *numeric(failed="failed", mean="mean ± SD", deviation_ratio="deviation ratio [95 %]"),
        *numeric(level_difference="difference [95 %]"),
        *sentences(verdict="verdict", compared="compared", detectable=DETECTABLE, conclusion="conclusion"),
    )
    caption += (
        f" {RATIO} Difference of the means, in points, failed runs included. Three questions, each with Holm's "
        "adjustment over its own tests; intervals belong to p before it. Detectable at 80 %: the effects that the "
        "tests show in 80 of 100 studies with these numbers of runs, after Holm."
    )
    return Table("summary", "Verdicts", caption, columns, rows, stacked=True)


def failures(comparison: Comparison, caption: str) -> Table:
    """Return how often runs fail, with the tests of equal rates; flags that no run came with are left out.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    caption : str
        What every number is, as `cells.caption` says it.
    """
    flags = {
        "near_no_skill": ("near no skill", [c.near_no_skill for c in comparison.cells]),
        "constant": ("constant", [c.constant for c in comparison.cells]),
        "collapsed": ("collapsed", [c.collapsed for c in comparison.cells]),
    }
    if not comparison.elsewhere:
        flags["diverged"] = ("diverged", [c.diverged for c in comparison.cells])
    known = {key: flag for key, flag in flags.items() if any(n is not None for n in flag[1])}
    rows = []
    for i, c in enumerate(comparison.cells):
        a = c.against
        rows.append(
            {
                **place(comparison.cells, c),
                "failed": failed(c),
                "rate": _rate(c),
                "failure_odds": _odds(a.failures) if a else TableCell("(baseline)", 1.0),
                **p_values(c, a.failures if a else None, "failure"),
                "detectable": TableCell(detectable_rate_words(a.detectable_rate) if a else ""),
                "no_skill": score(c.no_skill),
                **{key: count(counts[i]) for key, (_, counts) in known.items()},
                "collapsed_p": p_cell(c, a.collapsed.p if a and a.collapsed else None),
                "fisher_p": p_cell(c, a.fisher.p if a else None),
            }
        )
    columns = (
        *place_columns(comparison.cells),
        *numeric(failed="failed", rate="% [95 % Wilson]", failure_odds="odds ratio [95 %]", failure_p="p"),
        *numeric(failure_holm="Holm p", detectable=DETECTABLE, no_skill="no skill"),
        *numeric(**{key: title for key, (title, _) in known.items()}),
        *numeric(collapsed_p="collapsed p", fisher_p="Fisher p"),
    )
    caption += (
        " Exact unconditional test of equal rates (in pairs: of the pairs of which one run failed, McNemar's), and its "
        "odds ratio. Detectable: failure rates of the arm that are told from the baseline's rate as seen here, at the "
        "first step of Holm's adjustment. No skill (majority baseline): the best score of a constant prediction. "
        "Collapsed: constant predictions or diverged; its p is outside the family. Fisher's test, for those who ask "
        "for it, takes runs as independent and its p often contradicts an interval of the rates."
    )
    return Table("failures", "Failures", caption, columns, tuple(rows))


def spreads(comparison: Comparison, caption: str) -> Table:
    """Return how far runs scatter: what was tested, and beside it the SDs with the tests that are asked for by name.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    caption : str
        What every number is, as `cells.caption` says it.
    """
    rows = []
    for c in comparison.cells:
        a = c.against
        among = f"{a.spread.n_arm} / {a.spread.n_baseline}" if a else ""
        rows.append(
            {
                **place(comparison.cells, c),
                "runs": TableCell(among if a else f"{c.kept}"),
                "deviation_ratio": deviation(c),
                **p_values(c, a.spread if a else None, "deviation"),
                "detectable": TableCell(detectable_ratio_words(a.detectable_ratio) if a else ""),
                "deviation_all": TableCell(formats.ratio(a.deviation_all) if a else "", a.deviation_all if a else 1.0),
                "mean": score(c.mean),
                "sd": TableCell(formats.spread(c.sd), c.sd),
                "median": score(c.median),
                "min": score(c.minimum),
                "max": score(c.maximum),
                "sd_ratio": sd_ratio(c),
                "brown_forsythe_p": p_cell(c, a.brown_forsythe.p if a else None),
                "permutation_p": p_cell(c, a.permutation.p if a else None),
                "method": TableCell(a.spread.note or a.spread.method if a else ""),
            }
        )
    columns = (
        *place_columns(comparison.cells),
        *numeric(
            runs="runs tested", deviation_ratio="deviation ratio [95 %]", deviation_p="p", deviation_holm="Holm p"
        ),
        *numeric(
            detectable=DETECTABLE, deviation_all="over all runs", mean="mean", sd="SD", median="median", min="min"
        ),
        *numeric(max="max", sd_ratio="SD ratio [95 %]", brown_forsythe_p="Brown-Forsythe p"),
        *numeric(permutation_p="permutation p"),
        *sentences(method="method"),
    )
    caption += (
        f" {RATIO} Over all runs: the same with failed runs, which no interval fits. Everything from the mean on is of "
        "all finished runs and describes: where arms differ in shape, the interval of the SD ratio covers in as few as "
        "7 of 10 studies, and Brown-Forsythe, the permutation test and the SD contradict each other."
    )
    return Table("spread", "Spread", caption, columns, tuple(rows))


def two_parts(comparison: Comparison, caption: str) -> Table:
    """Return failure first, then the SD of the runs that did not fail, and which of the two makes that of all.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    caption : str
        What every number is, as `cells.caption` says it.
    """
    rows = []
    for c in comparison.cells:
        a, parts = c.against, c.mixture
        difference = a.two_part.difference if a else None
        kept = None if a is None else a.kept_ratio if a.withheld else a.ratio.estimate
        kept_ratio = TableCell("(baseline)", 1.0) if c.is_baseline else TableCell(formats.ratio(kept), kept)
        rows.append(
            {
                **place(comparison.cells, c),
                "rate": _rate(c),
                "difference": TableCell("(baseline)", 0.0) if difference is None else _difference(difference),
                "kept": TableCell(f"{c.kept}/{c.n}", c.kept),
                "mean_kept": score(c.mean_kept),
                "sd_kept": TableCell(formats.spread(c.sd_kept), c.sd_kept),
                "sd_ratio_kept": kept_ratio,
                "failure_share": share(parts.failure_share),
                "source": TableCell(parts.driver if parts.failed else "spread" if c.sd else "nothing"),
            }
        )
    columns = (
        *place_columns(comparison.cells),
        *numeric(rate="% failed [95 % Wilson]", difference="difference [95 %]", kept="did not fail", mean_kept="mean"),
        *numeric(sd_kept="SD", sd_ratio_kept="SD ratio", failure_share="% of variance by failures"),
        *texts(source="the SD comes from"),
    )
    caption = (
        "Part one: how often runs fail, and the difference to the baseline in percentage points with Newcombe's "
        "interval. Part two: the runs that did not fail; their spread is tested in the table before, by the deviation "
        "ratio. The SD ratio needs 10 such runs on both sides. The last columns take the variance of all runs apart: "
        f"what failing contributes, and the spread of the others. {caption}"
    )
    return Table("two-part", "Failure and spread apart", caption, columns, tuple(rows))


def checkpoints(comparison: Comparison, caption: str) -> Table:
    """Return the last checkpoint beside the one with the best validation score; no rows where scores lack it.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    caption : str
        What every number is, as `cells.caption` says it.
    """
    rows = [
        {
            **place(comparison.cells, c),
            "last": TableCell(formats.mean_sd(c.mean, c.sd), c.mean),
            "best": TableCell(formats.mean_sd(c.mean_best, c.sd_best), c.mean_best),
        }
        for c in comparison.cells
    ]
    if all(c.mean_best is None for c in comparison.cells):
        rows = []
    heads = numeric(last="last checkpoint", best="best-validation checkpoint")
    return Table("checkpoints", "Checkpoints", caption, (*place_columns(comparison.cells), *heads), tuple(rows))


def _difference(found: Estimate) -> TableCell:
    """Return a difference of failure rates in per cent."""
    if found.estimate is None:
        return TableCell(formats.ABSENT)
    limits = "" if found.low is None or found.high is None else f" [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"
    return TableCell(f"{100 * found.estimate:+.0f}".replace("+0", "0") + limits, found.estimate)


def _rate(cell: ArmResult) -> TableCell:
    f = cell.failure
    if not cell.failures_known:
        return TableCell("unknown")
    limits = "" if f.rate is None else f" [{formats.percent(f.low)}, {formats.percent(f.high)}]"
    return TableCell(formats.percent(f.rate) + limits, f.rate)


def _verdict(cell: ArmResult) -> TableCell:
    if cell.verdict is None:
        return TableCell("")
    return TableCell(cell.verdict.text, None, cell.verdict.lines[0].claim, cell.verdict.tone)


def _compared(cell: ArmResult) -> str:
    a = cell.against
    if a is None:
        return ""
    return a.pairing.reason + ("" if a.correlation is None else f", correlation {a.correlation:.2f}")


def _odds(found: Answer) -> TableCell:
    if found.estimate is None or found.p is None:
        return TableCell(formats.ABSENT)
    value, low, high = ("∞" if x == math.inf else formats.ratio(x) for x in (found.estimate, found.low, found.high))
    return TableCell(f"{value} [{low}, {high}]", found.estimate if math.isfinite(found.estimate) else None)
