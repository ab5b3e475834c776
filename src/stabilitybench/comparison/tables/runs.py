"""Tables of runs: how many are there, which failed, and every score."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from stabilitybench.documents import formats
from stabilitybench.documents.table import Column, Table, TableCell, numeric, place, place_columns, score
from stabilitybench.statuses import UNFINISHED

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.analysis import Comparison

Row = dict[Hashable, Any]
NAMES = ("run", "encoder", "task", "arm")


def coverage(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return how many of the planned runs of each arm are there."""
    rows = []
    for c in comparison.cells:
        part = scores[(scores["encoder"] == c.encoder) & (scores["task"] == c.task) & (scores["arm"] == c.arm)]
        states = [int((part["status"] == state).sum()) for state in UNFINISHED]
        seconds = part["seconds"].dropna()
        rows.append(
            (
                *place(comparison, c),
                TableCell(f"{c.n}/{c.planned}", c.n / c.planned),
                *(TableCell(str(n), n) for n in states),
                TableCell(c.n_train or formats.ABSENT),
                TableCell(
                    f"{seconds.mean():.3g}" if len(seconds) else formats.ABSENT,
                    seconds.mean() if len(seconds) else None,
                ),
                TableCell(", ".join(dict.fromkeys(str(d) for d in part["device"].dropna())) or formats.ABSENT),
            )
        )
    heads = (*numeric("finished", *UNFINISHED, "training rows", "seconds per run"), Column("device"))
    text = "Runs finished of those planned. Crashed, timed-out and missing runs enter no statistic."
    return Table("coverage", "Coverage", text, (*place_columns(comparison), *heads), tuple(rows))


def failed_runs(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return every failed run with its id, to be looked into one by one."""
    rows = tuple(
        (*_names(r), score(r["score"]), score(r["no_skill"]), _loss(r), TableCell(_why(r)))
        for r in _rows(scores[scores["failed"] & ~scores["status"].isin(UNFINISHED)])
    )
    columns = (
        *(Column(t) for t in NAMES),
        *numeric("seed", "score", "no skill", "training loss at the end"),
        Column("why", wraps=True),
    )
    text = 'Scores in points (x100), test split, last checkpoint. The command "stabilitybench show RUN" tells more.'
    if comparison.elsewhere:
        text = "Scores in points (x100), as given."
    return Table("failed-runs", "Failed runs", text, columns, rows)


def unfinished_runs(scores: pd.DataFrame) -> Table:
    """Return every run that is planned and not finished."""
    rows = tuple((*_names(r), TableCell(str(r["status"]))) for r in _rows(scores[scores["status"].isin(UNFINISHED)]))
    columns = (*(Column(t) for t in NAMES), *numeric("seed"), Column("status"))
    return Table("unfinished-runs", "Unfinished runs", "Starting the study again does the missing ones.", columns, rows)


def every_run(scores: pd.DataFrame) -> Table:
    """Return every planned run with all its scores: the data behind the report."""
    rows = tuple(
        (
            *_names(r),
            TableCell(str(r["status"])),
            TableCell("failed" if r["failed"] else ""),
            *(_exact(r[c]) for c in ("score", "score_best", "validation", "validation_best")),
            _loss(r),
        )
        for r in _rows(scores)
    )
    columns = (
        *(Column(t) for t in NAMES), *numeric("seed"), Column("status"), Column("failed"),
        *numeric("test, last", "test, best", "validation, last", "validation, best", "training loss"),
    )  # fmt: skip
    text = (
        "Scores in points (x100) of the last and of the best-validation checkpoint; scores.csv has them to the last "
        "digit, with seeds, flags and times."
    )
    return Table("every-run", "Every score", text, columns, rows)


def _rows(scores: pd.DataFrame) -> list[Row]:
    return scores.to_dict("records")


def _names(run: Row) -> tuple[TableCell, ...]:
    named = (TableCell(str(run[c])) for c in ("run_id", "encoder", "task", "arm"))
    return (*named, TableCell(str(run["seed"]), float(run["seed"])))


def _exact(value: float) -> TableCell:
    return TableCell(formats.points(value, 2), value) if math.isfinite(value) else TableCell(formats.ABSENT)


def _loss(run: Row) -> TableCell:
    loss = float(run["train_loss"])
    return TableCell(f"{loss:.3g}", loss) if math.isfinite(loss) else TableCell(formats.ABSENT)


def _why(run: Row) -> str:
    reasons = [
        "diverged" if run["status"] == "diverged" else "",
        "constant predictions" if run["constant"] is True else "",
    ]
    return ", ".join(r for r in reasons if r) or "score not above no skill"
