"""The two tables that a report is made of: one row per run, and one row per evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

FINISHED = ("ok", "failed", "diverged")
UNFINISHED = ("crashed", "timeout", "missing")
STREAMS = ("init", "order", "dropout", "subset", "prepare")
GROUP = ["encoder", "task"]

SCORE_COLUMNS = (
    "run_id",
    "encoder",
    "task",
    "arm",
    "seed",
    *(f"seed_{stream}" for stream in STREAMS),
    "n_train",
    "status",
    "metric",
    "score",
    "score_best",
    "validation",
    "validation_best",
    "no_skill",
    "failed",
    "near_baseline",
    "constant",
    "train_loss",
    "seconds",
    "device",
)
CURVE_COLUMNS = ("run_id", "encoder", "task", "arm", "seed", "step", "progress", "train_loss", "validation")


def finished(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs that came to an end, failed and diverged ones included."""
    return scores[scores["status"].isin(FINISHED)]


def check_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `scores` in a fresh frame with plain column types.

    Raises UserError for a missing column, an empty table, an unknown status, a run id that occurs twice in an arm, a
    finished run without a score, or two metrics or no-skill scores of one task.
    """
    _need(scores, SCORE_COLUMNS, "scores")
    if scores.empty:
        raise UserError("scores: no rows; a report needs at least one planned run")
    unknown = sorted(set(scores["status"]) - {*FINISHED, *UNFINISHED})
    if unknown:
        raise UserError(f"scores: status {unknown[0]!r}: must be one of {', '.join((*FINISHED, *UNFINISHED))}")
    # tuning may lead two arms to the same training: one run, which each of them may count once
    twice = scores.loc[scores.duplicated(["run_id", *GROUP, "arm"]), "run_id"]
    if len(twice):
        raise UserError(f"scores: run {twice.iloc[0]!r} occurs more than once in an arm; every run is one row")
    result = scores.reset_index(drop=True).copy()
    # unfinished runs may carry NaN here, which would turn the column into objects
    result["failed"] = result["failed"].eq(True)
    for column in ("near_baseline", "constant"):  # scores made elsewhere come without these
        result[column] = result[column].where(result[column].notna(), None).astype("boolean")
    for column in (
        "score",
        "score_best",
        "validation",
        "validation_best",
        "no_skill",
        "train_loss",
        "seconds",
    ):
        result[column] = result[column].astype("float64")
    done = finished(result)
    if done["score"].isna().any():
        run = done.loc[done["score"].isna(), "run_id"].iloc[0]
        raise UserError(f"scores: run {run!r} is finished and has no score; a NaN metric counts as no skill")
    for (encoder, task), part in done.groupby(GROUP, sort=False):
        for column in ("metric", "no_skill"):
            values = part[column].unique()
            if len(values) > 1:
                raise UserError(
                    f'scores: task "{task}" with encoder "{encoder}" has {column} {values[0]} and '
                    f"{values[1]}; runs are compared under one metric on one test split"
                )
    return result


def check_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return `curves` with numeric columns; raises UserError for a missing column."""
    _need(curves, CURVE_COLUMNS, "curves")
    result = curves.reset_index(drop=True).copy()
    for column in ("progress", "train_loss", "validation"):
        result[column] = result[column].astype("float64")
    return result


def seed_streams(scores: pd.DataFrame) -> tuple[list[str], list[str], bool]:
    """Return the streams that vary, those that are fixed, and whether runs of one arm share a varied seed.

    A stream without any seed, as in scores made elsewhere, is in neither list.
    """
    known = [s for s in STREAMS if scores[f"seed_{s}"].notna().any()]
    varied = [s for s in known if scores[f"seed_{s}"].nunique(dropna=False) > 1]
    shared = any(
        bool(part[f"seed_{s}"].duplicated().any())
        for _, part in scores.groupby([*GROUP, "arm"], sort=False)
        for s in varied
    )
    return varied, [s for s in known if s not in varied], shared


def _need(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise UserError(f"{name}: column {missing[0]!r} is missing; needed are {', '.join(columns)}")
