"""Steps as a function of device tensors, held against the steps taken one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning.device_steps import obstacle
from stabilitybench.finetuning.loop import Loop
from stabilitybench.finetuning.plain_steps import PlainSteps
from stabilitybench.stabilizers import EMA, Stabilizer, build
from stabilitybench.stabilizers.step_hooks import steps_on_device
from stabilitybench.testing.device_steps import WatchedSteps
from support.device_runs import DECLARING, FAMILIES, NAMES, PLAIN, RECIPE, device_steps, loop_of, method


def test_the_methods_that_do_not_run_as_one_piece_are_the_four_that_cannot() -> None:
    assert {name for name in NAMES if not steps_on_device(build(name, {}))} == set(PLAIN)


def hold(plain: Loop, device: Loop, at: tuple[int, ...]) -> None:
    """Take the steps of one run in both ways and compare them."""
    assert obstacle(device.training) is None
    one, other = PlainSteps(plain.training), device_steps(device)
    for step in (*at, plain.ctx.total_steps):
        one.advance(step)
        other.advance(step)
        assert other.rate == one.rate
        assert other.mean_loss() == pytest.approx(one.mean_loss(), rel=1e-6)
        assert other.gradient_norm() == pytest.approx(one.gradient_norm(), rel=1e-5, abs=1e-12)
        for tensor, weight in plain.training.params.items():
            torch.testing.assert_close(other.params[tensor], weight, rtol=0, atol=1e-10, msg=f"{step} {tensor}")
        for mine, theirs in zip(device.members(), plain.members(), strict=True):
            for tensor, weight in theirs.items():
                torch.testing.assert_close(mine[tensor], weight, rtol=0, atol=1e-10, msg=f"evaluated {step} {tensor}")


@pytest.mark.parametrize("name", DECLARING)
def test_every_method_ends_each_step_where_it_ends_one_by_one(encoders: dict[str, Encoder], name: str) -> None:
    encoder = encoders[FAMILIES[NAMES.index(name) % len(FAMILIES)]]
    hold(loop_of(encoder, method(name)), loop_of(encoder, method(name)), (1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARING)
def test_every_method_stays_equal_over_sixty_steps_on_another_family(encoders: dict[str, Encoder], name: str) -> None:
    encoder = encoders[FAMILIES[(NAMES.index(name) + 1) % len(FAMILIES)]]
    plain, device = (loop_of(encoder, method(name), RECIPE.replace(steps=60)) for _ in range(2))
    hold(plain, device, (plain.ctx.total_steps // 2,))


@pytest.mark.parametrize(
    "changes",
    [
        {"clip": 0.0}, {"clip_scope": "tensor"}, {"decay_order": "after"}, {"bias_correction": False},
        {"dropout": 0.0}, {"schedule": "constant", "warmup": 0.0}, {"batch_size": 24}, {"batch_size": 100},
    ],
)  # fmt: skip
def test_every_setting_of_a_recipe_counts(bert: Encoder, changes: dict[str, Any]) -> None:
    recipe = RECIPE.replace(**{"steps": 3, **changes})
    hold(loop_of(bert, (), recipe), loop_of(bert, (), recipe), (2,))


def test_albert_whose_layers_are_one(encoders: dict[str, Encoder]) -> None:
    for arm in ((), method("mixout")):
        hold(loop_of(encoders["albert"], arm), loop_of(encoders["albert"], arm), (2,))


def test_regression(bert: Encoder) -> None:
    task = {"kind": "regression", "metrics": ("spearman",)}
    hold(loop_of(bert, **task), loop_of(bert, **task), (2,))


# -- what a step may not do


def waits(encoder: Encoder, arm: tuple[Stabilizer, ...]) -> list[str]:
    """Return the operations in a step that a device would have to wait for."""
    steps = WatchedSteps(loop_of(encoder, arm, RECIPE.replace(steps=3)).training)
    steps.advance(3)
    return steps.waits


@pytest.mark.parametrize("name", DECLARING)
def test_no_step_reads_a_value_back_or_lets_one_decide_a_shape(encoders: dict[str, Encoder], name: str) -> None:
    assert waits(encoders[FAMILIES[NAMES.index(name) % len(FAMILIES)]], method(name)) == []


def test_a_method_whose_shapes_hang_on_values_is_seen(bert: Encoder) -> None:
    assert waits(bert, method("mmr"))


@pytest.mark.parametrize(
    ("read", "seen"),
    [
        (lambda t: float(t.detach().sum()), "aten::_local_scalar_dense"),
        (lambda t: t.sum() if t.max() > 0 else t.mean(), "aten::_local_scalar_dense"),
        (lambda t: t[t > 0].sum(), "aten::index.Tensor"),
        (lambda t: t.sum() * torch.tensor([2.0], dtype=t.dtype)[0], "aten::lift_fresh"),
    ],
)
def test_a_penalty_that_waits_is_seen(bert: Encoder, read: Any, seen: str) -> None:
    @dataclass(frozen=True)
    class Reading(Stabilizer):
        name = "reading"

        def penalty(self, forward: Any, batch: Any, ctx: Any) -> Tensor:
            return 0 * forward.logits.sum() + read(forward.logits)  # type: ignore[no-any-return]

    assert seen in waits(bert, (Reading(),))


def test_a_hook_that_reads_the_step_is_told_so(bert: Encoder) -> None:
    steps = device_steps(loop_of(bert, method("swa")))
    with pytest.raises(UserError, match=r"ctx\.(step|progress) is read in a step that runs on the device as one piece"):
        steps.advance(RECIPE.steps or 0)


# -- who takes part


@dataclass(frozen=True)
class Faster(EMA):
    """Inherits the hooks of a class that declares that they calculate only."""

    name = "faster"


@dataclass(frozen=True)
class Counting(EMA):
    """Changes one of them."""

    name = "counting"

    def after_step(self, params: Any, previous: Any, state: Any, ctx: Any) -> Any:
        return super().after_step(params, previous, state, ctx)


@dataclass(frozen=True)
class Declared(Counting):
    """Declares again."""

    name = "declared"
    on_device = True


@dataclass(frozen=True)
class Withdrawn(EMA):
    """Takes the declaration back."""

    name = "withdrawn"
    on_device = False


@dataclass(frozen=True)
class NoHook(Stabilizer):
    """Changes nothing within a step."""

    name = "no-hook"

    def rate(self, name: str, ctx: Any) -> float:
        return float(1 - ctx.progress)


@pytest.mark.parametrize(
    ("arm", "together"),
    [(Faster(), True), (Counting(), False), (Declared(), True), (Withdrawn(), False), (NoHook(), True)],
)
def test_a_class_that_changes_a_hook_has_to_declare_it(bert: Encoder, arm: Stabilizer, together: bool) -> None:
    told = obstacle(loop_of(bert, (arm,)).training)
    assert told == (None if together else f"{arm.name} reads values in a step")


def test_micro_batches_and_heads_on_frozen_features_go_one_by_one(bert: Encoder) -> None:
    assert obstacle(loop_of(bert, (), RECIPE.replace(micro_batch=3)).training) == "batches are cut into micro-batches"
    head = RECIPE.replace(mode="head", dropout=None)
    assert obstacle(loop_of(bert, (), head, dtype=torch.float32).training) == "a head on frozen features is trained"
