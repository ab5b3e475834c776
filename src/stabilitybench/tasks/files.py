"""Tasks from a folder of files: train and dev, and test if it is labelled.

GLUE's own raw files are recognised; other files name their columns in a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.labels import class_name, class_order, is_blank, is_fraction, score
from stabilitybench.tasks.base import Kind, Split, Task
from stabilitybench.tasks.metrics import with_headline
from stabilitybench.tasks.reading import COLA_HEADER, QQP_HEADER, READERS, RawTable, quote, read_table
from stabilitybench.tasks.splits import split_dev

Part = Literal["train", "dev", "test"]

#: Names that a file of each part may have, before its suffix.
STEMS: dict[Part, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val", "dev_matched", "validation_matched"),
    "test": ("test",),
}
PAIRS: tuple[tuple[str, ...], ...] = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("question", "passage"),
    ("text1", "text2"),
    ("#1 string", "#2 string"),
)
SINGLES: tuple[tuple[str, ...], ...] = (("sentence",), ("text",))
LABELS = ("label", "labels", "gold_label", "score", "is_duplicate", "class", "quality")
#: Classes whose customary order is not the alphabet's.


def load_folder(path: str | Path, *, metric: str | None = None) -> Task:
    """Load the task in a folder.

    Without a labelled test file the dev set is split in halves (`stabilitybench.tasks.splits`).

    Parameters
    ----------
    path : str or Path
        Holds train, dev (or validation, valid, val, dev_matched) and optionally test, each as .tsv, .csv, .jsonl or
        .parquet. TSV is read with quoting off. Text stands in ``sentence`` or ``text``, pairs in
        ``sentence1``/``sentence2``, ``premise``/``hypothesis`` and so on; the label in ``label``, ``gold_label``,
        ``is_duplicate`` or ``class``. A column ``score`` of numbers makes a regression task.
    metric : str, optional
        The headline, instead of the layout's own (CoLA mcc, MRPC f1, other classes accuracy, scores spearman).

    Returns
    -------
    Task
        Named ``file:`` and the path as given; repairs are told in its notes.

    Raises
    ------
    UserError
        One sentence with file and line, for anything that is not such a task.
    """
    folder = _folder(path)
    notes = [f"read from {folder}"]
    train = _columns(read_table(_require(folder, "train"))).without_broken_rows(notes)
    dev = _columns(read_table(_require(folder, "dev"))).without_broken_rows(notes)
    test_file = _find(folder, "test")
    test = None if test_file is None else _columns(read_table(test_file), labelled=False)
    kind: Kind = "regression" if train.label == "score" else "classification"
    classes = () if kind == "regression" else _classes(train)
    if test is not None and _unlabelled(test, classes):
        notes.append(f"{test.table.path} has no labels and was not used")
        test = None
    rows = _split("train", train, kind, classes)
    for other in (dev, test) if test is not None else (dev,):
        _same_layout(train, other)
    validation = _split("dev", dev, kind, classes)
    if test is not None:
        held_out = _split("test", test.without_broken_rows(notes), kind, classes)
    else:
        validation, held_out = split_dev(validation, kind)
        _check_halves(dev.table.path, validation, kind)
        notes.append(f"the dev set was split once: {len(validation)} rows validate, {len(held_out)} test")
    if "-1" in classes:
        notes.append("label -1 is read as a class; if it marks unlabelled rows, remove them")

    task = Task(
        name=f"file:{path}",
        kind=kind,
        classes=classes,
        metrics=_metrics(train, kind),
        train=rows,
        validation=validation,
        test=held_out,
        notes=tuple(notes),
    )
    return task if metric is None else with_headline(task, metric)


def _folder(path: str | Path) -> Path:
    needs = "file:DIR needs a folder with train and dev files"
    try:
        folder = Path(path).expanduser()
        exists = folder.exists()
    except (OSError, RuntimeError):  # a name too long for the file system; the home of an unknown user
        folder, exists = Path(path), False
    if not exists or not str(path).strip():
        raise UserError(f"file:{str(path)[:200]}: no such folder; {needs}")
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; {needs}")
    return folder


def _require(folder: Path, part: Part) -> Path:
    file = _find(folder, part)
    if file is None:
        there = ", ".join(sorted(f.name for f in folder.iterdir())[:5]) or "nothing"
        names = " or ".join(STEMS[part][:2])
        raise UserError(f"{folder}: no {part} file; needs {names} with {', '.join(READERS)}; found {there}")
    return file


def _find(folder: Path, part: Part) -> Path | None:
    """Return the one file of a part, or None."""
    candidates = [folder / f"{stem}{suffix}" for stem in STEMS[part] for suffix in READERS]
    found = [file for file in candidates if file.is_symlink() or file.exists()]
    if not found:
        return None
    if len(found) > 1:
        raise UserError(f"{folder}: {found[0].name} and {found[1].name} could both be the {part} file; keep one")
    file = found[0]
    try:
        inside = file.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link to nowhere, or in circles
        inside = False
    if not inside:
        raise UserError(f"{file}: not a file inside its folder, or a broken link; copy the file into the folder")
    if not file.is_file():
        raise UserError(f"{file}: not a file; must be a table of labelled rows")
    return file


@dataclass(frozen=True)
class _Columns:
    """A table with the names of its text columns and its label column (None in an unlabelled test file)."""

    table: RawTable
    texts: tuple[str, ...]
    label: str | None

    def values(self, name: str) -> list[Any]:
        at = self.table.header.index(name)
        return [row[at] for row in self.table.rows]

    def without_broken_rows(self, notes: list[str]) -> _Columns:
        """Leave out what the released files are known to contain: QQP's broken rows, annotators' ties."""
        table = self.table
        if table.header == QQP_HEADER:
            good = [all(cell.strip() for cell in row) for row in table.rows]
        elif self.label == "gold_label":
            good = [value != "-" for value in self.values("gold_label")]
        else:
            return self
        if not all(good):
            notes.append(f"{table.path}: {good.count(False)} rows without a text or an agreed label were left out")
        rows = [row for row, ok in zip(table.rows, good, strict=True) if ok]
        lines = [line for line, ok in zip(table.lines, good, strict=True) if ok]
        return _Columns(RawTable(table.path, table.header, rows, lines, table.unit), self.texts, self.label)


def _columns(table: RawTable, *, labelled: bool = True) -> _Columns:
    """Find the text columns and the label column by name."""
    header = set(table.header)
    texts = [names for names in PAIRS if header.issuperset(names)]
    texts = texts or [names for names in SINGLES if header.issuperset(names)]
    labels = [name for name in LABELS if name in header]
    known = {name for names in (*PAIRS, *SINGLES, LABELS) for name in names}
    found = ", ".join(quote(name) for name in table.header[:6])
    if not header & known:
        at = "" if table.unit == "row" else "line 1: "
        hint = "are no column names known here, such as sentence and label"
        raise UserError(f"{table.path}: {at}no header; {found} {hint}")
    if not texts:
        expected = ", ".join("/".join(names) for names in (*SINGLES, *PAIRS))
        raise UserError(f"{table.path}: no text column among {found}; expected one of {expected}")
    if labelled and not labels:
        raise UserError(f"{table.path}: no label column among {found}; expected one of {', '.join(LABELS)}")
    if len(texts) > 1 or len(labels) > 1:
        both = ["/".join(names) for names in texts] if len(texts) > 1 else labels
        what = "text" if len(texts) > 1 else "label"
        raise UserError(f"{table.path}: {both[0]} and {both[1]} could both be the {what}; keep one")
    if not table.rows:
        raise UserError(f"{table.path}: a header but no rows; the file must hold labelled rows")
    return _Columns(table, texts[0], labels[0] if labels else None)


def _same_layout(train: _Columns, other: _Columns) -> None:
    for mine, theirs in ((train.texts, other.texts), ((train.label,), (other.label,))):
        if mine != theirs:
            raise UserError(
                f"{other.table.path}: columns {'/'.join(map(str, theirs))} differ from "
                f"{'/'.join(map(str, mine))} of {train.table.path}; all files must have the same columns"
            )


def _classes(train: _Columns) -> tuple[str, ...]:
    assert train.label is not None
    return class_order({class_name(value) for value in train.values(train.label)} - {"", "-"})


def _unlabelled(test: _Columns, classes: tuple[str, ...]) -> bool:
    if test.label is None:
        return True
    names = {class_name(value) for value in test.values(test.label)}
    return names == {""} or (names == {"-1"} and "-1" not in classes)


def _split(part: Part, columns: _Columns, kind: Kind, classes: tuple[str, ...]) -> Split:
    assert columns.label is not None
    texts = [_texts(columns, name) for name in columns.texts]
    if "word" in columns.table.header and columns.texts == ("sentence1", "sentence2"):
        words = _texts(columns, "word")  # Word in Context: the word whose two uses are compared
        texts[0] = [f"{word}: {text}" for word, text in zip(words, texts[0], strict=True)]
    labels = _scores(columns) if kind == "regression" else _indices(columns, classes)
    return Split(
        ids=tuple(f"{part}-{row}" for row in range(len(labels))),
        first=tuple(texts[0]),
        second=tuple(texts[1]) if len(texts) == 2 else None,
        labels=labels,
    )


def _texts(columns: _Columns, name: str) -> list[str]:
    values = columns.values(name)
    for row, value in enumerate(values):
        where = columns.table.where(row)
        if is_blank(value):
            raise UserError(f"{where}: {name} is empty; every row needs a text")
        if not isinstance(value, str):
            raise UserError(f"{where}: {name} = {quote(value)}: must be text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{where}: {name} holds half of a character pair; must be valid Unicode") from error
    return values


def _indices(columns: _Columns, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    assert columns.label is not None
    index = {name: k for k, name in enumerate(classes)}
    values = columns.values(columns.label)
    names = [class_name(value) for value in values]
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        where = columns.table.where(row)
        if not name:
            raise UserError(f"{where}: {columns.label} is empty; every row needs a label")
        if not isinstance(value, (str, int, float)):
            raise UserError(f"{where}: {columns.label} = {quote(value)}: must be a class name or number")
        if is_fraction(name):
            raise UserError(
                f"{where}: {columns.label} = {quote(name)}: not a class; for regression name the column score"
            )
        if name not in index:
            raise UserError(
                f"{where}: {columns.label} = {quote(name)}: unseen in the train file, whose classes are "
                f"{', '.join(map(quote, classes[:8]))}"
            )
    if len(set(names)) == 1:
        raise UserError(
            f"{columns.table.path}: all {len(names)} labels are {quote(names[0])}; needs at least two classes"
        )
    return np.array([index[name] for name in names], dtype=np.int64)


def _scores(columns: _Columns) -> npt.NDArray[np.float64]:
    scores = []
    for row, value in enumerate(columns.values("score")):
        where = columns.table.where(row)
        if is_blank(value):
            raise UserError(f"{where}: score is empty; every row needs a score")
        number = score(value)
        if number is None:
            raise UserError(f"{where}: score = {quote(value)}: must be a finite number")
        scores.append(number)
    if len(set(scores)) == 1:
        raise UserError(f"{columns.table.path}: all {len(scores)} scores are {scores[0]:g}; they must differ")
    return np.array(scores, dtype=np.float64)


def _check_halves(path: str, validation: Split, kind: Kind) -> None:
    if len(np.unique(validation.labels)) < 2:
        needs = "four different scores" if kind == "regression" else "two rows in each of two classes"
        raise UserError(f"{path}: too few rows to split in halves; needs {needs}, or a labelled test file beside it")


def _metrics(train: _Columns, kind: Kind) -> tuple[str, ...]:
    """Return the metrics of GLUE for its own layouts, accuracy for other classes."""
    if kind == "regression":
        return ("spearman", "pearson")
    if train.table.header == COLA_HEADER:
        return ("mcc", "accuracy")
    if train.label == "quality":
        return ("f1", "accuracy")
    if train.table.header == QQP_HEADER:
        return ("accuracy", "f1")
    return ("accuracy",)
