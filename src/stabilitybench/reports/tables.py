"""The tables of a report as data, printed alike in HTML, Markdown and the terminal."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stabilitybench.reports import formats
from stabilitybench.reports.frames import UNFINISHED
from stabilitybench.reports.verdicts import Tone, verdict

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.reports.comparison import Cell, Comparison


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    text : what is printed; it starts with `lead`, the words to stress.
    order : the number it is sorted by, or None to sort by the text.
    """

    text: str
    order: float | None = None
    lead: str = ""
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Column:
    """Head of a column; numbers are set to the right, sentences may wrap."""

    title: str
    numeric: bool = False
    wraps: bool = False


@dataclass(frozen=True)
class Table:
    """A table with the caption that says n, metric, direction, what varied and what was fixed."""

    key: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]


def caption(comparison: Comparison, varied: str, fixed: str) -> str:
    """Say what every number of the score tables is: n, metric, direction, what varied, what was fixed."""
    tasks: dict[str, list[str]] = {}
    for c in comparison.cells:
        if c.task not in tasks.setdefault(c.metric, []):
            tasks[c.metric].append(c.task)
    metrics = "; ".join(f"{formats.metric(metric)} on {', '.join(names)}" for metric, names in tasks.items())
    return (
        f"n = {_span(c.n for c in comparison.cells)} finished runs per arm. {metrics}: test split, last "
        f"checkpoint, in points (x100), higher is better. SD across seeds (ddof = 1), lower is more stable; "
        f'SD ratio = SD of the arm / SD of the baseline "{comparison.baseline}", below 1 is more stable. '
        f"Varied: {varied}. Fixed: {fixed}."
    )


def summary(comparison: Comparison, caption: str) -> Table:
    """Return the table of verdicts: failures, mean and SD, SD ratio, and what the tests show."""
    rows = []
    for c in comparison.cells:
        said = verdict(c, comparison.baseline_of(c))
        rows.append(
            (
                *_where(comparison, c),
                _count(c.failure.failed, c.n),
                Entry(formats.mean_sd(c.mean, c.sd), c.mean),
                ratio(c),
                Entry(said.text, None, said.claim, said.tone),
            )
        )
    columns = (
        *_where_columns(comparison),
        *_numeric("failed", "mean ± SD", "SD ratio [95 %]"),
        Column("verdict", wraps=True),
    )
    return Table("summary", "Verdicts", caption, columns, tuple(rows))


def failures(comparison: Comparison, caption: str) -> Table:
    """Return part one of the two-part comparison: how often runs fail."""
    rows = []
    for c in comparison.cells:
        f, a = c.failure, c.against
        limits = "" if f.rate is None else f" [{formats.percent(f.low)}, {formats.percent(f.high)}]"
        rows.append(
            (
                *_where(comparison, c),
                _count(f.failed, c.n),
                Entry(formats.percent(f.rate) + limits, f.rate),
                _p(a.fisher.p if a else None, c),
                _p(a.fisher_holm if a else None, c),
                Entry(formats.points(c.no_skill), c.no_skill),
                Entry(str(c.near_baseline), c.near_baseline),
                Entry(str(c.constant), c.constant),
                Entry(str(c.diverged), c.diverged),
            )
        )
    heads = _numeric(
        "failed", "% [95 % Wilson]", "Fisher p", "Holm p", "no skill", "near no skill", "constant", "diverged"
    )
    return Table("failures", "Failures", caption, (*_where_columns(comparison), *heads), tuple(rows))


def spreads(comparison: Comparison, caption: str) -> Table:
    """Return part two: the spread of all finished runs, and of those that did not fail."""
    rows = []
    for c in comparison.cells:
        a = c.against
        rows.append(
            (
                *_where(comparison, c),
                Entry(str(c.n), c.n),
                Entry(formats.points(c.mean), c.mean),
                Entry(formats.spread(c.sd), c.sd),
                Entry(formats.points(c.median), c.median),
                Entry(formats.points(c.minimum), c.minimum),
                Entry(formats.points(c.maximum), c.maximum),
                ratio(c),
                _p(a.brown_forsythe.p if a else None, c),
                _p(a.brown_forsythe_holm if a else None, c),
                _p(a.permutation.p if a else None, c),
            )
        )
    heads = (
        *_numeric("n", "mean", "SD", "median", "min", "max"),
        *_numeric("SD ratio [95 %]", "Brown-Forsythe p", "Holm p", "permutation p"),
    )
    caption += " Tests cover all finished runs, failed ones included."
    return Table("spread", "Spread", caption, (*_where_columns(comparison), *heads), tuple(rows))


def not_failed(comparison: Comparison, caption: str) -> Table:
    """Return the spread of the runs that did not fail: descriptive, without any test."""
    rows = []
    for c in comparison.cells:
        a = c.against
        kept = None if a is None else a.kept_ratio if a.withheld else a.ratio.estimate
        rows.append(
            (
                *_where(comparison, c),
                Entry(f"{c.kept}/{c.n}", c.kept),
                Entry(formats.points(c.mean_kept), c.mean_kept),
                Entry(formats.spread(c.sd_kept), c.sd_kept),
                Entry("(baseline)", 1.0) if c.is_baseline else Entry(formats.ratio(kept), kept),
            )
        )
    heads = _numeric("did not fail", "mean", "SD", "SD ratio (descriptive)")
    caption = (
        "Descriptive: these numbers look only at runs that turned out well, so no p-value belongs to them. "
        f"Where runs failed, the ratio needs 10 others on both sides. {caption}"
    )
    columns = (*_where_columns(comparison), *heads)
    return Table("not-failed", "Runs that did not fail", caption, columns, tuple(rows))


