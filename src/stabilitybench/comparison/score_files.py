"""Scores of runs from files: the scores.csv of a report, or any CSV that has a column of scores."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from stabilitybench.comparison.score_table import SCORE_COLUMNS
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import Argument, UserError, shown, suggest
from stabilitybench.printing import printable
from stabilitybench.seeds import STREAMS
from stabilitybench.statuses import FINISHED, UNFINISHED

#: A table of scores beyond this is something else; 50 MB hold some 200,000 runs.
MAX_BYTES = 50_000_000
MAX_COLUMNS = 1_000
UNNAMED_TASK = "unnamed task"
#: Metrics that no constant prediction can lift above 0, as others spell them, perhaps behind "eval_".
NO_SKILL_0 = ("mcc", "matthews_correlation", "pearson", "pearsonr", "spearman", "spearmanr")
TRUE, FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ScoreFile(EqualByContent):
    """A table of runs as it was read.

    Attributes
    ----------
    path : Path
        The file itself.
    label : str
        A short name for people.
    scores : DataFrame
        One row per run with the columns of a report, and `pair`, the seed as a file made elsewhere has it; encoder,
        task, arm and metric are empty where the file does not name them.
    made_by_report : bool
        Whether it is a report's own scores.csv.
    flagged : bool
        Whether a column tells which runs failed; otherwise no-skill scores do, where there are any.
    marked : bool
        Whether that column is `failed`.
    assumed : tuple of str
        The tasks that took the no-skill score given by the caller.
    versions : tuple of str
        Of the code that made each finished run, where a report tells them.
    """

    path: Path
    label: str
    scores: pd.DataFrame
    made_by_report: bool
    flagged: bool
    marked: bool
    assumed: tuple[str, ...]
    versions: tuple[str, ...] = ()

    @property
    def knows_failures(self) -> bool:
        """Tell whether failed runs of any task can be told from others."""
        return self.flagged or bool(self.scores["no_skill"].notna().any())


def read_scores(
    path: Path, label: str, column: str | None = None, *, points: bool = False, no_skill: float | None = None
) -> ScoreFile:
    """Read a results folder (its scores.csv) or a CSV file, one row per run, with a line that names the columns.

    Used where present: encoder, task, arm, seed, metric, status, failed and constant (true or false), no_skill,
    seconds.  A run is failed if its score is not above the no-skill score, unless the file has a column `failed`, and
    if its score is undefined (empty or NaN): it then counts as the no-skill score.  A column `status` tells of all
    failed runs only if it calls some "failed".  Characters that command a terminal are written out.

    Parameters
    ----------
    path : Path
        The folder or file.
    label : str
        Names it for people.
    column : str, optional
        The column of scores; unset, "score".
    points : bool, default False
        Whether scores and no-skill scores of a file made elsewhere are times 100.
    no_skill : float, optional
        The best score of a constant prediction, in the unit of the scores, for a file made elsewhere that lacks it;
        correlations have 0.

    Returns
    -------
    ScoreFile
        Scores as fractions, and what the file itself tells of failures.

    Raises
    ------
    UserError
        One sentence that names file, line and column, for anything that is not such a table.
    """
    file = _file(path)
    table = _Table(file, _text(file))
    ours = set(SCORE_COLUMNS) <= set(table.columns) and column in (None, "score")
    score_column = table.need(column or "score")
    status = table.words("status", lambda: "ok", allowed=(*FINISHED, *UNFINISHED))
    ended = [s in FINISHED for s in status]
    metric = table.words("metric", lambda: "")
    for name in (score_column, *dict.fromkeys(metric)):
        if "loss" in re.split(r"[^a-z]+", name.lower()):
            raise UserError(f'{file}: "{name}" is a loss; scores must be "higher is better", as accuracy is')
    unit = 1.0 if ours or not points else 100.0
    own = _own_no_skills(table, metric, unit, points=points and not ours)
    default = math.nan if ours or no_skill is None else no_skill
    no_skills = [(default if math.isnan(value) else value) / unit for value in own]
    given = table.numbers(score_column, [e and math.isnan(s) for e, s in zip(ended, no_skills, strict=True)])
    _check_unit(table, score_column, given, unit, points=points and not ours)
    undefined = [e and math.isnan(value) for e, value in zip(ended, given, strict=True)]
    rows = zip(given, no_skills, undefined, strict=True)
    scores = [skill if lacking else value / unit for value, skill, lacking in rows]
    flags = _failed(table, status, scores, no_skills)
    failed = [e and (u or f) for e, u, f in zip(ended, undefined, flags, strict=True)]
    frame = pd.DataFrame(
        {
            "run_id": table.words("run_id", lambda: ""),
            "encoder": table.words("encoder", lambda: ""),
            "task": table.words("task", lambda: ""),
            "arm": table.words("arm", lambda: ""),
            "seed": _seeds(table),
            **dict.fromkeys((f"seed_{s}" for s in STREAMS), math.nan),
            "n_train": math.nan,
            "status": status,
            "metric": metric,
            "score": scores,
            **dict.fromkeys(("score_best", "validation", "validation_best"), math.nan),
            "no_skill": [skill if e else math.nan for skill, e in zip(no_skills, ended, strict=True)],
            "failed": failed,
            "near_no_skill": None,
            "constant": table.flags("constant") if "constant" in table.columns and not ours else None,
            "train_loss": math.nan,
            "seconds": table.numbers("seconds", [False] * len(ended)) if "seconds" in table.columns else math.nan,
            "device": None,
        }
    )
    if "seed" in table.columns:
        _check_twice(table, frame)
    named = "pair" if ours else "seed"  # the scores.csv of an earlier comparison keeps the seeds of its files
    if named in table.columns:
        frame["pair"] = [_as_number(text) if text else None for text in table.rows[named]]
    else:
        frame["pair"] = None
    if ours:
        _complete(table, frame)
    marked = "failed" in table.columns and any(e and t for e, t in zip(ended, table.rows["failed"], strict=True))
    unskilled = [e and math.isnan(value) for e, value in zip(ended, own, strict=True)]
    took = frame["task"][unskilled] if not marked and not math.isnan(default) else ()
    assumed = tuple(dict.fromkeys(task or UNNAMED_TASK for task in took))
    lines = [f"{label}:{line}" for line in table.lines]
    frame["run_id"] = [run or line for run, line in zip(frame["run_id"], lines, strict=True)]
    told = table.words("versions", lambda: "") if ours else []
    versions = tuple(text for text, e in zip(told, ended, strict=True) if e and text) if told else ()
    if sum(ended) < 2:
        raise UserError(f"{file}: {sum(ended)} finished run{'s' if sum(ended) != 1 else ''}; needs at least 2")
    return ScoreFile(
        file, label, frame[[*SCORE_COLUMNS, "pair"]], ours, marked or "failed" in status, marked, assumed, versions
    )


def _file(path: Path) -> Path:
    try:
        folder = path.is_dir()
        file = path / "scores.csv" if folder else path
        there = file.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason})") from None
    if not there:
        if folder:
            raise UserError(
                f"{path}: has no scores.csv; give a folder of results, or a CSV file with a column of scores"
            )
        raise UserError(f"{path}: there is no such file or folder")
    if not file.is_file():
        raise UserError(f"{file}: is not a file; give a folder of results, or a CSV file with a column of scores")
    return file


def _text(file: Path) -> str:
    """Return the text of a file, which nobody has vouched for."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UserError(f"{file}: is larger than a table of scores can be ({MAX_BYTES // 10**6} MB)")
        raw = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from None
    if not raw.strip():
        raise UserError(f"{file}: is empty; needs a line of column names and a line per run")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{file}: is not a text file in UTF-8; save it as CSV (comma separated)")
    return printable(text, keep="\n\r\t")


def _head(file: Path, text: str) -> tuple[list[str], str]:
    """Return the names of the columns, and the sign between them: the one of comma, semicolon and tab that splits."""
    line = text.partition("\n")[0]
    sign = max(",;\t", key=line.count)
    try:
        head = next(csv.reader(io.StringIO(text)), [])
        if len(head) <= 1 and sign != ",":
            return next(csv.reader(io.StringIO(text), delimiter=sign), []), sign
    except csv.Error as error:
        raise UserError(f"{file}: line 1 is not a line of column names: {error}") from None
    if len(head) > MAX_COLUMNS:
        raise UserError(f"{file}: line 1 names {len(head)} columns; a table of scores has at most {MAX_COLUMNS}")
    return head, ","


class _Table:
    """The text of a CSV file as columns of words; every mistake in it has a line."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        head, comma = _head(file, text.lstrip("\r\n"))
        self.columns = [name.strip() for name in head]
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        if twice:
            raise UserError(f'{file}: line 1: column "{twice[0]}" stands twice; every column needs a name of its own')
        try:
            frame = pd.read_csv(
                io.StringIO(text), sep=comma, header=None, names=range(len(head)), dtype=str, keep_default_na=False,
                skip_blank_lines=False, skipinitialspace=True, index_col=False, na_filter=False,
            )  # fmt: skip
        except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError) as error:
            reason = str(error).removeprefix("Error tokenizing data. C error: ").strip().rstrip(".")
            raise UserError(f"{file}: is not a CSV table: {reason}") from None
        rows = frame.apply(lambda values: values.str.strip())
        filled = rows.ne("").any(axis=1)
        head_row = int(filled.to_numpy().argmax())
        kept = filled & (rows.index > head_row)
        self.rows = rows[kept].reset_index(drop=True).set_axis(self.columns, axis=1)
        self.lines = [int(i) + 1 for i in rows.index[kept]]
        if self.rows.empty:
            raise UserError(f"{file}: has column names and no run; needs a line per run")

    def need(self, column: str) -> str:
        if column in self.columns:
            return column
        others = ", ".join(shown(c, 40) for c in self.columns[:12]) + (", ..." if len(self.columns) > 12 else "")
        say = ("; ", Argument("column"), " takes another") if column == "score" else ()
        hint = suggest(column, self.columns)
        raise UserError(f'{self.file}: no column "{column}"; line 1 names {others}', *say, hint)

    def words(self, column: str, default: Callable[[], str], allowed: tuple[str, ...] = ()) -> list[str]:
        if column not in self.columns:
            return [default()] * len(self.rows)
        values = self.rows[column].tolist()
        for line, value in zip(self.lines, values, strict=True):
            if allowed and value not in allowed:
                raise UserError(f"{self.at(line, column)} {shown(value, 60)}: must be one of {', '.join(allowed)}")
        return [str(value) for value in values]

    def numbers(self, column: str, required: list[bool]) -> list[float]:
        """Return finite numbers; NaN where a cell is empty that need not hold one."""
        found = []
        for line, text, needed in zip(self.lines, self.rows[column], required, strict=True):
            if text.lower() in ("", "nan", "na", "none", "null"):
                if needed:
                    raise UserError(
                        f"{self.at(line, column)} {shown(text, 60) if text else 'empty'}: every finished run needs a "
                        "score, or a no-skill score (",
                        Argument("no_skill"),
                        "), as which an undefined metric counts",
                    )
                found.append(math.nan)
                continue
            try:
                value = float(text) if "_" not in text else math.nan
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise UserError(f"{self.at(line, column)} {shown(text, 60)}: must be a number such as 0.713")
            found.append(value)
        return found

    def flags(self, column: str) -> list[bool]:
        for line, text in zip(self.lines, self.rows[column], strict=True):
            if text.lower() not in (*TRUE, *FALSE):
                raise UserError(f"{self.at(line, column)} {shown(text, 60)}: must be true or false")
        return [text.lower() in TRUE for text in self.rows[column]]

    def at(self, line: int, column: str) -> str:
        return f'{self.file}: line {line}, column "{column}":'


def _check_unit(table: _Table, column: str, scores: list[float], unit: float, *, points: bool) -> None:
    """Refuse scores that are not in the unit said: points taken for fractions would spoil every sentence printed."""
    for line, value in zip(table.lines, scores, strict=True):
        if abs(value) > unit:
            at = f"{table.at(line, column)} {value:g}:"
            if points:
                raise UserError(f"{at} scores in points lie between -100 and 100")
            wrong = f"{at} scores are fractions between -1 and 1; for scores times 100, give "
            raise UserError(wrong, Argument("points", True))
    if points and any(scores) and all(not abs(value) > 1 for value in scores):
        raise UserError(
            f'{table.file}: column "{column}": no score is above 1, so these look like fractions; ',
            Argument("points", True),
            " is for scores times 100 and holds for all files made elsewhere",
        )


def _own_no_skills(table: _Table, metric: list[str], unit: float, *, points: bool) -> list[float]:
    """Return the no-skill score that a file knows of each run, in its own unit: told, 0 for a correlation, else NaN."""
    own = table.numbers("no_skill", [False] * len(metric)) if "no_skill" in table.columns else [math.nan] * len(metric)
    for line, value in zip(table.lines, own, strict=True):
        if abs(value) > unit or (points and 0 < abs(value) < 1):
            hint = ("; with ", Argument("points", True), " it is in points too, for example 50") if points else ()
            raise UserError(
                f"{table.at(line, 'no_skill')} {value:g}: must lie between -{unit:g} and {unit:g}, as the scores do",
                *hint,
            )
    return [
        0.0 if math.isnan(value) and name.lower().endswith(NO_SKILL_0) else value
        for value, name in zip(own, metric, strict=True)
    ]


def _failed(table: _Table, status: list[str], scores: list[float], no_skill: list[float]) -> list[bool]:
    """Return which runs failed: what the file says, or what scores and no-skill scores tell."""
    if "failed" not in table.columns:
        return [how != "ok" or value <= skill for how, value, skill in zip(status, scores, no_skill, strict=True)]
    return table.flags("failed")


def _as_number(seed: str) -> str:
    """Return how a whole number is written without zeros to spare: 7 for 07 and for 7.0, as other tools write it."""
    found = re.fullmatch(r"\+?0*([0-9]+?)(\.0*)?", seed)
    return found[1] if found else seed


def _seeds(table: _Table) -> list[int]:
    """Return the seeds where all are whole numbers, else the places of the runs in the file."""
    seeds = table.rows["seed"].tolist() if "seed" in table.columns else [""]
    if all(text.isascii() and text.isdigit() and len(text) < 16 for text in seeds):
        return [int(text) for text in seeds]
    return list(range(len(table.rows)))


def _check_twice(table: _Table, frame: pd.DataFrame) -> None:
    """Refuse two rows of one seed of one arm; a file without seeds may hold equal scores."""
    keys = frame[["encoder", "task", "arm"]].assign(seed=table.rows["seed"].map(_as_number))
    again = keys.duplicated()
    if again.any():
        place = int(again.to_numpy().argmax())
        seen = (keys == keys.iloc[place]).all(axis=1)
        first = int(seen.to_numpy().argmax())
        raise UserError(
            f"{table.file}: lines {table.lines[first]} and {table.lines[place]} are the same run (seed "
            f"{shown(keys['seed'].iloc[place], 40)} of one arm and task); every run is one line"
        )


def _complete(table: _Table, frame: pd.DataFrame) -> None:
    """Fill in what only a report's own file has."""
    anything = [False] * len(frame)
    for column in ("score_best", "validation", "validation_best", "train_loss", "seconds", "n_train"):
        frame[column] = table.numbers(column, anything)
    for stream in STREAMS:
        frame[f"seed_{stream}"] = table.numbers(f"seed_{stream}", anything)
    for column in ("near_no_skill", "constant"):
        frame[column] = [text.lower() in TRUE for text in table.rows[column]]
    frame["device"] = [text or None for text in table.rows["device"]]
