"""Runs of tiny encoders whose steps are functions of device tensors."""

from __future__ import annotations

from typing import Any

import torch

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.device_steps import DeviceSteps, RunTables
from stabilitybench.finetuning.lanes import Lane
from stabilitybench.finetuning.loop import Loop
from stabilitybench.finetuning.step_tables import RowTable, step_shapes
from stabilitybench.finetuning.training import loop_of as real_loop_of
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Stabilizer, build, catalogue
from support.families import WIDTH, make_task

CPU = torch.device("cpu")
#: 24 rows in batches of 7: the last batch of an epoch has a shape of its own.
RECIPE = Recipe(learning_rate=1e-3, batch_size=7, steps=6, warmup=0.2, weight_decay=0.1, clip=0.5, dropout=0.1)
#: Methods whose hooks read values in a step, and why.
PLAIN = {
    "deni": "one network becomes several",
    "mmr": "the classes of a batch decide how many centres there are",
    "r4f": "a singular value decomposition waits for the device",
    "swa": "the step decides whether the average moves",
}
#: What makes the change of a method large enough to be seen in few steps.
GIVEN: dict[str, dict[str, Any]] = {
    "freeze": {"layers": 1},
    "intermediate-task": {"task": "pocket/acceptability", "epochs": 0.01},
    "longer": {"epochs": 2.0},
    "small-rate": {"epochs": 2.0},
    "surt": {"epochs": 0.5},
}
#: The shipped methods, not what other tests registered.
NAMES = sorted(n for n, cls in catalogue().items() if cls.__module__.startswith("stabilitybench.stabilizers."))
DECLARING = sorted(set(NAMES) - set(PLAIN))
FAMILIES = ("bert", "roberta", "electra", "distilbert")


def method(name: str) -> tuple[Stabilizer, ...]:
    """Return an arm of one method."""
    return (build(name, GIVEN.get(name, {})),)


def seeds_of(number: int) -> Seeds:
    """Return seeds that all are one number."""
    return Seeds(init=number, order=number, dropout=number)


def loop_of(
    encoder: Encoder, stabilizers: tuple[Stabilizer, ...] = (), recipe: Recipe = RECIPE, seed: int = 3,
    dtype: torch.dtype = torch.float64, lane: Lane | None = None, **task: Any,
) -> Loop:  # fmt: skip
    """Return a training at step 0."""
    task = {"pair": True, **task}
    return real_loop_of(encoder, make_task(**task), recipe, stabilizers, seeds_of(seed), CPU, dtype, lane)


def device_steps(loop: Loop) -> DeviceSteps:
    """Return the steps of a training as one piece each."""
    rows = RowTable(loop.training.splits.train, CPU)  # type: ignore[arg-type]
    shapes = step_shapes(rows.lengths, loop.training.recipe.batch_size, WIDTH)
    return DeviceSteps(loop.training, RunTables.of(loop.training), rows, shapes)
