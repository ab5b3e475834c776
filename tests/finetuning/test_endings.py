"""How runs end: best and last checkpoint, failure, divergence, and odd but legal data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import Outcome, finetune
from stabilitybench.finetuning.outcome import is_constant, is_near_no_skill, predicted, score_all
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Stabilizer
from stabilitybench.tasks.base import Task
from stabilitybench.tasks.metrics import METRICS
from support.families import make_task, relabel, stock_model

LEARNS = Recipe(learning_rate=5e-3, epochs=6, batch_size=8, dropout=0, evaluations=6)


@dataclass(frozen=True)
class HeadBecomes(Stabilizer):
    """After optimizer step `at` every tensor of the head holds `value`."""

    name = "head-becomes"
    at: int = 1
    value: float = 0.0

    def after_step(self, params: Any, previous: Any, state: Any, ctx: Any) -> Any:
        if ctx.step < self.at:
            return params, state
        return {
            n: torch.full_like(t, self.value) if ctx.layout.module_group(n) == "head" else t for n, t in params.items()
        }, state


def logits(outcome: Outcome, checkpoint: str, split: str = "test") -> Any:
    return next(p.logits for p in outcome.predictions if (p.checkpoint, p.split) == (checkpoint, split))


def finite(outcome: Outcome) -> bool:
    numbers = [v for by in outcome.scores.values() for scores in by.values() for v in scores.values()]
    return bool(np.isfinite(numbers).all()) and bool(np.isfinite(list(outcome.no_skill.values())).all())


@pytest.fixture(scope="module")
def learned(bert: Encoder) -> Outcome:
    return finetune(bert, make_task(train=64, test=40), LEARNS, keep_weights="last")


@pytest.fixture(scope="module")
def collapsed(bert: Encoder) -> Outcome:
    """Learns for five sixths of the steps, then loses its head."""
    return finetune(bert, make_task(train=64, test=40), LEARNS, (HeadBecomes(at=41),), keep_weights="best")


def test_a_run_that_learns_is_ok(learned: Outcome) -> None:
    assert learned.status == "ok"
    assert [learned.failed, learned.constant, learned.diverged, learned.near_no_skill] == [False] * 4
    assert learned.total_steps == 48
    assert [e.step for e in learned.evaluations] == [8, 16, 24, 32, 40, 48]


def test_scores_are_those_of_the_stored_predictions(learned: Outcome) -> None:
    task = make_task(train=64, test=40)
    for p in learned.predictions:
        labels = getattr(task, p.split).labels
        assert p.logits.shape == (len(labels), 2)
        assert learned.scores[p.checkpoint][p.split]["accuracy"] == (p.logits.argmax(1) == labels).mean()
    assert {(p.checkpoint, p.split) for p in learned.predictions} == {
        (c, s) for c in ("last", "best") for s in ("validation", "test")
    }


def test_best_is_the_first_of_the_highest_validation_scores(collapsed: Outcome, learned: Outcome) -> None:
    for outcome in (collapsed, learned):
        curve = [e.validation["accuracy"] for e in outcome.evaluations]
        assert outcome.best_step == outcome.evaluations[int(np.argmax(curve))].step
        assert outcome.scores["best"]["validation"]["accuracy"] == max(curve)
        assert outcome.scores["last"]["validation"]["accuracy"] == curve[-1]


def test_best_and_last_are_scored_with_their_own_weights(bert: Encoder, collapsed: Outcome) -> None:
    """The best checkpoint is a copy: what the loop did to its weights later must not show in it."""
    task = make_task(train=64, test=40)
    assert collapsed.best_step <= 40
    assert collapsed.scores["best"]["test"]["accuracy"] > collapsed.scores["last"]["test"]["accuracy"]
    assert (logits(collapsed, "last") == 0).all()
    assert collapsed.status == "failed"
    assert collapsed.constant
    # The kept weights, in transformers' own classifier, give the predictions that were scored.
    assert collapsed.final_weights is not None
    stock = stock_model(bert.folder, 2, collapsed.final_weights)
    inputs = bert.tokenizer()(list(task.test.first), padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = stock(**inputs).logits.numpy()
    np.testing.assert_allclose(logits(collapsed, "best"), theirs, atol=1e-5)


def test_the_best_checkpoint_is_no_alias_of_the_live_weights(bert: Encoder) -> None:
    """On turned validation labels learning looks bad: the best weights are early ones, and training went on."""
    task = make_task(train=64, test=40)
    turned = relabel(task, "validation", 1 - np.asarray(task.validation.labels))
    best, last = (finetune(bert, turned, LEARNS, keep_weights=c) for c in ("best", "last"))  # type: ignore[arg-type]
    assert best.best_step < 48
    inputs = bert.tokenizer()(list(task.validation.first), padding=True, return_tensors="pt")
    for outcome, checkpoint in ((best, "best"), (last, "last")):
        assert outcome.final_weights is not None
        with torch.no_grad():
            theirs = stock_model(bert.folder, 2, outcome.final_weights)(**inputs).logits.numpy()
        np.testing.assert_allclose(logits(outcome, checkpoint, "validation"), theirs, atol=1e-4)
    assert np.abs(logits(best, "best") - logits(best, "last")).max() > 0.1


def test_a_run_with_fewer_looks_finds_its_best_among_them(bert: Encoder, collapsed: Outcome) -> None:
    outcome = finetune(bert, make_task(train=64, test=40), LEARNS.replace(evaluations=1), (HeadBecomes(at=41),))
    assert outcome.best_step == 48
    assert outcome.scores["best"] == outcome.scores["last"]
    assert outcome.scores["last"] == collapsed.scores["last"]


@pytest.mark.parametrize("at", [1, 20, 48])
def test_weights_that_are_no_numbers_are_a_diverged_run(bert: Encoder, at: int) -> None:
    outcome = finetune(bert, make_task(train=64, test=40), LEARNS, (HeadBecomes(at=at, value=np.nan),))
    assert outcome.status == "diverged"
    assert outcome.diverged
    assert outcome.failed
    assert outcome.near_no_skill
    assert finite(outcome), "scores count as no skill and are never NaN"
    assert outcome.scores["last"]["test"]["accuracy"] == outcome.no_skill["test"]
    assert outcome.evaluations[-1].step == -(-at // 8) * 8, "training stops at the next evaluation"


def test_the_best_checkpoint_is_never_one_without_numbers(bert: Encoder) -> None:
    """No skill may exceed an honest early score; a diverged model is still not the best."""
    task = make_task(train=64, test=40)
    worse = relabel(task, "validation", 1 - np.asarray(task.validation.labels))  # learning looks bad here
    outcome = finetune(bert, worse, LEARNS.replace(evaluations=2), (HeadBecomes(at=25, value=np.nan),))
    assert outcome.diverged
    assert [e.step for e in outcome.evaluations] == [24, 48]
    assert outcome.evaluations[0].validation["accuracy"] < outcome.no_skill["validation"]
    assert outcome.best_step == 24
    assert np.isfinite(logits(outcome, "best")).all()
    assert outcome.scores["last"]["validation"]["accuracy"] == outcome.no_skill["validation"]


@pytest.mark.parametrize("rate", [1.0, 100.0])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_an_absurd_rate_fails_without_a_crash(bert: Encoder, kind: str, rate: float) -> None:
    outcome = finetune(bert, make_task(kind=kind), LEARNS.replace(learning_rate=rate, clip=0, weight_decay=1))
    assert outcome.status in ("failed", "diverged")
    assert finite(outcome)


@pytest.mark.parametrize("value", [np.inf, 1e38])
def test_infinite_weights_are_a_failure_too(bert: Encoder, value: float) -> None:
    for kind in ("classification", "regression"):
        outcome = finetune(bert, make_task(kind=kind), LEARNS, (HeadBecomes(at=2, value=value),))
        assert outcome.status in ("failed", "diverged")
        assert finite(outcome)


def test_constant_scores_of_a_regression_count_as_zero_and_as_failed(bert: Encoder) -> None:
    outcome = finetune(bert, make_task(kind="regression"), LEARNS, (HeadBecomes(at=1),))
    assert outcome.scores["last"]["test"] == {"spearman": 0.0}
    assert outcome.status == "failed"
    assert outcome.constant
    assert not outcome.diverged


def test_regression_learns(bert: Encoder) -> None:
    task = make_task(train=80, validation=30, test=40, kind="regression")
    outcome = finetune(bert, task, LEARNS.replace(epochs=15, learning_rate=3e-3))
    guess = logits(outcome, "last")[:, 0]
    assert outcome.status == "ok"
    assert outcome.scores["last"]["test"]["spearman"] == pytest.approx(stats.spearmanr(guess, task.test.labels)[0])
    assert outcome.scores["last"]["test"]["spearman"] > 0.6
    expected = float(np.mean((logits(outcome, "last", "validation")[:, 0] - task.validation.labels) ** 2))
    assert outcome.evaluations[-1].validation_loss == pytest.approx(expected, rel=1e-5)


def test_equal_scores_take_the_first_as_best(bert: Encoder) -> None:
    outcome = finetune(bert, make_task(), LEARNS.replace(learning_rate=1e-30))
    assert len({e.validation["accuracy"] for e in outcome.evaluations}) == 1
    assert outcome.best_step == outcome.evaluations[0].step


ODD: dict[str, tuple[Task, Recipe]] = {
    "a batch larger than the data": (make_task(train=5), LEARNS.replace(batch_size=4096)),
    "one row of each split": (make_task(train=1, validation=1, test=1), LEARNS.replace(epochs=2)),
    "two rows of regression": (make_task(validation=2, test=2, kind="regression"), LEARNS.replace(epochs=2)),
    "one row of regression": (make_task(validation=1, test=1, kind="regression"), LEARNS.replace(epochs=2)),
    "one label in validation": (relabel(make_task(), "validation", [1] * 12), LEARNS.replace(epochs=2)),
    "one label in test": (relabel(make_task(), "test", [1] * 12), LEARNS.replace(epochs=2)),
    "one label in test, MCC": (
        relabel(make_task(metrics=("mcc", "accuracy")), "test", [1] * 12),
        LEARNS.replace(epochs=2),
    ),
    "no positive in test, F1": (
        relabel(make_task(metrics=("f1", "accuracy")), "test", [0] * 12),
        LEARNS.replace(epochs=2),
    ),
    "one score in test": (relabel(make_task(kind="regression"), "test", [2.5] * 12), LEARNS.replace(epochs=2)),
    "a class absent from test": (relabel(make_task(classes=3), "test", [0, 1] * 6), LEARNS.replace(epochs=2)),
    "three classes": (make_task(classes=3, metrics=("accuracy", "macro-f1", "mcc")), LEARNS),
    "five classes in pairs": (make_task(classes=5, pair=True), LEARNS.replace(epochs=2)),
    "no warm-up, fractional epochs": (make_task(), LEARNS.replace(warmup=0, epochs=0.4)),
    "nearly all warm-up": (make_task(), LEARNS.replace(warmup=0.99, epochs=2)),
    "one step": (make_task(), LEARNS.replace(steps=1, evaluations=10)),
    "more evaluations than steps": (make_task(), LEARNS.replace(steps=3, evaluations=100)),
    "more steps than epochs": (make_task(train=6), LEARNS.replace(steps=11)),
    "no clipping, no decay, no betas": (make_task(), LEARNS.replace(clip=0, weight_decay=0, betas=(0, 0), epochs=2)),
    "slanted, per-tensor clipping": (make_task(), LEARNS.replace(schedule="slanted", clip_scope="tensor", epochs=2)),
    "bf16": (make_task(pair=True), LEARNS.replace(precision="bf16", epochs=2)),
    "micro-batches of one": (make_task(), LEARNS.replace(micro_batch=1, epochs=1)),
    "three tokens": (make_task(), LEARNS.replace(max_length=3, epochs=1)),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_but_legal_input_ends_in_an_outcome(bert: Encoder, case: str) -> None:
    task, recipe = ODD[case]
    outcome = finetune(bert, task, recipe)
    assert finite(outcome)
    assert len(outcome.evaluations) == min(recipe.evaluations, outcome.total_steps)
    assert outcome.total_steps == recipe.total_steps(len(task.train))
    assert outcome.failed == (outcome.status != "ok")
    for p in outcome.predictions:
        assert p.logits.shape == (len(getattr(task, p.split)), task.outputs)
    headline = METRICS[task.metrics[0]]
    score = outcome.scores["last"]["test"][headline.name]
    if score <= headline.no_skill(task.test.labels):
        assert outcome.failed
        assert outcome.near_no_skill, "what is not above no skill cannot be significantly above it"


def test_texts_longer_than_the_limit_are_cut_counted_and_reported(bert: Encoder) -> None:
    task = make_task()
    long = replace(task, test=replace(task.test, first=("dog " * 300, *task.test.first[1:])))
    outcome = finetune(bert, long, LEARNS.replace(steps=1))
    assert outcome.warnings == ("1 of 12 test rows were longer than 64 tokens and were truncated",)
    few = finetune(bert, task, LEARNS.replace(steps=1, max_length=6)).warnings
    lengths = [len(t.split()) + 2 for t in task.train.first]
    assert f"{sum(n > 6 for n in lengths)} of 24 train rows were longer than 6 tokens and were truncated" in few


def test_a_limit_that_leaves_no_room_for_words_is_refused(encoders: dict[str, Encoder]) -> None:
    with pytest.raises(
        UserError, match=r"^recipe\.max_length = 3: leaves no room for words beside the special tokens$"
    ):
        finetune(encoders["roberta"], make_task(pair=True), LEARNS.replace(max_length=3))


def test_a_limit_beyond_the_encoder_is_refused(bert: Encoder) -> None:
    with pytest.raises(UserError, match=r"^recipe\.max_length = 65: encoder .* reads at most 64 tokens$"):
        finetune(bert, make_task(), LEARNS.replace(max_length=65))


@dataclass(frozen=True)
class Judged:
    """A task and logits with what should be said of them."""

    labels: list[float]
    logits: list[Any]
    near: bool
    constant: bool = False
    task: Task = field(default_factory=make_task)


REGRESSION = make_task(kind="regression")
JUDGED = {
    "all right": Judged([0, 1] * 10, [[1, 0], [0, 1]] * 10, near=False),
    "half right": Judged([0, 1] * 10, [[1, 0], [0, 1], [0, 1], [1, 0]] * 5, near=True),
    "14 of 20 right, p = .058": Judged([0, 1] * 10, [[1, 0], [0, 1]] * 7 + [[0, 1], [1, 0]] * 3, near=True),
    "15 of 20 right, p = .021": Judged([0] * 10 + [1] * 10, [[1, 0]] * 10 + [[0, 1]] * 5 + [[1, 0]] * 5, near=False),
    "constant": Judged([0, 1] * 10, [[1, 0]] * 20, near=True, constant=True),
    "no numbers": Judged([0, 1] * 10, [[np.nan, 0]] * 20, near=True, constant=True),
    "one label": Judged([1] * 20, [[1, 0], [0, 1]] * 10, near=True),
    "a rising score": Judged(list(range(20)), [[x] for x in range(20)], near=False, task=REGRESSION),
    "a falling score": Judged(list(range(20)), [[-x] for x in range(20)], near=True, task=REGRESSION),
    "a constant score": Judged(list(range(20)), [[2]] * 20, near=True, constant=True, task=REGRESSION),
    "one and the same truth": Judged([1.0] * 20, [[x] for x in range(20)], near=True, task=REGRESSION),
    "two rows": Judged([1.0, 2.0], [[1], [2]], near=True, task=REGRESSION),
    "associated, by MCC": Judged(
        [0] * 15 + [1] * 5, [[1, 0]] * 15 + [[0, 1]] * 5, near=False, task=make_task(metrics=("mcc",))
    ),
    "inverted, by MCC": Judged([0, 1] * 10, [[0, 1], [1, 0]] * 10, near=True, task=make_task(metrics=("mcc",))),
}


@pytest.mark.parametrize("case", JUDGED)
def test_what_is_said_of_predictions(case: str) -> None:
    given = JUDGED[case]
    task = given.task
    split = replace(task.test, ids=tuple(map(str, range(len(given.labels)))), labels=np.asarray(given.labels))
    values = np.asarray(given.logits, dtype=np.float32)
    assert is_constant(task, values) == given.constant
    assert is_near_no_skill(task, split, values) == given.near
    scores = score_all(task, split, values)
    assert np.isfinite(list(scores.values())).all()
    assert len(predicted(task, values)) == len(given.labels)
