"""Seeds, recipes, tasks and studies say which argument is bad, in one sentence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import stabilitybench as sb
from stabilitybench import seeds
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.registry import load_file, source_fingerprint
from stabilitybench.testing.conformance import check_stabilizer

STUDY = {
    "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 2,
    "baseline": "plain", "arms": {"plain": []}, "recipe": {"steps": 2},
}  # fmt: skip
#: More digits than Python prints.
HUGE = 10**5000


def run(**options: object) -> object:
    return sb.Study.from_dict(STUDY).run(**options)


TASK = sb.load_task("pocket/sentiment")
REFUSED: dict[str, Callable[[], object]] = {
    "recipe = 5: must be given by fields": lambda: sb.Recipe(5),
    "recipe.epochs = 5: a recipe stays as it is": lambda: setattr(sb.Recipe(), "epochs", 5),
    "recipe = 5: must be a mapping": lambda: sb.Recipe.model_validate(5),
    "recipe.lr: unknown key": lambda: sb.Recipe.model_validate({"lr": 1}),
    "n_train = None": lambda: sb.Recipe().total_steps(None),
    "n_train = -1": lambda: sb.Recipe().total_steps(-1),
    "n_train = a whole number of": lambda: sb.Recipe().total_steps(HUGE),
    "total = inf": lambda: sb.Recipe().evaluation_steps(float("inf")),
    "names = None": lambda: sb.Seeds().generator("init", None),
    "stream = a whole number of": lambda: sb.Seeds().generator(HUGE),
    'design = "a"': lambda: seeds.grid("a"),
    'design = "order2"': lambda: seeds.grid({"order2": 5}),
    "design.order = -1": lambda: seeds.grid({"order": -1}),
    "first = None": lambda: seeds.grid(2, first=None),
    "tuned = true|tuned = True": lambda: sb.Study.from_dict(STUDY).plan(True),
    "progress = 5": lambda: run(progress=5),
    r"shard = \[1 2\]": lambda: run(shard=np.array([1, 2])),
    "shard = 0": lambda: run(shard=0),
    "shard = False": lambda: run(shard=False),
    'shard = ""': lambda: run(shard=""),
    'shard = "1/9{5}': lambda: run(shard="1/" + "9" * 5000),
    "overrides = None": lambda: sb.Study.from_file("x.toml", None),
    r"overrides\[0\] = 5": lambda: sb.Study.from_file("x.toml", [5]),
    r'path = "a\\x00b"': lambda: sb.Study.from_file("a\0b"),
    "file = 5: must be a StudyFile": lambda: sb.Study(5),
    "file = 5: must be a SuiteFile": lambda: sb.Suite(5, 5),
    "name = 1": lambda: type(TASK)(1, 2, 3, 4, 5, 6, 7),
    "rng = None": lambda: TASK.subsample(8, None),
    "path = None": lambda: load_file(None),
    'path = "~nobody-here/x.py": there is no such user': lambda: load_file("~nobody-here/x.py"),
    "stabilizer = 5": lambda: source_fingerprint(5),
    'stabilizer = "mixout"': lambda: check_stabilizer("mixout"),
    r"where = \[1 2\]": lambda: sb.build("reinit", where=np.array([1, 2])),
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_bad_argument_is_named(said: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        REFUSED[said]()
    assert len(str(caught.value)) <= 300


def test_what_holds_arrays_is_not_compared_item_by_item() -> None:
    for one, other in ((TASK.train, np.zeros(2)), (np.zeros(2), TASK.train), (TASK, np.zeros(2)), (np.zeros(2), TASK)):
        assert (one == other) is False
