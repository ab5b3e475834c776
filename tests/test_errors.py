"""Mistakes in Python: one sentence each, in Python's words, and a ValueError."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stabilitybench
from stabilitybench.comparison.file_comparison import compare_files
from stabilitybench.encoders import load_encoder
from stabilitybench.errors import Argument, UserError
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import L2SP, LoRA, Mixout, ReInit, Stabilizer, build, catalogue, compose, register
from stabilitybench.storage.pool import check_jobs
from stabilitybench.studies import Study
from stabilitybench.tasks import load_task

STUDY = {
    "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 2, "baseline": "plain",
    "recipe": {"steps": 2, "evaluations": 1}, "arms": {"plain": []},
}  # fmt: skip
HUGE = 10**400


def study(**changes: Any) -> Study:
    return Study.from_dict({**STUDY, **changes})


MISTAKES: dict[str, Callable[[], object]] = {
    "jobs = 0: must be at least 1": lambda: study().run(jobs=0),
    "jobs = 2.5: must be a whole number": lambda: study().run(jobs=2.5),  # type: ignore[arg-type]
    "jobs = True: must be a whole number": lambda: study().run(jobs=True),
    'jobs = "2": must be a whole number': lambda: study().run(jobs="2"),  # type: ignore[arg-type]
    'device = "gpu": must be auto, cpu, cuda or cuda:K': lambda: study().run(device="gpu"),
    "device = None: must be auto, cpu, cuda or cuda:K": lambda: study().run(device=None),  # type: ignore[arg-type]
    "timeout = nan: must be a positive number of seconds": lambda: study().run(timeout=float("nan")),
    'timeout = "1": must be a number': lambda: study().run(timeout="1"),  # type: ignore[arg-type]
    'save = "all": must be last or best': lambda: study().run(save="all"),
    "retry = 1: must be True or False": lambda: study().run(retry=1),  # type: ignore[arg-type]
    'shard = "4/3": must look like 3/16': lambda: study().run(shard="4/3"),
    "shard = 3: must look like 3/16": lambda: study().run(shard=3),  # type: ignore[arg-type]
    "reinit.layers = 2.5: must be a whole number": lambda: ReInit(layers=2.5),  # type: ignore[arg-type]
    "reinit.layers = true: must be a whole number": lambda: ReInit(layers=True),
    "reinit.layers = -1: must be at least 0": lambda: ReInit(layers=-1),
    "reinit.layer is unknown: must be one of layers, pooler; did you mean": lambda: ReInit(layer=1),  # type: ignore[call-arg]
    'mixout.p = "a": must be a number': lambda: Mixout(p="a"),  # type: ignore[arg-type]
    "mixout.p = nan: must be a finite number": lambda: Mixout(p=float("nan")),
    "mixout.p = inf: must be a finite number": lambda: Mixout(p=float("inf")),
    "mixout.p = None: must be a number": lambda: Mixout(p=None),  # type: ignore[arg-type]
    "l2-sp.alpha = a whole number of 1329 bits: must be a finite number": lambda: L2SP(alpha=HUGE),
    "mixout: too many positional arguments": lambda: Mixout(0.1, "paper", False, 1),  # type: ignore[call-arg]
    "stabilizer 5 is unknown: must be one of": lambda: build(5),  # type: ignore[arg-type]
    'recipe.lr: unknown key; must be one of mode, .*; did you mean "learning_rate"': lambda: Recipe(lr=1e-4),  # type: ignore[call-arg]
    "recipe.learning_rate = nan: must be a finite number": lambda: Recipe(learning_rate=float("nan")),
    "recipe.steps = a whole number of 1329 bits: must be at most": lambda: Recipe(steps=HUGE),
    "recipe.batch_size = 0: must be at least 1": lambda: Recipe().replace(batch_size=0),
    "seeds.init = 1.5: must be": lambda: Seeds(init=1.5),  # type: ignore[arg-type]
    "seeds.init = -1: must be": lambda: Seeds(init=-1),
    "study: 5: must be a table": lambda: Study.from_dict(5),  # type: ignore[arg-type]
    "study: recipe.lr: unknown key": lambda: study(recipe={"lr": 1}),
    "study: arms.a.0.: reinit.layers = 2.5: must": lambda: study(
        arms={"plain": [], "a": [{"reinit": {"layers": 2.5}}]}
    ),
    "encoder 5: must be a name": lambda: load_encoder(5),  # type: ignore[arg-type]
    "task None: must be a name": lambda: load_task(None),  # type: ignore[arg-type]
    "no_skill = 5: must lie between -1 and 1.*give points = True": lambda: compare_files(["a", "b"], no_skill=5),
    'no_skill = "x": must be a number': lambda: compare_files(["a", "b"], no_skill="x"),  # type: ignore[arg-type]
    "no_skill = nan: must be a finite number": lambda: compare_files(["a", "b"], no_skill=float("nan")),
    "no_skill = 0.5: with points = True": lambda: compare_files(["a", "b"], no_skill=0.5, points=True),
    'baseline = "c": must be one of a, b': lambda: compare_files(["a", "b"], baseline="c"),
    "stabilizers.0. = None: must be one of the stabilizers": lambda: compose([None]),  # type: ignore[list-item]
    "stabilizers = None: must be a list of stabilizers": lambda: compose(None),  # type: ignore[arg-type]
    "mixout = 5: must be a table of parameters": lambda: build("mixout", 5),  # type: ignore[arg-type]
    "stabilizer name None: must be lower-case": lambda: register(None)(ReInit),  # type: ignore[arg-type]
    "store = None: must be the name of a file or folder": lambda: Study.from_dict(STUDY, store=None),  # type: ignore[arg-type]
    "path = 5: must be the name of a file or folder": lambda: Study.from_file(5),  # type: ignore[arg-type]
    "paths = 5: must be a list": lambda: compare_files(5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_one_sentence_in_pythons_words(said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        MISTAKES[said]()
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)
    assert not re.search("--[a-z]", str(caught.value))


def outcome(make: Callable[[], Stabilizer]) -> Stabilizer | str:
    try:
        return make()
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("name", catalogue())
def test_every_field_of_a_shipped_method_is_checked_alike_in_python_and_toml(name: str) -> None:
    cls = catalogue()[name]
    for field in build(name).__dict__:
        for value in ({"a": 1}, "\n", float("nan"), -1e300, True, HUGE):
            given: dict[str, Any] = {field: value}
            python, toml = outcome(partial(cls, **given)), outcome(partial(build, name, given))
            assert python == toml
            assert not isinstance(python, str) or (python.startswith(f"{name}.") and "\n" not in python)


def test_numbers_of_numpy_are_numbers() -> None:
    assert ReInit(layers=np.int64(2)) == ReInit(layers=2)  # type: ignore[arg-type]
    assert type(ReInit(layers=np.int64(2)).layers) is int  # type: ignore[arg-type]
    assert Mixout(p=np.float64(0.5)).parameters() == {"p": 0.5}
    assert LoRA(targets=["query"]) == LoRA(targets=("query",))  # type: ignore[arg-type]
    assert Recipe(batch_size=np.int64(4)) == Recipe(batch_size=4)  # type: ignore[arg-type]
    assert Seeds(init=np.int64(3)) == Seeds(init=3)  # type: ignore[arg-type]
    assert study(seeds=np.int64(2)).file == study().file
    check_jobs(np.int64(2))  # type: ignore[arg-type]


def test_an_error_keeps_its_arguments_when_told_where() -> None:
    error = UserError(Argument("jobs", 0), ": must be at least 1").within("study.toml")
    assert str(error) == "study.toml: jobs = 0: must be at least 1"
    assert error.told(lambda a: f"--{a.name} {a.said}") == "study.toml: --jobs 0: must be at least 1"


def test_no_string_outside_the_command_line_names_an_option() -> None:
    source = Path(stabilitybench.__file__).parent
    found = []
    for path in sorted(source.rglob("*.py")):
        if "cli" in path.relative_to(source).parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            f"{path.relative_to(source)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
            if re.search(r"(?<![\w-])--[a-z]", node.value)
            if path.name != "example.py"  # the study file that `new study` writes names commands
        ]
    assert found == []
