"""The pocket tasks: labelled text in the generated language, made on the fly from a fixed seed.

They imitate the *shapes* of GLUE's tasks (single sentences and pairs, classification and regression) at a size that
a laptop trains in seconds.  They are not GLUE.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, suggest
from stabilitybench.language.grammar import Meaning, realise, text
from stabilitybench.language.relations import (
    change,
    contradict,
    entails,
    paraphrase,
    similarity,
    strengthen,
    swap_roles,
    weaken,
)
from stabilitybench.language.sampler import Dice
from stabilitybench.language.sampling import join, sample_clause, sample_meaning
from stabilitybench.language.violations import violate
from stabilitybench.tasks.base import Split, Task

#: Seed of all pocket data; changing it would change every number recorded with them.
DATA_SEED = 20_210_401
SIZES = {"train": 320, "validation": 250, "test": 250}

Row = tuple[str, str | None]


@dataclass(frozen=True)
class _Recipe:
    """How to make a task: `make(label, dice)` draws a row of the class `label` (classification only)."""

    line: str
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    make: Callable[[int, Dice], Row]


def load_pocket(name: str) -> Task:
    """Return a pocket task: 320 training, 250 validation and 250 test rows, no row twice, classes of equal size.

    Parameters
    ----------
    name : str
        A key of `POCKET_TASKS`.

    Returns
    -------
    Task
        Always the same for the same name.

    Raises
    ------
    UserError
        For an unknown name.

    Examples
    --------
    >>> task = load_pocket("pocket/sentiment")
    >>> len(task.train), task.classes, task.metrics
    (320, ('negative', 'positive'), ('accuracy',))
    """
    if name != _SIMILARITY and name not in _RECIPES:
        known = sorted(POCKET_TASKS)
        raise UserError(f'task "{name}": not a pocket task{suggest(name, known)}; there are {", ".join(known)}')
    return _load(name)


@lru_cache
def _load(name: str) -> Task:
    dice = Dice(np.random.default_rng([DATA_SEED, zlib.crc32(name.encode())]))
    seen: set[Row] = set()
    make = _similarity_split if name == _SIMILARITY else _class_split
    splits = {split: make(name, split, size, dice, seen) for split, size in SIZES.items()}
    note = "generated text in the pocket language, not natural language"
    if name == _SIMILARITY:
        return Task(name, "regression", (), ("spearman",), **splits, notes=(note,))
    recipe = _RECIPES[name]
    return Task(name, "classification", recipe.classes, recipe.metrics, **splits, notes=(note,))


def _class_split(name: str, split: str, size: int, dice: Dice, seen: set[Row]) -> Split:
    recipe = _RECIPES[name]
    labels = np.arange(size) % len(recipe.classes)
    rows: list[Row] = []
    for label in labels.tolist():
        row = recipe.make(label, dice)
        while row in seen:
            row = recipe.make(label, dice)
        seen.add(row)
        rows.append(row)
    order = sorted(range(size), key=[dice.unit() for _ in range(size)].__getitem__)
    return _split(split, [rows[i] for i in order], labels[order])


def _split(split: str, rows: list[Row], labels: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Split:
    paired = rows[0][1] is not None
    return Split(
        ids=tuple(f"{split}-{i}" for i in range(len(rows))),
        first=tuple(first for first, _ in rows),
        second=tuple(second or "" for _, second in rows) if paired else None,
        labels=labels,
    )


def _acceptability(label: int, dice: Dice) -> Row:
    tokens = realise(sample_meaning(dice), dice)
    return text(tokens if label else violate(tokens, dice)), None


def _sentiment(label: int, dice: Dice) -> Row:
    clause = sample_clause(dice, 1 if label else -1)
    meaning = join(clause, dice, contrast=False) if dice.chance(0.2) else Meaning((clause,))
    return text(realise(meaning, dice)), None


def _paraphrase(label: int, dice: Dice) -> Row:
    meaning = sample_meaning(dice, 0.0)
    said = realise(meaning, dice)
    if label:
        return text(said), text(paraphrase(meaning, said, dice))
    return text(said), text(realise(_different(meaning, dice), dice))


def _different(meaning: Meaning, dice: Dice) -> Meaning:
    draw = dice.unit()
    if draw < 0.25:
        return contradict(meaning, dice)
    swapped = swap_roles(meaning) if draw < 0.45 else None
    return swapped or change(meaning, dice)


def _entailment(label: int, dice: Dice) -> Row:
    while True:
        meaning = sample_meaning(dice, 0.0)
        weaker = weaken(meaning, dice)
        if weaker is None:
            continue
        premise, claim = (meaning, weaker) if label == 0 else _not_entailed(meaning, weaker, dice)
        if entails(premise, claim) == (label == 0):  # a change may lead back to where it started
            return text(realise(premise, dice)), text(realise(claim, dice))


def _not_entailed(meaning: Meaning, weaker: Meaning, dice: Dice) -> tuple[Meaning, Meaning]:
    draw = dice.unit()
    if draw < 0.3:
        return weaker, meaning
    return meaning, contradict(weaker, dice) if draw < 0.6 else change(weaker, dice)


def _similarity_row(dice: Dice) -> tuple[Row, float]:
    first = sample_meaning(dice, 0.0)
    second = first
    for _ in range(dice.below(5)):
        draw = dice.unit()
        if draw < 0.6:
            second = change(second, dice)
        elif draw < 0.75:
            second = contradict(second, dice)
        elif draw < 0.9:
            second = strengthen(second, dice)
        else:
            second = sample_meaning(dice, 0.0)
    said = realise(first, dice)
    again = paraphrase(first, said, dice) if second == first else realise(second, dice)
    return (text(said), text(again)), similarity(first, second)


def _similarity_split(name: str, split: str, size: int, dice: Dice, seen: set[Row]) -> Split:
    rows: list[Row] = []
    scores: list[float] = []
    while len(rows) < size:
        row, score = _similarity_row(dice)
        if row not in seen:
            seen.add(row)
            rows.append(row)
            scores.append(round(score, 2))
    return _split(split, rows, np.asarray(scores))


_SIMILARITY = "pocket/similarity"
_RECIPES = {
    "pocket/acceptability": _Recipe(
        "single sentences: does the grammar allow this one?",
        ("unacceptable", "acceptable"),
        ("mcc", "accuracy"),
        _acceptability,
    ),
    "pocket/sentiment": _Recipe(
        "single sentences: is something good or something bad said?",
        ("negative", "positive"),
        ("accuracy",),
        _sentiment,
    ),
    "pocket/paraphrase": _Recipe(
        "pairs: do both sentences mean the same?", ("different", "same"), ("f1", "accuracy"), _paraphrase
    ),
    "pocket/entailment": _Recipe(
        "pairs: does the second follow from the first?",
        ("entailment", "not_entailment"),
        ("accuracy",),
        _entailment,
    ),
}
#: Every pocket task with one line that says what it asks.
POCKET_TASKS = MappingProxyType(
    {name: recipe.line for name, recipe in _RECIPES.items()}
    | {_SIMILARITY: "pairs: how alike are their meanings, from 0 to 5?"}
)
