"""`==` on what holds arrays, tensors or tables: it compares content, or it is that of identity; it never raises."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import stabilitybench
from stabilitybench.encoders import load_encoder
from stabilitybench.equality import EqualByContent, same
from stabilitybench.finetuning import finetune
from stabilitybench.recipe import Recipe
from stabilitybench.tasks import Task, load_task
from stabilitybench.theory.leave_one_out_runs import leave_one_out

HOLDS = re.compile(r"Tensor|ndarray|NDArray|Floats|Codes|DataFrame|Series|ArrayLike|Params|Module")


def ours() -> Iterator[type]:
    """Every dataclass of the package that holds arrays, tensors, tables or modules in a compared field."""
    for module in pkgutil.walk_packages(stabilitybench.__path__, "stabilitybench."):
        for cls in vars(importlib.import_module(module.name)).values():
            own = isinstance(cls, type) and cls.__module__ == module.name and is_dataclass(cls)
            if own and any(f.compare and HOLDS.search(str(f.type)) for f in fields(cls)):
                yield cls


HOLDERS = list(ours())


def test_the_walk_finds_them() -> None:
    assert len(HOLDERS) > 30


@pytest.mark.parametrize("cls", HOLDERS, ids=lambda cls: cls.__name__)
def test_no_equality_compares_arrays_as_if_they_were_numbers(cls: type) -> None:
    assert not cls.__dataclass_params__.eq  # type: ignore[attr-defined]
    assert cls.__eq__ in (object.__eq__, EqualByContent.__eq__)


@pytest.fixture(scope="module")
def task(tiny_task: Path) -> Task:
    return load_task(f"file:{tiny_task}")


def test_tasks_are_equal_where_their_rows_are(task: Task, tiny_task: Path) -> None:
    again = load_task(f"file:{tiny_task}")
    assert again == task
    assert again is not task
    assert hash(again) == hash(task)
    flipped = replace(task.train, labels=1 - task.train.labels)
    assert replace(task, train=flipped) != task


def test_runs_are_equal_where_their_numbers_are(task: Task, tiny_bert: Path) -> None:
    encoder, recipe = load_encoder(str(tiny_bert)), Recipe(steps=2, evaluations=1)
    first, again = (finetune(encoder, task, recipe) for _ in range(2))
    assert first == again
    assert first != finetune(encoder, task, recipe.replace(steps=3))
    nan = replace(first.evaluations[0], train_loss=float("nan"))
    assert nan == replace(nan, train_loss=float("nan"))
    with pytest.raises(TypeError, match="unhashable type: 'Outcome'"):
        hash(first)


def test_theory_compares_its_results() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 2)), np.array([0, 1, 0, 1, 0, 1])
    results = [leave_one_out(x, y, "logistic", steps=steps, rate=0.1) for steps in (5, 5, 6)]
    assert results[0] == results[1]
    assert results[0] != results[2]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1, 2]), np.array([1.0, 2.0]), False),
        (np.array(["a"]), np.array(["a"]), True),
        (torch.ones(2), torch.ones(2), True),
        (torch.ones(2), torch.ones(3), False),
        (torch.ones(2), np.ones(2), False),
        (pd.DataFrame({"a": [1.0, None]}), pd.DataFrame({"a": [1.0, None]}), True),
        ((1, [np.zeros(1)]), (1, [np.zeros(1)]), True),
        ([1], (1,), False),
        ({"a": np.zeros(1)}, {"b": np.zeros(1)}, False),
        (np.zeros(1), None, False),
        (None, np.zeros(1), False),
    ],
)
def test_what_is_the_same(one: object, other: object, equal: bool) -> None:
    assert same(one, other) is equal
