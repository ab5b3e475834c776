"""Tables of runs: how many are there, which failed, and every score."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from stabilitybench.comparison.tables.cells import place, place_columns
from stabilitybench.documents import formats
from stabilitybench.documents.table import (
    Table,
    TableCell,
    numeric,
    score,
    sentences,
    texts,
)
from stabilitybench.statuses import UNFINISHED

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.model import Comparison

Run = dict[Hashable, Any]
NAMES = (*texts(run="run", encoder="encoder", task="task", arm="arm"), *numeric(seed="seed"))


def coverage(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return how many of the planned runs of each arm are there.

    Parameters
    ----------
    comparison : Comparison
        Gives the rows, one per encoder, task and arm.
    scores : DataFrame
        Checked rows, one per planned run.
    """
    rows = []
    for c in comparison.cells:
        part = scores[(scores["encoder"] == c.encoder) & (scores["task"] == c.task) & (scores["arm"] == c.arm)]
        states = {state: int((part["status"] == state).sum()) for state in UNFINISHED}
        seconds = part["seconds"].dropna()
        devices = ", ".join(dict.fromkeys(str(d) for d in part["device"].dropna()))
        rows.append(
            {
                **place(comparison.cells, c),
                "finished": TableCell(f"{c.n}/{c.planned}", c.n / c.planned),
                **{state: TableCell(str(n), n) for state, n in states.items()},
                "rows": TableCell(c.n_train or formats.ABSENT),
                "seconds": TableCell(
                    f"{seconds.mean():.3g}" if len(seconds) else formats.ABSENT,
                    seconds.mean() if len(seconds) else None,
                ),
                "device": TableCell(devices or formats.ABSENT),
            }
        )
    columns = (
        *place_columns(comparison.cells),
        *numeric(finished="finished", **{state: state for state in UNFINISHED}),
        *numeric(rows="training rows", seconds="seconds per run"),
        *texts(device="device"),
    )
    text = "Runs finished of those planned. Crashed, timed-out and missing runs enter no statistic."
    return Table("coverage", "Coverage", text, columns, tuple(rows))


def failed_runs(comparison: Comparison, scores: pd.DataFrame) -> Table:
    """Return every failed run with its id, to be looked into one by one.

    Parameters
    ----------
    comparison : Comparison
        Tells whether the scores were made elsewhere, where no command tells more.
    scores : DataFrame
        Checked rows, one per planned run.
    """
    rows = tuple(
        {
            **_names(r),
            "score": score(r["score"]),
            "no_skill": score(r["no_skill"]),
            "loss": _loss(r),
            "why": TableCell(_why(r)),
        }
        for r in _rows(scores[scores["failed"] & ~scores["status"].isin(UNFINISHED)])
    )
    columns = (
        *NAMES,
        *numeric(score="score", no_skill="no skill", loss="training loss at the end"),
        *sentences(why="why"),
    )
    text = 'Scores in points (x100), test split, last checkpoint. The command "stabilitybench show RUN" tells more.'
    if comparison.elsewhere:
        text = "Scores in points (x100), as given."
    return Table("failed-runs", "Failed runs", text, columns, rows)


def unfinished_runs(scores: pd.DataFrame) -> Table:
    """Return every run that is planned and not finished.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, one per planned run.
    """
    rows = tuple(
        {**_names(r), "status": TableCell(str(r["status"]))} for r in _rows(scores[scores["status"].isin(UNFINISHED)])
    )
    columns = (*NAMES, *texts(status="status"))
    return Table("unfinished-runs", "Unfinished runs", "Starting the study again does the missing ones.", columns, rows)


def every_run(scores: pd.DataFrame) -> Table:
    """Return every planned run with all its scores: the data behind the report.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, one per planned run.
    """
    rows = tuple(
        {
            **_names(r),
            "status": TableCell(str(r["status"])),
            "failed": TableCell("failed" if r["failed"] else ""),
            **{c: _exact(r[c]) for c in ("score", "score_best", "validation", "validation_best")},
            "loss": _loss(r),
        }
        for r in _rows(scores)
    )
    columns = (
        *NAMES,
        *texts(status="status", failed="failed"),
        *numeric(score="test, last", score_best="test, best", validation="validation, last"),
        *numeric(validation_best="validation, best", loss="training loss"),
    )
    text = (
        "Scores in points (x100) of the last and of the best-validation checkpoint; scores.csv has them to the last "
        "digit, with seeds, flags and times."
    )
    return Table("every-run", "Every score", text, columns, rows)


def _rows(scores: pd.DataFrame) -> list[Run]:
    return scores.to_dict("records")


def _names(run: Run) -> dict[str, TableCell]:
    named = {key: TableCell(str(run[key])) for key in ("encoder", "task", "arm")}
    seed = TableCell(str(run["seed"]), float(run["seed"]))
    return {"run": TableCell(str(run["run_id"])), **named, "seed": seed}


def _exact(value: float) -> TableCell:
    return TableCell(formats.points(value, 2), value) if math.isfinite(value) else TableCell(formats.ABSENT)


def _loss(run: Run) -> TableCell:
    loss = float(run["train_loss"])
    return TableCell(f"{loss:.3g}", loss) if math.isfinite(loss) else TableCell(formats.ABSENT)


def _why(run: Run) -> str:
    reasons = [
        "diverged" if run["status"] == "diverged" else "",
        "constant predictions" if run["constant"] is True else "",
    ]
    return ", ".join(r for r in reasons if r) or "score not above no skill"
