"""Runs that follow each other on a lane, or stand side by side, end in the very bits of runs alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning import finetune, side_by_side
from stabilitybench.finetuning.device_steps import DeviceSteps
from stabilitybench.finetuning.lanes import Lane
from stabilitybench.finetuning.outcome import Outcome
from stabilitybench.finetuning.plain_steps import PlainSteps
from stabilitybench.finetuning.side_by_side import Request, finetune_side_by_side
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Stabilizer, build
from support.device_runs import CPU, RECIPE, loop_of, seeds_of
from support.families import make_task

SHORT = RECIPE.replace(steps=5, evaluations=2)


def weights(encoder: Encoder, lane: Lane, arm: tuple[str, ...] = (), recipe: Recipe = SHORT, seed: int = 3) -> Any:
    """Return the steps that a lane gives a run, and the weights that they end in."""
    arms = tuple(build(name, {}) for name in arm)
    loop = loop_of(encoder, arms, recipe, seed, torch.float32, lane)
    loop.steps.advance(loop.ctx.total_steps)
    return loop.steps, {name: t.clone() for name, t in loop.training.params.items()}


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(t, theirs[name]) for name, t in ours.items())


def captured() -> Lane:
    return Lane(CPU, captured=True)


@pytest.mark.parametrize("arm", [(), ("mixout",), ("ema",), ("sam", "lora"), ("child-tuning-d",), ("smart",)])
def test_the_next_seed_takes_the_steps_of_the_last_and_ends_in_the_bits_of_fresh_ones(
    bert: Encoder, arm: tuple[str, ...]
) -> None:
    lane = captured()
    first, others = weights(bert, lane, arm, seed=4)
    kept, reused = weights(bert, lane, arm)
    made, fresh = weights(bert, captured(), arm)
    assert kept is first
    assert made is not first
    assert same(reused, fresh)
    assert not same(reused, others)


def test_arms_that_differ_in_rates_alone_share_their_steps(bert: Encoder) -> None:
    lane, slower = captured(), SHORT.replace(learning_rate=1e-4, schedule="constant", warmup=0.0)
    first, _ = weights(bert, lane)
    kept, reused = weights(bert, lane, recipe=slower)
    assert kept is first
    assert same(reused, weights(bert, captured(), recipe=slower)[1])


@pytest.mark.parametrize(
    ("arm", "changes"),
    [(("mixout",), {}), (("llrd",), {}), (("freeze",), {}), ((), {"clip": 0.25}), ((), {"weight_decay": 0.2}),
     ((), {"dropout": 0.2}), ((), {"batch_size": 8}), ((), {"bias_correction": False})],
)  # fmt: skip
def test_arms_that_calculate_otherwise_do_not(bert: Encoder, arm: tuple[str, ...], changes: dict[str, Any]) -> None:
    lane = captured()
    first, _ = weights(bert, lane)
    made, ours = weights(bert, lane, arm, SHORT.replace(**changes))
    assert made is not first
    assert same(ours, weights(bert, captured(), arm, SHORT.replace(**changes))[1])


def test_what_cannot_be_one_piece_goes_one_by_one_on_a_lane_too(bert: Encoder) -> None:
    assert isinstance(weights(bert, captured(), ("mmr",))[0], PlainSteps)
    assert isinstance(weights(bert, Lane(CPU))[0], PlainSteps)
    assert isinstance(weights(bert, captured())[0], DeviceSteps)


# -- side by side

ARMS = ((), (), ("mixout",), ("mmr",), ())


def requests(encoder: Encoder) -> list[Request]:
    task = make_task(pair=True)
    arms = [tuple(build(name, {}) for name in arm) for arm in ARMS]
    return [Request(encoder, task, SHORT, arm, seeds_of(k)) for k, arm in enumerate(arms)]


@pytest.fixture(params=["one piece", "one by one"])
def lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Simulate the streams of a device, or take the CPU as it is."""
    pieces = request.param == "one piece"
    kept: list[Lane] = []

    def simulated(device: torch.device, count: int) -> list[Lane]:
        kept.extend(Lane(device, captured=pieces) for _ in range(count - len(kept)))
        return kept[:count]

    monkeypatch.setattr(side_by_side, "lanes", simulated)
    return str(request.param)


