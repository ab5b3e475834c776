"""Tables of the comparison: verdicts, failures, spread, the two parts, and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.detectable import detectable_rate_words, detectable_ratio_words
from stabilitybench.comparison.tables.cells import failed, place, place_columns, ratio
from stabilitybench.documents import formats
from stabilitybench.documents.table import Table, TableCell, count, numeric, score, sentences, share, texts

if TYPE_CHECKING:
    from stabilitybench.comparison.model import ArmResult, Comparison
    from stabilitybench.statistics import Estimate

DETECTABLE = "detectable at 80 %"


def summary(comparison: Comparison, caption: str) -> Table:
    """Return the table of verdicts: failures, mean and SD, SD ratio, what the tests show, and what to conclude.

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
            "sd_ratio": ratio(c),
            "verdict": TableCell(c.verdict.text, None, c.verdict.claim, c.verdict.tone),
            "detectable": TableCell(c.verdict.detectable),
            "conclusion": TableCell(c.conclusion),
        }
        for c in comparison.cells
    )
    columns = (
        *place_columns(comparison.cells),
        *numeric(failed="failed", mean="mean ± SD", sd_ratio="SD ratio [95 %]"),
        *sentences(verdict="verdict", detectable=DETECTABLE, conclusion="conclusion"),
    )
    caption += (
        " Detectable at 80 %: the effects that the test shows in 80 of 100 studies with these numbers of runs, after "
        "Holm. Seeds that would be needed are for an effect of exactly the size seen, with as many tests."
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
                "fisher_p": _p(a.fisher.p if a else None, c),
                "fisher_holm": _p(a.fisher_holm if a else None, c),
                "detectable": TableCell(detectable_rate_words(a.detectable_rate) if a else ""),
                "no_skill": score(c.no_skill),
                **{key: count(counts[i]) for key, (_, counts) in known.items()},
            }
        )
    columns = (
        *place_columns(comparison.cells),
        *numeric(failed="failed", rate="% [95 % Wilson]", fisher_p="Fisher p", fisher_holm="Holm p"),
        *numeric(detectable=DETECTABLE, no_skill="no skill", **{key: title for key, (title, _) in known.items()}),
    )
    caption += (
        " Detectable: failure rates of the arm that Fisher's test, at the first step of Holm's adjustment, tells from "
        "the baseline's rate as seen here. No skill (majority baseline): the best score of a constant prediction."
    )
    return Table("failures", "Failures", caption, columns, tuple(rows))


def spreads(comparison: Comparison, caption: str) -> Table:
    """Return the spread of all finished runs, with the tests of equal spread.

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
        rows.append(
            {
                **place(comparison.cells, c),
                "n": count(c.n),
                "mean": score(c.mean),
                "sd": TableCell(formats.spread(c.sd), c.sd),
                "median": score(c.median),
                "min": score(c.minimum),
                "max": score(c.maximum),
                "sd_ratio": ratio(c),
                "brown_forsythe_p": _p(a.brown_forsythe.p if a else None, c),
                "brown_forsythe_holm": _p(a.brown_forsythe_holm if a else None, c),
                "detectable": TableCell(detectable_ratio_words(a.detectable_ratio) if a else ""),
                "permutation_p": _p(a.permutation.p if a else None, c),
            }
        )
    columns = (
        *place_columns(comparison.cells),
        *numeric(n="n", mean="mean", sd="SD", median="median", min="min", max="max", sd_ratio="SD ratio [95 %]"),
        *numeric(brown_forsythe_p="Brown-Forsythe p", brown_forsythe_holm="Holm p"),
        *numeric(detectable=DETECTABLE, permutation_p="permutation p"),
    )
    caption += (
        " Tests cover all finished runs, failed ones included. Detectable: SD ratios that Brown-Forsythe, at the first "
        "step of Holm's adjustment, shows for normal scores; heavy tails and failed runs make it fewer."
    )
    return Table("spread", "Spread", caption, columns, tuple(rows))


def two_parts(comparison: Comparison, caption: str) -> Table:
    """Return failure first, then the spread of the runs that did not fail, and which of the two makes the SD.

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
        *numeric(sd_kept="SD", sd_ratio_kept="SD ratio (descriptive)", failure_share="% of variance by failures"),
        *texts(source="the SD comes from"),
    )
    caption = (
        "Part one: how often runs fail, and the difference to the baseline in percentage points with Newcombe's "
        "interval. Part two: the runs that did not fail. It is descriptive, as it looks only at runs that turned out "
        "well, so no p-value belongs to it; the ratio needs 10 such runs on both sides. The last columns take the "
        f"variance of all runs apart: what failing contributes, and the spread of the others. {caption}"
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


def _p(p: float | None, cell: ArmResult) -> TableCell:
    return TableCell("" if cell.is_baseline else formats.p_value(p), p)
