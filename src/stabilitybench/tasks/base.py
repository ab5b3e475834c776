"""What a task is: labelled text with a train, validation and test split, metrics, and a no-skill score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import choice, generator, of_kind, several, text, whole
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError

Kind = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Split(EqualByContent):
    """Rows of text with labels.

    Attributes
    ----------
    ids : tuple of str, length n
        Names of the rows, unique within the task.
    first : tuple of str, length n
        The text of each row, or the first one of a pair.
    second : tuple of str, length n, or None
        The second texts; None for single sentences.
    labels : numpy.ndarray, shape (n,)
        int64 class indices, or float64 scores under regression.
    """

    ids: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...] | None
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    def __hash__(self) -> int:
        return hash((self.ids, self.first, self.second))

    def take(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> Split:
        """Return some of the rows, in the order given.

        Parameters
        ----------
        rows : sequence of int
            Row numbers from 0; repetitions are allowed.

        Returns
        -------
        Split
            A row for each number.
        """
        index = [int(r) for r in rows]
        return Split(
            ids=tuple(self.ids[i] for i in index),
            first=tuple(self.first[i] for i in index),
            second=None if self.second is None else tuple(self.second[i] for i in index),
            labels=self.labels[np.asarray(index, dtype=np.intp)],
        )

    def update(self, digest: hashlib._Hash) -> None:
        """Feed every row to a digest; lengths are fed too, so that no two contents collide by joining.

        Parameters
        ----------
        digest : hashlib object
            The running hash, changed in place.
        """
        second = self.second if self.second is not None else ("",) * len(self)
        for row, a, b, label in zip(self.ids, self.first, second, self.labels.tolist(), strict=True):
            for part in (row, a, b, repr(label)):
                raw = part.encode()
                digest.update(len(raw).to_bytes(8, "little"))
                digest.update(raw)


@dataclass(frozen=True)
class Task:
    """Labelled text with splits and metrics.

    Attributes
    ----------
    name : str
        The name it is loaded by.
    kind : {"classification", "regression"}
        What its labels are.
    classes : tuple of str
        Class names, in the order of the label indices; empty under regression.
    metrics : tuple of str
        Names of its metrics (see `stabilitybench.tasks.metrics`), the headline first.
    train : Split
        What runs are trained on.
    validation : Split
        What chooses.
    test : Split
        What reports.
    notes : tuple of str
        What a reader should know of this data (source, repairs, truncations), one sentence each.
    """

    __array_ufunc__: ClassVar[None] = None  # an array does not compare its items with this one by one
    name: str
    kind: Kind
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        text("name", self.name)
        choice("kind", self.kind, get_args(Kind))
        for name, words in (("classes", self.classes), ("metrics", self.metrics), ("notes", self.notes)):
            several(name, words, "texts", str)
        for name, split in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            of_kind(name, split, "a Split", Split)

    @property
    def outputs(self) -> int:
        """Width of the head: the number of classes, or 1 under regression."""
        return len(self.classes) if self.kind == "classification" else 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything in the task that can change a number: rows, labels, classes, metrics."""
        digest = hashlib.sha256(repr((self.kind, self.classes, self.metrics)).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(len(split).to_bytes(8, "little"))
            digest.update(b"pair" if split.second is not None else b"single")
            split.update(digest)
        return digest.hexdigest()

    def subsample(self, n: int, rng: np.random.Generator) -> Task:
        """Draw a smaller training set; the other splits stay whole.

        The class ratio is kept (largest remainder), and at least one row of every class.

        Parameters
        ----------
        n : int
            Training rows to keep, in [1, all of them] and at least one per class.
        rng : numpy.random.Generator
            Draws the rows.

        Returns
        -------
        Task
            The same task with `n` training rows, in their old order.

        Raises
        ------
        UserError
            When `n` exceeds the training rows or is smaller than the number of classes.
        """
        total = len(self.train)
        try:
            n = whole("n", n, f"must lie in [1, {total}], its number of training rows", lambda rows: 1 <= rows <= total)
        except UserError as error:
            raise error.within(f'task "{self.name}"') from None
        generator("rng", rng)
        if self.kind == "regression":
            return replace(self, train=self.train.take(np.sort(rng.permutation(total)[:n])))
        if n < len(self.classes):
            raise UserError(f'task "{self.name}": n = {n}: must be at least {len(self.classes)}, its number of classes')
        labels = np.asarray(self.train.labels)
        counts = np.bincount(labels, minlength=len(self.classes))
        exact = counts * (n / total)
        keep = np.maximum(np.floor(exact).astype(int), np.minimum(counts, 1))
        for c in np.argsort(keep - exact, kind="stable"):
            if keep.sum() < n and keep[c] < counts[c]:
                keep[c] += 1
        while keep.sum() > n:  # rare classes were rounded up to one row, which they keep
            keep[np.argmax(np.where(keep > 1, keep - exact, -np.inf))] -= 1
        rows = [rng.permutation(np.flatnonzero(labels == c))[: keep[c]] for c in range(len(self.classes))]
        return replace(self, train=self.train.take(np.sort(np.concatenate(rows))))
