"""One run as a function of its inputs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.full import full_problem
from stabilitybench.finetuning.linear_probe import head_problem
from stabilitybench.finetuning.loop import Loop, Observer, Params
from stabilitybench.finetuning.outcome import Checkpoint, Outcome
from stabilitybench.finetuning.stages import prepare, stage_facts, task_facts
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Stabilizer, apply_recipe, compose
from stabilitybench.stabilizers.stages import Stage
from stabilitybench.tasks.base import Task
from stabilitybench.threads import one_thread


def finetune(
    encoder: Encoder,
    task: Task,
    recipe: Recipe,
    stabilizers: tuple[Stabilizer, ...] = (),
    seeds: Seeds | None = None,
    *,
    device: str = "cpu",
    observer: Observer | None = None,
    keep_weights: Checkpoint | None = None,
) -> Outcome:
    """Train `encoder` on `task` once and score the last and the best-validation checkpoint.

    The result depends on the arguments alone: not on the process, its global generators, or other runs in it.
    `observer` is told of every evaluation.  keep_weights : also return that checkpoint's tensors.

    Raises UserError where a stabilizer cannot work on this encoder, task or recipe.

    >>> from stabilitybench.encoders import load_encoder
    >>> from stabilitybench.tasks import load_task
    >>> task = load_task("pocket/acceptability")
    >>> finetune(load_encoder("pocket/bert-small"), task, Recipe(steps=2, evaluations=1)).total_steps
    2
    """
    started = time.perf_counter()
    place = torch.device(device)
    with one_thread(place):
        loop = _loop(encoder, task, recipe, stabilizers, seeds or Seeds(), place)
        return loop.run(started, observer, keep_weights)


def prepared(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]
) -> tuple[Callable[[Params], Tensor], Params]:
    """Return the training loss of the first batch as a function of the trained tensors, and these tensors.

    Both in double precision.  The function is what the loop differentiates at its first step: forward weights,
    penalties and training noise included.
    """
    place = torch.device("cpu")
    loop = _loop(encoder, task, recipe, stabilizers, Seeds(), place, torch.float64)
    size, total = loop.recipe.batch_size, loop.ctx.total_steps
    batch = loop.problem.splits.train.batch(next(iter(data.order(len(task.train), size, total, loop.ctx.seeds))))
    if loop.recipe.mode == "head":
        batch = replace(batch, tokens=batch.tokens.double())
    key = loop.ctx.seeds.key("dropout", "step 0")
    return lambda params: loop.loss(params, batch, key), loop.params


def _loop(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...], seeds: Seeds,
    place: torch.device, dtype: torch.dtype = torch.float32,
) -> Loop:  # fmt: skip
    stabilizers = compose(stabilizers, encoder.layout)
    recipe = _effective(encoder, task, recipe, stabilizers)
    facts = task_facts(task)
    found = prepare(encoder, task, recipe, _stages(encoder, task, recipe, stabilizers), seeds, place)
    build = head_problem if recipe.mode == "head" else full_problem
    problem = build(encoder, task, recipe, place, found.tensors)
    if found.records:
        warnings = (*problem.warnings, *found.warnings())
        problem = replace(problem, facts={"stages": list(found.records)}, warnings=warnings)
    if dtype != torch.float32:
        problem = replace(problem, pretrained={n: t.to(dtype) for n, t in problem.pretrained.items()})
    reference = {**problem.pretrained, **{n: t for n, t in found.before.items() if n in problem.pretrained}}
    ctx = Context(recipe, encoder.layout, facts, reference, seeds, recipe.total_steps(len(task.train)))
    return Loop(problem, task, recipe, stabilizers, ctx, place, dtype)


def _effective(encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]) -> Recipe:
    recipe = apply_recipe(stabilizers, recipe, encoder.layout, task_facts(task))
    return recipe if recipe.learning_rate is not None else recipe.replace(learning_rate=encoder.learning_rate)


def _stages(encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]) -> tuple[Stage, ...]:
    """Return the stages before fine-tuning, each with a rate."""
    stages = (stage for s in stabilizers for stage in s.phases(recipe, encoder.layout, task_facts(task)))
    return tuple(replace(s, rate=encoder.learning_rate) if s.rate is None else s for s in stages)


def stage_identity(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]
) -> list[dict[str, Any]]:
    """Return what determines the stages before fine-tuning, the content of other tasks included, as plain data.

    Raises UserError where another task is the target itself.
    """
    stabilizers = compose(stabilizers, encoder.layout)
    stages = _stages(encoder, task, _effective(encoder, task, recipe, stabilizers), stabilizers)
    found = [{"stage": type(stage).__name__, **asdict(stage), **stage_facts(stage)} for stage in stages]
    for stage in found:
        if stage.get("content") == task.fingerprint:
            raise UserError(f'the stage before fine-tuning trains on "{stage["task"]}", which is the target itself')
    return found


def resolved(encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]) -> Recipe:
    """Return the recipe a run really trains with, after checking that every stabilizer can work there."""
    recipe = _effective(encoder, task, recipe, compose(stabilizers, encoder.layout))
    data.text_length(encoder, recipe.max_length)
    for place in recipe.dropout_off:
        if place not in encoder.layout.places:
            places = ", ".join(encoder.layout.places)
            raise UserError(f'recipe.dropout_off: "{place}" is no place of "{encoder.name}"; it has {places}')
    return recipe
