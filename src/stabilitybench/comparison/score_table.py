"""The two tables that a report is made of: one row per run, and one row per evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.seeds import STREAMS
from stabilitybench.statistics.pairing import Key
from stabilitybench.statuses import FINISHED, UNFINISHED

if TYPE_CHECKING:
    import pandas as pd

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
    "near_no_skill",
    "constant",
    "train_loss",
    "seconds",
    "device",
)
CURVE_COLUMNS = ("run_id", "encoder", "task", "arm", "seed", "step", "progress", "train_loss", "validation")


def finished(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the runs that came to an end, failed and diverged ones included.

    Parameters
    ----------
    scores : DataFrame
        One row per planned run.
    """
    return scores[scores["status"].isin(FINISHED)]


def task_label(scores: pd.DataFrame, encoder: object, task: object) -> str:
    """Name a task, with its encoder where there are several.

    Parameters
    ----------
    scores : DataFrame
        All rows of the report.
    encoder, task : str
        Labels, as a grouping of these rows gives them.
    """
    return f"{task} ({encoder})" if scores["encoder"].nunique() > 1 else str(task)


def check_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table of runs in a fresh frame with plain column types.

    Parameters
    ----------
    scores : DataFrame
        One row per planned run, with the columns `SCORE_COLUMNS`.

    Returns
    -------
    DataFrame
        With the column `failures_known`: False for the runs of an arm whose flags `failed` are all missing, or missing
        wherever they are not true; nothing then tells how many failed.

    Raises
    ------
    UserError
        For anything but a table, a missing column, an empty table, a run without a task or arm, an unknown status, a
        run id that occurs twice in an arm, flags and numbers that are text, a finished run without a score, a score
        beyond [-1, 1], or two metrics or no-skill scores of one task.
    """
    _need(scores, SCORE_COLUMNS, "scores")
    if scores.empty:
        raise UserError("scores: no rows; a report needs at least one planned run")
    for status in scores["status"]:
        if status not in (*FINISHED, *UNFINISHED):
            raise UserError(f"scores: status {status!r}: must be one of {', '.join((*FINISHED, *UNFINISHED))}")
    for column in ("task", "arm"):
        for name in scores[column]:
            if not isinstance(name, str) or not name:
                raise UserError(f"scores: {column} {name!r}: must be a text that names the {column} of the run")
    # tuning may lead two arms to the same training: one run, which each of them may count once
    twice = scores.loc[scores.duplicated(["run_id", *GROUP, "arm"]), "run_id"]
    if len(twice):
        raise UserError(f"scores: run {twice.iloc[0]!r} occurs more than once in an arm; every run is one row")
    result = scores.reset_index(drop=True).copy()
    result["encoder"] = result["encoder"].fillna("")  # pandas reads an empty name as NaN
    for column in ("failed", "near_no_skill", "constant"):
        _check_flags(result, column)
    if "failures_known" not in result:
        result["failures_known"] = _failures_known(result)
    # unfinished runs may carry NaN here, which would turn the column into objects
    result["failed"] = result["failed"].eq(True)
    for column in ("near_no_skill", "constant"):  # scores made elsewhere come without these
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
        result[column] = _numbers(result, column)
    done = finished(result)
    if done["score"].isna().any():
        run = done.loc[done["score"].isna(), "run_id"].iloc[0]
        raise UserError(f"scores: run {run!r} is finished and has no score; a NaN metric counts as no skill")
    for column in ("score", "no_skill"):
        beyond = done[done[column].abs() > 1]
        if len(beyond):
            raise UserError(
                f"scores: run {beyond['run_id'].iloc[0]!r} has {column} = {beyond[column].iloc[0]:g}: must be a "
                "fraction between -1 and 1; divide points by 100"
            )
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
    """Return a table of evaluations in a fresh frame with numeric columns.

    Parameters
    ----------
    curves : DataFrame
        One row per evaluation, with the columns `CURVE_COLUMNS`; progress is the share of the training done.

    Raises
    ------
    UserError
        For a missing column.
    """
    _need(curves, CURVE_COLUMNS, "curves")
    result = curves.reset_index(drop=True).copy()
    for column in ("progress", "train_loss", "validation"):
        result[column] = result[column].astype("float64")
    return result


def seed_streams(scores: pd.DataFrame) -> tuple[list[str], list[str], bool]:
    """Tell which streams of seeds vary.

    Parameters
    ----------
    scores : DataFrame
        Checked rows.

    Returns
    -------
    varied, fixed : list of str
        Streams with several seeds, and with one; a stream without any seed, as in scores made elsewhere, is in neither.
    shared : bool
        Whether runs of one arm share a seed of a stream that varies.
    """
    known: list[str] = [s for s in STREAMS if scores[f"seed_{s}"].notna().any()]
    varied = [s for s in known if scores[f"seed_{s}"].nunique(dropna=False) > 1]
    shared = any(
        bool(part[f"seed_{s}"].duplicated().any())
        for _, part in scores.groupby([*GROUP, "arm"], sort=False)
        for s in varied
    )
    return varied, [s for s in known if s not in varied], shared


def pair_keys(scores: pd.DataFrame) -> tuple[list[Key | None], list[str]]:
    """Return by what each run is paired, and the names of the parts of these keys.

    The seeds of all streams and the number of training rows, where the streams are known; else the column `pair` of
    files made elsewhere, and without it the column `seed`.

    Parameters
    ----------
    scores : DataFrame
        Checked rows.

    Returns
    -------
    keys : list of tuple or None
        One for each row; None where nothing tells a run's seed.
    names : list of str
        As many as the parts of a key.
    """
    streams = [f"seed_{s}" for s in STREAMS if scores[f"seed_{s}"].notna().any()]
    columns = [*streams, "n_train"] if streams else ["pair"] if "pair" in scores else ["seed"]
    values = scores[columns].astype(object)
    known = scores[streams or columns].notna().any(axis=1)
    rows = values.where(values.notna(), None).itertuples(index=False, name=None)
    keys = [row if k else None for row, k in zip(rows, known, strict=True)]
    return keys, [c.removeprefix("seed_") for c in columns]


def _check_flags(scores: pd.DataFrame, column: str) -> None:
    if scores[column].dtype.kind == "b":
        return
    missing = scores[column].isna()
    for run, flag in scores.loc[~missing, ["run_id", column]].itertuples(index=False):
        if isinstance(flag, str) or flag not in (True, False):
            raise UserError(f"scores: run {run!r} has {column} = {flag!r}: must be True or False")


def _failures_known(scores: pd.DataFrame) -> pd.Series[bool]:
    """Tell of each run whether failed runs of its arm are known; raises UserError where they are of a part only."""
    done = finished(scores)
    known = scores["status"].notna()  # true: every run has a status
    for _, part in done.groupby([*GROUP, "arm"], sort=False):
        missing = part["failed"].isna()
        if missing.any():
            if part["failed"].eq(False).any():
                run = part.loc[missing, "run_id"].iloc[0]
                raise UserError(
                    f"scores: run {run!r} is finished and has no flag failed, which other runs of its arm have"
                )
            known[part.index] = False
    return known


def _numbers(scores: pd.DataFrame, column: str) -> pd.Series[float]:
    if scores[column].dtype.kind in "iuf":
        return scores[column].astype("float64")
    for run, value in scores[["run_id", column]].itertuples(index=False):
        if isinstance(value, str):
            raise UserError(f"scores: run {run!r} has {column} = {value!r}: must be a number, not a text")
    try:
        return scores[column].astype("float64")
    except (TypeError, ValueError):
        raise UserError(f"scores: column {column!r} holds something that is no number") from None


def _need(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise UserError(f"{name}: column {missing[0]!r} is missing; needed are {', '.join(columns)}")
