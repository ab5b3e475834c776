"""Steps as a function of device tensors, held against the steps taken one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.device_steps import DeviceSteps, RunTables, obstacle
from stabilitybench.finetuning.loop import Loop
from stabilitybench.finetuning.plain_steps import PlainSteps
from stabilitybench.finetuning.step_tables import RowTable, step_shapes
from stabilitybench.finetuning.training import loop_of as real_loop_of
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Stabilizer, build, catalogue
from support.families import WIDTH, make_task

CPU = torch.device("cpu")
RECIPE = Recipe(learning_rate=1e-3, batch_size=7, steps=12, warmup=0.2, weight_decay=0.1, clip=0.5, dropout=0.1)
#: Methods whose hooks read values in a step, and why.
PLAIN = {
    "deni": "one network becomes several",
    "mmr": "the classes of a batch decide how many centres there are",
    "r4f": "a singular value decomposition waits for the device",
    "swa": "the step decides whether the average moves",
}
#: What makes the change of a method large enough to be seen.
GIVEN: dict[str, dict[str, Any]] = {
    "freeze": {"layers": 1},
    "intermediate-task": {"task": "pocket/acceptability", "epochs": 0.01},
    "surt": {"epochs": 0.5},
}
#: The shipped methods, not what other tests registered.
NAMES = sorted(n for n, cls in catalogue().items() if cls.__module__.startswith("stabilitybench.stabilizers."))
FAMILIES = ("bert", "roberta", "electra", "distilbert")


def loop_of(
    encoder: Encoder, stabilizers: tuple[Stabilizer, ...] = (), recipe: Recipe = RECIPE, seed: int = 3,
    dtype: torch.dtype = torch.float64, **task: Any,
) -> Loop:  # fmt: skip
    seeds = Seeds(init=seed, order=seed, dropout=seed)
    return real_loop_of(encoder, make_task(**{"pair": True, **task}), recipe, stabilizers, seeds, CPU, dtype)


def device_steps(loop: Loop) -> DeviceSteps:
    rows = RowTable(loop.training.splits.train, CPU)  # type: ignore[arg-type]
    shapes = step_shapes(rows.lengths, loop.training.recipe.batch_size, WIDTH)
    return DeviceSteps(loop.training, RunTables.of(loop.training), rows, shapes)


def test_the_methods_that_do_not_run_as_one_piece_are_the_four_that_cannot() -> None:
    assert {name for name in NAMES if not build(name, {}).steps_on_device()} == set(PLAIN)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(PLAIN)))
def test_every_method_ends_each_step_where_it_ends_one_by_one(encoders: dict[str, Encoder], name: str) -> None:
    family = FAMILIES[NAMES.index(name) % len(FAMILIES)]
    encoder, method = encoders[family], (build(name, GIVEN.get(name, {})),)
    plain, device = loop_of(encoder, method), loop_of(encoder, method)
    assert obstacle(device.training) is None
    one, other = PlainSteps(plain.training), device_steps(device)
    for step in (1, 2, 6, plain.ctx.total_steps):  # the first steps, the middle and the end
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
