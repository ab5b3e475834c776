"""What a task holds, before hours are spent on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stabilitybench.tasks.base import Split, Task
from stabilitybench.tasks.metrics import METRICS

#: Examples shown of each kind of duplicate.
EXAMPLES = 3


@dataclass(frozen=True)
class Lengths:
    """Lengths of the rows of a split, both texts of a pair together.

    Attributes
    ----------
    median : float
        Median over the rows, in words or tokens.
    percentile_95 : float
        Length that 95 % of the rows do not exceed.
    maximum : int
        Length of the longest row.
    """

    median: float
    percentile_95: float
    maximum: int


@dataclass(frozen=True)
class SplitReport:
    """What one split holds.

    Attributes
    ----------
    name : str
        "train", "validation" or "test".
    rows : int
        How many rows it has.
    classes : dict of str to int
        Rows of each class, in the order of the task; empty under regression.
    scores : tuple of (float, float, float) or None
        Lowest, mean and highest label under regression, else None.
    lengths : Lengths
        How long its texts are.
    no_skill : float
        Best score of a constant prediction under the headline metric.
    """

    name: str
    rows: int
    classes: dict[str, int]
    scores: tuple[float, float, float] | None
    lengths: Lengths
    no_skill: float


@dataclass(frozen=True)
class Duplicates:
    """Rows of one split whose text stands in another, too.

    Attributes
    ----------
    left : str
        The split where the texts stand first.
    right : str
        The split that repeats them; the same one for repetitions within it.
    rows : int
        How many rows of `right` are repetitions.
    conflicting : int
        How many of them carry another label.
    examples : tuple of str
        A few of the texts.
    """

    left: str
    right: str
    rows: int
    conflicting: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class TaskReport:
    """A task at a glance.

    Attributes
    ----------
    name : str
        Name of the task.
    kind : {"classification", "regression"}
        What its labels are.
    headline : str
        Its first metric.
    fingerprint : str
        SHA-256 of what in the task can change a number.
    unit : {"words", "tokens"}
        What lengths count.
    splits : tuple of SplitReport
        Training, validation and test split.
    duplicates : tuple of Duplicates
        Pairs of splits that share texts; others are left out.
    notes : tuple of str
        The task's own notes.
    """

    name: str
    kind: str
    headline: str
    fingerprint: str
    unit: str
    splits: tuple[SplitReport, ...]
    duplicates: tuple[Duplicates, ...]
    notes: tuple[str, ...]


def inspect_task(task: Task, *, count_tokens: Callable[[str, str | None], int] | None = None) -> TaskReport:
    """Count rows, classes, lengths, duplicates, and the score that no skill reaches.

    Texts are duplicates if they are equal after folding white space; pairs must agree in both texts.

    Parameters
    ----------
    task : Task
        What is looked at.
    count_tokens : callable, optional
        Gives the length of a row's one or two texts (the second may be None) in a tokenizer's tokens; without it words
        are counted.

    Returns
    -------
    TaskReport
        What was found.

    Examples
    --------
    >>> from stabilitybench.tasks import load_task
    >>> report = inspect_task(load_task("pocket/sentiment"))
    >>> report.splits[0].classes, report.splits[0].no_skill, report.duplicates
    ({'negative': 160, 'positive': 160}, 0.5, ())
    """
    named = {"train": task.train, "validation": task.validation, "test": task.test}
    texts = {name: _texts(split) for name, split in named.items()}
    pairs = [("train", "train"), ("train", "validation"), ("train", "test"), ("validation", "test")]
    duplicates = [
        _duplicates(a, b, texts[a], texts[b], named[a].labels.tolist(), named[b].labels.tolist()) for a, b in pairs
    ]
    return TaskReport(
        name=task.name,
        kind=task.kind,
        headline=task.metrics[0],
        fingerprint=task.fingerprint,
        unit="words" if count_tokens is None else "tokens",
        splits=tuple(_report(task, name, split, count_tokens or _words) for name, split in named.items()),
        duplicates=tuple(found for found in duplicates if found.rows),
        notes=task.notes,
    )


def _words(first: str, second: str | None) -> int:
    return len(first.split()) + (0 if second is None else len(second.split()))


def _report(task: Task, name: str, split: Split, count: Callable[[str, str | None], int]) -> SplitReport:
    second = split.second if split.second is not None else (None,) * len(split)
    lengths = np.array([count(a, b) for a, b in zip(split.first, second, strict=True)])
    labels = np.asarray(split.labels)
    regression = task.kind == "regression"
    return SplitReport(
        name=name,
        rows=len(split),
        classes={c: int(np.count_nonzero(labels == k)) for k, c in enumerate(task.classes)},
        scores=(float(labels.min()), float(labels.mean()), float(labels.max())) if regression else None,
        lengths=Lengths(float(np.median(lengths)), float(np.percentile(lengths, 95)), int(lengths.max())),
        no_skill=METRICS[task.metrics[0]].no_skill(labels),
    )


def _texts(split: Split) -> list[tuple[str, ...]]:
    columns = (split.first,) if split.second is None else (split.first, split.second)
    return [tuple(" ".join(text.split()) for text in row) for row in zip(*columns, strict=True)]


def _duplicates(
    left: str,
    right: str,
    left_texts: list[tuple[str, ...]],
    right_texts: list[tuple[str, ...]],
    left_labels: list[float],
    right_labels: list[float],
) -> Duplicates:
    first_label: dict[tuple[str, ...], float] = {}
    for text, label in zip(left_texts, left_labels, strict=True):
        first_label.setdefault(text, label)
    seen: Counter[tuple[str, ...]] = Counter()
    repeated = []
    for text, label in zip(right_texts, right_labels, strict=True):
        seen[text] += 1
        if text in first_label and (left != right or seen[text] > 1):
            repeated.append((text, label))
    return Duplicates(
        left=left,
        right=right,
        rows=len(repeated),
        conflicting=sum(label != first_label[text] for text, label in repeated),
        examples=tuple(" | ".join(text) for text in dict(repeated))[:EXAMPLES],
    )
