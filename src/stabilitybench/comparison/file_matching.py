"""Which runs of several files of scores stand against which: by encoder, task and arm, as far as files name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.score_files import UNNAMED_TASK, ScoreFile
from stabilitybench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

KEY = ["encoder", "task", "arm"]


def matched(files: list[ScoreFile], base: ScoreFile) -> tuple[list[pd.DataFrame], list[str]]:
    """Match the runs of several files.

    Parameters
    ----------
    files : list of ScoreFile
        Two or more, the baseline among them.
    base : ScoreFile
        The baseline.

    Returns
    -------
    frames : list of DataFrame
        The runs of each file that stand against runs of another, with the file's label as arm.
    notes : list of str
        What was left out, and which encoders or arms are compared, one sentence each.

    Raises
    ------
    UserError
        Where no file has anything in common with the baseline.
    """
    columns = [c for c in KEY if _tells_apart(c, files)]
    keys = {f.label: set(_keys(f, columns)) for f in files}
    others = [f for f in files if f is not base]
    shared = {key for f in others for key in keys[f.label] & keys[base.label]}
    if not shared:
        one, two = (", ".join(sorted(_told(k) for k in keys[f.label])[:4]) for f in (base, others[0]))
        raise UserError(
            f"{base.label} and {others[0].label} have nothing in common: one holds {one}, the other {two}; "
            f"runs are matched by {', '.join(columns)}"
        )
    frames, notes = [], []
    one_encoder = _one(files, "encoder", "")
    if _encoders_differ(files):
        encoders = ", ".join(f"{f.label} is {f.scores['encoder'].iloc[0]}" for f in files)
        notes.append(f"Each file has one encoder, and encoders are compared: {encoders}.")
    for f in files:
        mine = [key in shared for key in _keys(f, columns)]
        alone = sorted(_told(key) for key in keys[f.label] - shared)
        if alone:
            more = f" and {len(alone) - 10} more" if len(alone) > 10 else ""
            listed = f"{'; '.join(alone[:10])}{more}"
            who = f"Only {f.label} has {listed}" if f is base else f"{f.label} has {listed}, and {base.label} has not"
            notes.append(f"{who}: not compared.")
        part = f.scores[mine]
        task = part["task"].where(part["task"] != "", UNNAMED_TASK) if "task" in columns else _one(files, "task")
        if "arm" in columns:
            task = task + ", " + part["arm"]
        encoder = part["encoder"] if "encoder" in columns else "" if _encoders_differ(files) else one_encoder
        frames.append(part.assign(encoder=encoder, task=task, arm=f.label))
    if "arm" not in columns:
        names = [(f.label, f.scores["arm"].iloc[0]) for f in files]
        told = [f"{label} is arm {arm}" for label, arm in names if arm not in ("", label)]
        if told and len({t.rpartition(" is arm ")[2] for t in told}) > 1:
            notes.append(f"Each file has one arm: {', '.join(told)}.")
    return frames, notes


def _tells_apart(column: str, files: list[ScoreFile]) -> bool:
    """Tell whether runs are matched by a column: one file holds several, or files name different encoders or tasks."""
    if column == "encoder" and _encoders_differ(files):
        return False
    values = [set(f.scores[column]) for f in files]
    if any(v == {""} for v in values) and all(len(v) == 1 for v in values):
        return False
    several = any(len(v) > 1 for v in values)
    return several or (column != "arm" and len(set().union(*values)) > 1)


def _encoders_differ(files: list[ScoreFile]) -> bool:
    """Tell whether each file names one encoder and they are not the same: then they are what is compared."""
    named = [set(f.scores["encoder"]) for f in files]
    return all(len(names) == 1 and "" not in names for names in named) and len(set().union(*named)) > 1


def _one(files: list[ScoreFile], column: str, default: str = UNNAMED_TASK) -> str:
    return next((v for f in files for v in f.scores[column] if v), default)


def _keys(file: ScoreFile, columns: list[str]) -> list[tuple[str, ...]]:
    """Return what each run of a file is matched by: the empty tuple where no column tells runs apart."""
    # Not by itertuples: on a frame without columns it yields nothing before pandas 3.
    return [tuple(row) for row in file.scores[columns].to_numpy()]


def _told(key: tuple[str, ...]) -> str:
    return ", ".join(part for part in key if part) or "runs without a name"