def outcomes(encoder: Encoder, count: int) -> list[Outcome]:
    asked = requests(encoder)
    found = dict(finetune_side_by_side(asked, count=count))
    for outcome in found.values():
        if isinstance(outcome, Exception):
            raise outcome
    return [found[request] for request in asked]  # type: ignore[misc]


def said(outcome: Outcome) -> tuple[Any, ...]:
    """Return all that a run found, to the last bit."""
    logits = [p.logits.tobytes() for p in outcome.predictions]
    return outcome.weights, logits, [(e.train_loss, e.gradient_norm, e.distance) for e in outcome.evaluations]


def test_a_run_beside_others_ends_in_the_bits_of_one_alone(bert: Encoder, lanes: str) -> None:
    alone = [said(dict(finetune_side_by_side([r])).popitem()[1]) for r in requests(bert)]  # type: ignore[arg-type]
    for count in (1, 2, 3, 5):
        assert [said(o) for o in outcomes(bert, count)] == alone
    if lanes == "one by one":
        for request, found in zip(requests(bert), alone, strict=True):
            assert said(finetune(bert, request.task, SHORT, request.stabilizers, request.seeds)) == found


def test_losses_and_logits_in_float32_are_those_of_steps_one_by_one(bert: Encoder, lanes: str) -> None:
    for request, ours in zip(requests(bert), outcomes(bert, 2), strict=True):
        plain = finetune(bert, request.task, SHORT, request.stabilizers, request.seeds)
        for mine, theirs in zip(ours.evaluations, plain.evaluations, strict=True):
            assert mine.train_loss == pytest.approx(theirs.train_loss, abs=1e-5)
            assert mine.validation_loss == pytest.approx(theirs.validation_loss, abs=1e-5)
        for mine, theirs in zip(ours.predictions, plain.predictions, strict=True):
            np.testing.assert_allclose(mine.logits, theirs.logits, rtol=0, atol=1e-5)


@dataclass(frozen=True)
class Breaking(Stabilizer):
    """Breaks in the middle of a run."""

    name = "breaking"

    def rate(self, name: str, ctx: Any) -> float:
        if ctx.step == 3:
            raise ZeroDivisionError("in the middle")
        return 1.0


def test_a_run_that_breaks_leaves_its_neighbours_alone(bert: Encoder, lanes: str) -> None:
    asked = requests(bert)
    broken = Request(bert, asked[0].task, SHORT, (Breaking(),), seeds_of(9))
    found = dict(finetune_side_by_side([asked[0], broken, *asked[1:]], count=3))
    assert isinstance(found[broken], ZeroDivisionError)
    assert [said(found[r]) for r in asked] == [said(o) for o in outcomes(bert, 1)]  # type: ignore[arg-type]


def test_the_next_run_is_asked_for_when_a_lane_is_free(bert: Encoder, lanes: str) -> None:
    events: list[str] = []

    def told(number: int) -> Callable[[Any], None]:
        return lambda evaluation: events.append(f"{number} at {evaluation.step}")

    def asking() -> Any:
        for number, request in enumerate(requests(bert)[:3]):
            events.append(f"{number} asked")
            yield Request(bert, request.task, SHORT, (), request.seeds, told(number))

    for request, _ in finetune_side_by_side(asking(), count=2):
        events.append(f"{request.seeds.init} ended")
    assert events == [
        "0 asked", "1 asked", "0 at 2", "1 at 2", "0 at 5", "0 ended", "1 at 5", "1 ended", "2 asked", "2 at 2",
        "2 at 5", "2 ended",
    ]  # fmt: skip
