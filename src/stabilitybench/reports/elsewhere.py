"""Several files of scores as one comparison: which runs stand against which, and what must be said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from stabilitybench.errors import UserError, suggest
from stabilitybench.reports.facts import StudyFacts
from stabilitybench.reports.frames import STREAMS, finished
from stabilitybench.reports.score_files import UNNAMED_TASK, ScoreFile, read_scores

if TYPE_CHECKING:
    from stabilitybench.reports.comparison import Comparison
    from stabilitybench.reports.page import ReportPaths

KEY = ["encoder", "task", "arm"]


@dataclass(frozen=True)
class Files:
    """Files of scores set against each other: the table that `compare` takes, with one arm for each file."""

    scores: pd.DataFrame
    baseline: str
    facts: StudyFacts


def compare_files(
    paths: Sequence[Path],
    baseline: str | None = None,
    column: str | None = None,
    *,
    points: bool = False,
    no_skill: float | None = None,
    out: Path | None = None,
) -> tuple[Comparison, ReportPaths | None]:
    """Compare results folders or CSV files of scores with the first of them, or with `baseline`.

    Files are compared on each (encoder, task, arm) that they share; what a file does not name does not tell runs
    apart.  out : folder for a report.  Other arguments as in `read_scores`.  Raises UserError for files that cannot
    be read or have nothing in common.
    """
    from dataclasses import replace

    from stabilitybench.reports.comparison import compare
    from stabilitybench.reports.page import write_report

    files = read_files(paths, baseline, column, points=points, no_skill=no_skill)
    if out is not None and any((out / "scores.csv").absolute() == _csv(path) for path in paths):
        raise UserError(f"--out {out}: would overwrite the scores.csv that is compared; give another folder")
    comparison = compare(files.scores, files.baseline)
    comparison = replace(comparison, notes=(*comparison.notes, *files.facts.warnings))
    if out is None:
        return comparison, None
    facts = replace(files.facts, varied=comparison.varied, fixed=comparison.fixed)
    return comparison, write_report(files.scores, None, facts, out)


def read_files(
    paths: Sequence[Path],
    baseline: str | None = None,
    column: str | None = None,
    *,
    points: bool = False,
    no_skill: float | None = None,
) -> Files:
    """Read the files and match their runs; arguments and errors as in `compare_files`."""
    if len(paths) < 2:
        raise UserError(f"{len(paths)} file: a comparison needs at least two results folders or CSV files of scores")
    _check_no_skill(no_skill, points)
    labels = _labels(paths)
    first = _baseline(baseline, paths, labels)
    files = [
        read_scores(path, label, column, points=points, no_skill=no_skill)
        for path, label in zip(paths, labels, strict=True)
    ]
    if all(f.made_by_report for f in files) and (points or no_skill is not None):
        option = "--points" if points else f"--no-skill {no_skill:g}"
        raise UserError(f"{option}: is for files made elsewhere; these are a report's own, and say it themselves")
    base = files[labels.index(first)]
    frames, notes = _matched(files, base)
    notes += _same_runs(files)
    together = pd.concat(frames, ignore_index=True)
    scores = _completed(together)
    if not all(f.made_by_report for f in files):
        scores[[f"seed_{s}" for s in STREAMS]] = float("nan")  # known of a part of the runs only
    notes += _told_failures(scores, together["no_skill"].isna(), files)
    named = ", ".join(f'"{f.label}" ({f.path})' for f in files)
    facts = StudyFacts(
        name=" and ".join(labels) if len(labels) == 2 else f"{len(labels)} files of scores",
        baseline=first,
        arms={label: [] for label in (first, *(x for x in labels if x != first))},
        recipe={},
        varied="",
        fixed="",
        warnings=tuple(notes),
        origin=f"Scores were read from {named}; each file is an arm.",
    )
    return Files(scores, first, facts)


def _check_no_skill(no_skill: float | None, points: bool) -> None:
    unit = 100 if points else 1
    if no_skill is None:
        return
    if not -unit <= no_skill <= unit:
        hint = "" if points else "; for scores times 100, give --points"
        raise UserError(f"--no-skill {no_skill:g}: must lie between -{unit} and {unit}, as the scores do{hint}")
    if points and 0 < abs(no_skill) < 1:
        raise UserError(f"--no-skill {no_skill:g}: with --points it is in points too, for example 50")


def _csv(path: Path) -> Path:
    return (path / "scores.csv" if path.is_dir() else path).absolute()


def _labels(paths: Sequence[Path]) -> list[str]:
    """Name each file by as much of the end of its path as tells it from the others."""
    parts = []
    for path in paths:
        whole = path.expanduser().absolute()
        whole = whole.parent if whole.name == "scores.csv" else whole
        if whole in parts:
            raise UserError(f"{path}: is given twice; a comparison needs different files")
        parts.append(whole)
    names = [path.stem if path.suffix.lower() in (".csv", ".tsv", ".txt") else path.name or str(path) for path in parts]
    depth = 1
    while len(set(names)) < len(names) and depth < max(len(path.parts) for path in parts):
        depth += 1
        names = ["/".join(path.parts[-depth:]) for path in parts]
    return names


def _baseline(wanted: str | None, paths: Sequence[Path], labels: list[str]) -> str:
    if wanted is None:
        return labels[0]
    for path, label in zip(paths, labels, strict=True):
        if wanted in (label, str(path)) or Path(wanted).absolute() == path.absolute():
            return label
    raise UserError(f'--baseline "{wanted}": must be one of {", ".join(labels)}{suggest(wanted, labels)}')


def _matched(files: list[ScoreFile], base: ScoreFile) -> tuple[list[pd.DataFrame], list[str]]:
    """Return the runs of each file that stand against runs of the baseline, and what was left out."""
    columns = [c for c in KEY if _tells_apart(c, files)]
    keys = {f.label: set(map(tuple, f.scores[columns].itertuples(index=False))) for f in files}
    others = [f for f in files if f is not base]
    shared = {key for f in others for key in keys[f.label] & keys[base.label]}
    if not shared:
        one, two = (", ".join(sorted(_told(k) for k in keys[f.label])[:4]) for f in (base, others[0]))
        raise UserError(
            f"{base.label} and {others[0].label} have nothing in common: one holds {one}, the other {two}; "
            f"runs are matched by {', '.join(columns)}"
        )
    frames, notes = [], []
    for f in files:
        mine = [tuple(row) in shared for row in f.scores[columns].itertuples(index=False)]
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
        encoder = part["encoder"] if "encoder" in columns else _one(files, "encoder", "")
        frames.append(part.assign(encoder=encoder, task=task, arm=f.label))
    if "arm" not in columns:
        names = [(f.label, f.scores["arm"].iloc[0]) for f in files]
        told = [f"{label} is arm {arm}" for label, arm in names if arm not in ("", label)]
        if told and len({t.rpartition(" is arm ")[2] for t in told}) > 1:
            notes.append(f"Each file has one arm: {', '.join(told)}.")
    return frames, notes


def _tells_apart(column: str, files: list[ScoreFile]) -> bool:
    """Tell whether runs are matched by a column: one file holds several, or files name different encoders or tasks."""
    values = [set(f.scores[column]) for f in files]
    if any(v == {""} for v in values) and all(len(v) == 1 for v in values):
        return False
    several = any(len(v) > 1 for v in values)
    return several or (column != "arm" and len(set().union(*values)) > 1)


def _one(files: list[ScoreFile], column: str, default: str = UNNAMED_TASK) -> str:
    return next((v for f in files for v in f.scores[column] if v), default)


def _told(key: tuple[str, ...]) -> str:
    return ", ".join(part for part in key if part) or "runs without a name"


def _same_runs(files: list[ScoreFile]) -> list[str]:
    """Say where two results folders hold the same runs: they are one sample, not two."""
    notes = []
    ours = [f for f in files if f.made_by_report]
    for i, one in enumerate(ours):
        for two in ours[i + 1 :]:
            both = set(finished(one.scores)["run_id"]) & set(finished(two.scores)["run_id"])
            if both:
                notes.append(
                    f"{len(both)} runs stand in both {one.label} and {two.label}: they are not independent, and the "
                    "tests, which take them as independent, are too cautious."
                )
    return notes


def _told_failures(scores: pd.DataFrame, lacked: pd.Series[bool], files: list[ScoreFile]) -> list[str]:
    """Mark failed runs where a file lacks no-skill scores that others have; return where nothing can tell them."""
    notes = []
    untold: dict[str, list[str]] = {}
    for f in files:
        if f.flagged:
            continue
        mine = scores["arm"] == f.label
        borrowed = mine & lacked & scores["no_skill"].notna()
        if borrowed.any():
            scores.loc[borrowed, "failed"] = scores["score"] <= scores["no_skill"]
            notes.append(f"{f.label}: has no no-skill scores; those of the other files were taken for it.")
        unknown = scores.loc[mine & scores["no_skill"].isna(), "task"]
        if len(unknown):
            untold.setdefault(", ".join(dict.fromkeys(unknown)), []).append(f.label)
    notes += [
        f"{' and '.join(labels)}, {tasks}: without a column failed or no-skill scores (--no-skill) no run counts as "
        "failed, and an SD may hold failed runs."
        for tasks, labels in untold.items()
    ]
    return notes


def _completed(scores: pd.DataFrame) -> pd.DataFrame:
    """Give each task one metric and one no-skill score, where some files name it and no two differ."""
    parts = []
    for task, part in scores.groupby(["encoder", "task"], sort=False):
        named = part[part["metric"] != ""].groupby("metric", sort=False)["arm"].first()
        skills = part.dropna(subset=["no_skill"]).groupby("no_skill", sort=False)["arm"].first()
        if len(named) > 1:
            told = " and ".join(f"{metric} in {arm}" for metric, arm in list(named.items())[:2])
            raise UserError(f'task "{task[1]}": has the metric {told}; runs are compared under one metric')
        if len(skills) > 1:
            told = " and ".join(f"{value:g} in {arm}" for value, arm in list(skills.items())[:2])
            raise UserError(f'task "{task[1]}": has the no-skill score {told}; runs are compared on one test split')
        metric = named.index[0] if len(named) else "score"
        parts.append(part.assign(metric=metric, no_skill=skills.index[0] if len(skills) else float("nan")))
    return pd.concat(parts).sort_index()