def checkpoints(comparison: Comparison, caption: str) -> Table:
    """Return the last checkpoint beside the one with the best validation score."""
    rows = [
        (
            *_where(comparison, c),
            Entry(formats.mean_sd(c.mean, c.sd), c.mean),
            Entry(formats.mean_sd(c.mean_best, c.sd_best), c.mean_best),
        )
        for c in comparison.cells
    ]
    heads = _numeric("last checkpoint", "best-validation checkpoint")
    return Table("checkpoints", "Checkpoints", caption, (*_where_columns(comparison), *heads), tuple(rows))


def coverage(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return how many of the planned runs of each arm are there."""
    rows = []
    for c in comparison.cells:
        part = scores[(scores["encoder"] == c.encoder) & (scores["task"] == c.task) & (scores["arm"] == c.arm)]
        states = [int((part["status"] == state).sum()) for state in UNFINISHED]
        seconds = part["seconds"].dropna()
        rows.append(
            (
                *_where(comparison, c),
                Entry(f"{c.n}/{c.planned}", c.n / c.planned),
                *(Entry(str(n), n) for n in states),
                Entry(c.n_train or formats.ABSENT),
                Entry(
                    f"{seconds.mean():.3g}" if len(seconds) else formats.ABSENT,
                    seconds.mean() if len(seconds) else None,
                ),
                Entry(", ".join(dict.fromkeys(str(d) for d in part["device"].dropna())) or formats.ABSENT),
            )
        )
    heads = (*_numeric("finished", *UNFINISHED, "training rows", "seconds per run"), Column("device"))
    text = "Runs finished of those planned. Crashed, timed-out and missing runs enter no statistic."
    return Table("coverage", "Coverage", text, (*_where_columns(comparison), *heads), tuple(rows))


def failed_runs(scores: pd.DataFrame) -> Table:
    """Return every failed run with its id, to be looked into one by one."""
    rows = tuple(
        (
            Entry(str(r["run_id"])),
            Entry(str(r["encoder"])),
            Entry(str(r["task"])),
            Entry(str(r["arm"])),
            Entry(str(r["seed"]), float(r["seed"])),
            Entry(formats.points(r["score"]), float(r["score"])),
            Entry(formats.points(r["no_skill"]), float(r["no_skill"])),
            Entry(
                f"{r['train_loss']:.3g}" if math.isfinite(r["train_loss"]) else formats.ABSENT,
                float(r["train_loss"]),
            ),
            Entry(_why(r)),
        )
        for r in scores[scores["failed"] & ~scores["status"].isin(UNFINISHED)].to_dict("records")
    )
    columns = (
        *(Column(t) for t in ("run", "encoder", "task", "arm")),
        *_numeric("seed", "score", "no skill", "training loss at the end"),
        Column("why", wraps=True),
    )
    text = 'Scores in points (x100), test split, last checkpoint. The command "stabilitybench show RUN" tells more.'
    return Table("failed-runs", "Failed runs", text, columns, rows)


def unfinished_runs(scores: pd.DataFrame) -> Table:
    """Return every run that is planned and not finished."""
    rows = tuple(
        tuple(Entry(str(r[c])) for c in ("run_id", "encoder", "task", "arm", "seed", "status"))
        for r in scores[scores["status"].isin(UNFINISHED)].to_dict("records")
    )
    columns = tuple(Column(t) for t in ("run", "encoder", "task", "arm", "seed", "status"))
    return Table("unfinished-runs", "Unfinished runs", "Starting the study again does the missing ones.", columns, rows)


def ratio(cell: Cell) -> Entry:
    """Return the SD ratio with its interval, or why there is none to print."""
    if cell.against is None:
        return Entry("(baseline)", 1.0)
    found = cell.against.ratio
    if cell.against.withheld:
        return Entry("withheld")
    return Entry(formats.estimate(found.estimate, found.low, found.high), found.estimate)


def _where(comparison: Comparison, cell: Cell) -> tuple[Entry, ...]:
    place = (Entry(cell.task), Entry(cell.arm))
    return (Entry(cell.encoder), *place) if _several_encoders(comparison) else place


def _where_columns(comparison: Comparison) -> tuple[Column, ...]:
    place = (Column("task"), Column("arm"))
    return (Column("encoder"), *place) if _several_encoders(comparison) else place


def _several_encoders(comparison: Comparison) -> bool:
    return len({c.encoder for c in comparison.cells}) > 1


def _numeric(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(t, numeric=True) for t in titles)


def _count(failed: int, n: int) -> Entry:
    return Entry(f"{failed}/{n}", failed / n if n else None)


def _p(p: float | None, cell: Cell) -> Entry:
    return Entry("" if cell.is_baseline else formats.p_value(p), p)


def _why(run: dict[Hashable, Any]) -> str:
    reasons = [
        "diverged" if run["status"] == "diverged" else "",
        "constant predictions" if run["constant"] else "",
    ]
    return ", ".join(r for r in reasons if r) or "score not above no skill"


def _span(values: Iterable[int]) -> str:
    seen = sorted(set(values))
    return f"{seen[0]}" if len(seen) == 1 else f"{seen[0]} to {seen[-1]}"
