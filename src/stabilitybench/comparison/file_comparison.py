"""Several files of scores as one comparison: read, matched, completed, and written as a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from stabilitybench import argument_checks
from stabilitybench.argument_checks import flag, number, several, text
from stabilitybench.comparison import file_notes
from stabilitybench.comparison.analysis import compare
from stabilitybench.comparison.file_matching import matched
from stabilitybench.comparison.model import Comparison
from stabilitybench.comparison.report import ReportPaths, build, in_order, write
from stabilitybench.comparison.score_files import ScoreFile, read_scores
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import Argument, UserError, suggest
from stabilitybench.printing import printable
from stabilitybench.seeds import STREAMS
from stabilitybench.storage.foreign import read_foreign
from stabilitybench.studies.versions import mixed_versions

WRITTEN = ("report.html", "report.md", "tables.tex", "scores.csv")
ARMS = "each file is an arm."  # stands in the reports made here, and in no other


@dataclass(frozen=True, eq=False)
class Files(EqualByContent):
    """Files of scores set against each other.

    Attributes
    ----------
    scores : DataFrame
        The table that `compare` takes, with one arm for each file.
    baseline : str
        Label of the file against which the others are compared.
    facts : StudyFacts
        Where the scores come from, and what must be said about them.
    """

    scores: pd.DataFrame
    baseline: str
    facts: StudyFacts


def compare_files(
    paths: Sequence[Path | str],
    baseline: str | None = None,
    column: str | None = None,
    *,
    points: bool = False,
    no_skill: float | None = None,
    unpaired: bool = False,
    out: Path | str | None = None,
) -> tuple[Comparison, ReportPaths | None]:
    r"""Compare results folders or CSV files of scores with one of them.

    Files are compared on each (encoder, task, arm) that they share; what a file does not name does not tell runs
    apart.

    Parameters
    ----------
    paths : sequence of Path
        Two or more results folders (their scores.csv) or CSV files with one line per run.
    baseline : str, optional
        The file to compare with, by its path or its label; unset, the first.
    column : str, optional
        The column of scores; unset, "score".
    points : bool, default False
        Whether scores and no-skill scores of files made elsewhere are times 100.
    no_skill : float, optional
        The best score of a constant prediction, in the unit of the scores, for files made elsewhere that lack it.
    unpaired : bool, default False
        Whether to take runs of equal seeds as independent all the same; the verdicts then say so.
    out : Path, optional
        Folder for a report.

    Returns
    -------
    comparison : Comparison
        With one arm for each file.
    paths : ReportPaths or None
        Where the report is; None without `out`.

    Raises
    ------
    UserError
        For files that cannot be read or have nothing in common, and for a folder that holds them or results of
        another command.
    EnvironmentFailure
        Where `out` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> runs = {"plain": (0.61, 0.48, 0.66), "mixout": (0.64, 0.65, 0.63)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, scores in runs.items():
    ...         _ = Path(folder, f"{name}.csv").write_text("\n".join(["score", *map(str, scores)]))
    ...     comparison, _ = compare_files([Path(folder, f"{name}.csv") for name in runs])
    >>> print(f"{comparison.cells[1].against.level.estimate:.3f}")
    0.057
    """
    paths = several("paths", paths, "results folders and CSV files of scores", (str, Path))
    files = read_files(paths, baseline, column, points=points, no_skill=no_skill)
    if out is not None:
        check_out(argument_checks.path("out", out), paths)
    comparison = compared(files, unpaired=unpaired)
    return comparison, None if out is None else write_files(files, comparison, Path(out))


def compared(files: Files, *, unpaired: bool = False) -> Comparison:
    """Return the comparison of files with their baseline.

    Parameters
    ----------
    files : Files
        As `read_files` returns them; what must be said about them is among the notes of the comparison.
    unpaired : bool, default False
        As `compare_files` takes it.
    """
    comparison = compare(in_order(files.scores, files.facts), files.baseline, unpaired=unpaired)
    return replace(comparison, notes=(*comparison.notes, *files.facts.warnings))


def write_files(files: Files, comparison: Comparison, out: Path) -> ReportPaths:
    """Write the report of a comparison of files.

    Parameters
    ----------
    files : Files
        As `read_files` returns them.
    comparison : Comparison
        Of these files, as `compared` returns it.
    out : Path
        Folder, made where it is not there.

    Returns
    -------
    ReportPaths
        Where the files are.

    Raises
    ------
    EnvironmentFailure
        Where the folder cannot be written.
    """
    # the warnings are among the notes of the comparison
    told = replace(files.facts, varied=comparison.varied, fixed=comparison.fixed, warnings=())
    return write(build(comparison, files.scores, None, told), files.scores, out)


def check_out(out: Path, paths: Sequence[Path | str]) -> None:
    """Refuse a folder in which a report must not be written.

    Parameters
    ----------
    out : Path
        The folder, there or not.
    paths : sequence of Path
        Files that are compared, or their folders.

    Raises
    ------
    UserError
        For a folder whose files are compared, or were written by anything but an earlier comparison.
    """
    try:
        read = {_csv(Path(path)) for path in paths}
        there = [name for name in WRITTEN if (out / name).exists()]
        over = [name for name in there if (out / name).resolve() in read]
        study = (out / "study.json").exists()
        ours = "report.md" in there and ARMS in read_foreign(out / "report.md").decode("utf-8", "replace")
        file = out.exists() and not out.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            Argument("out", out), f": cannot be used ({getattr(error, 'strerror', None) or error})"
        ) from None
    if file:
        raise UserError(Argument("out", out), ": is a file; must be a folder, or a name for a new one")
    if over:
        raise UserError(Argument("out", out), f": would overwrite the {over[0]} that is compared; give another folder")
    if study or (there and not ours):
        what = "results of a study" if study else f"a {there[0]} that no comparison wrote"
        raise UserError(Argument("out", out), f": holds {what}; give another folder")


def read_files(
    paths: Sequence[Path | str],
    baseline: str | None = None,
    column: str | None = None,
    *,
    points: bool = False,
    no_skill: float | None = None,
) -> Files:
    """Read the files of a comparison and match their runs.

    Parameters
    ----------
    paths, baseline, column
        As `compare_files` takes them.
    points, no_skill
        As `compare_files` takes them.

    Returns
    -------
    Files
        The runs that have a counterpart in the baseline, and the notes on them among the warnings of its facts.

    Raises
    ------
    UserError
        For files that cannot be read or have nothing in common.
    """
    files_named = several("paths", paths, "results folders and CSV files of scores", (str, Path))
    for name, said in (("baseline", baseline), ("column", column)):
        if said is not None:
            text(name, said)
    flag("points", points)
    if len(files_named) < 2:
        raise UserError(f"{len(paths)} file: a comparison needs at least two results folders or CSV files of scores")
    _check_no_skill(no_skill, points)
    places = [Path(path) for path in paths]
    labels = _labels(places)
    first = _baseline(baseline, places, labels)
    files = [
        read_scores(path, label, column, points=points, no_skill=no_skill)
        for path, label in zip(places, labels, strict=True)
    ]
    if all(f.made_by_report for f in files) and (points or no_skill is not None):
        given = Argument("points", True) if points else Argument("no_skill", no_skill)
        raise UserError(given, ": is for files made elsewhere; these are a report's own, and say it themselves")
    base = files[labels.index(first)]
    frames, notes = matched(files, base)
    notes += file_notes.same_runs(files) + file_notes.same_bytes(files)
    notes += [f"{text}." for text in mixed_versions(text for f in files for text in f.versions)]
    together = pd.concat(frames, ignore_index=True)
    scores = _completed(together)
    streams = [f"seed_{s}" for s in STREAMS]
    known = scores[streams].notna().any(axis=1)
    if not known.all():  # known of a part of the runs only: they pair by the seed that each file names
        scores["pair"] = scores["pair"].mask(known, scores["seed"].astype(str))
        scores[streams] = float("nan")
    notes += _told_failures(scores, together["no_skill"].isna(), files)
    notes += file_notes.failure_definitions(scores, files) + file_notes.one_grade(scores)
    if no_skill is not None:
        notes += file_notes.assumed_no_skill(files, f"no_skill = {no_skill:g}")
    named = ", ".join(f'"{f.label}" ({f.path})' for f in files)
    facts = StudyFacts(
        name=" and ".join(labels) if len(labels) == 2 else f"{len(labels)} files of scores",
        baseline=first,
        arms={label: [] for label in (first, *(x for x in labels if x != first))},
        recipe={},
        varied="",
        fixed="",
        warnings=tuple(notes),
        origin=f"Scores were read from {named}; {ARMS}",
    )
    return Files(scores, first, facts)


def _check_no_skill(no_skill: float | None, points: bool) -> None:
    unit = 100 if points else 1
    if no_skill is None:
        return
    number("no_skill", no_skill, "must be a finite number", lambda score: True)
    if not -unit <= no_skill <= unit:
        hint = () if points else ("; for scores times 100, give ", Argument("points", True))
        allowed = f": must lie between -{unit} and {unit}, as the scores do"
        raise UserError(Argument("no_skill", no_skill), allowed, *hint)
    if points and 0 < abs(no_skill) < 1:
        in_points = (": with ", Argument("points", True), " it is in points too, for example 50")
        raise UserError(Argument("no_skill", no_skill), *in_points)


def _csv(path: Path) -> Path:
    return (path / "scores.csv" if path.is_dir() else path).resolve()


def _labels(paths: Sequence[Path]) -> list[str]:
    """Name each file by as much of the end of its path as tells it from the others."""
    parts, seen = [], set()
    for path in paths:
        try:
            file, whole = _csv(path), path.expanduser().absolute()
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
        if file in seen:
            raise UserError(f"{path}: is given twice; a comparison needs different files")
        seen.add(file)
        parts.append(whole.parent if whole.name == "scores.csv" else whole)
    names = [path.stem if path.suffix.lower() in (".csv", ".tsv", ".txt") else path.name or str(path) for path in parts]
    depth = 1
    while len(set(names)) < len(names) and depth < max(len(path.parts) for path in parts):
        depth += 1
        names = ["/".join(path.parts[-depth:]) for path in parts]
    return [printable(name) for name in names]


def _baseline(wanted: str | None, paths: Sequence[Path], labels: list[str]) -> str:
    if wanted is None:
        return labels[0]
    for path, label in zip(paths, labels, strict=True):
        if wanted in (label, str(path)) or Path(wanted).absolute() == path.absolute():
            return label
    raise UserError(Argument("baseline", wanted), f": must be one of {', '.join(labels)}{suggest(wanted, labels)}")


def _told_failures(scores: pd.DataFrame, lacked: pd.Series[bool], files: list[ScoreFile]) -> list[str]:
    """Mark failed runs where a file lacks no-skill scores that others have; say where nothing tells them.

    There `failed` is left without a value.
    """
    notes = []
    untold: dict[str, list[str]] = {}
    lacking = scores["failed"].isna()
    for f in files:
        if f.flagged:
            continue
        mine = scores["arm"] == f.label
        borrowed = mine & lacked & scores["no_skill"].notna()
        if borrowed.any():
            scores.loc[borrowed, "failed"] |= scores["score"] <= scores["no_skill"]
            notes.append(f"{f.label}: has no no-skill scores; those of the other files were taken for it.")
        nothing = mine & scores["no_skill"].isna()
        unknown = scores.loc[nothing, "task"]
        if len(unknown):
            lacking |= nothing & ~scores["failed"]
            untold.setdefault(", ".join(dict.fromkeys(unknown)), []).append(f.label)
    notes += [
        f"{' and '.join(labels)}, {tasks}: without a column failed or no-skill scores (no_skill) no run counts as "
        "failed, and an SD may hold failed runs."
        for tasks, labels in untold.items()
    ]
    scores["failed"] = scores["failed"].astype(object).mask(lacking, None)
    return notes


def _completed(scores: pd.DataFrame) -> pd.DataFrame:
    """Give each task one metric and one no-skill score, where some files name it and no two differ."""
    parts = []
    for task, part in scores.groupby(["encoder", "task"], sort=False):
        spelled = part[part["metric"] != ""]
        named = spelled.groupby(spelled["metric"].str.lower(), sort=False)[["metric", "arm"]].first()
        skills = part.dropna(subset=["no_skill"]).groupby("no_skill", sort=False)["arm"].first()
        if len(named) > 1:
            told = " and ".join(f"{metric} in {arm}" for metric, arm in named.to_numpy().tolist()[:2])
            raise UserError(f'task "{task[1]}": has the metric {told}; runs are compared under one metric')
        if len(skills) > 1:
            told = " and ".join(f"{value:g} in {arm}" for value, arm in list(skills.items())[:2])
            raise UserError(f'task "{task[1]}": has the no-skill score {told}; runs are compared on one test split')
        metric = named["metric"].iloc[0] if len(named) else "score"
        parts.append(part.assign(metric=metric, no_skill=skills.index[0] if len(skills) else float("nan")))
    return pd.concat(parts).sort_index()
