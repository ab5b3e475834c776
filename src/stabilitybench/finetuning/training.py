"""One run as a function of its inputs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from stabilitybench.argument_checks import choice, of_kind, text
from stabilitybench.encoders import Encoder
from stabilitybench.errors import Argument, UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.full import full_problem
from stabilitybench.finetuning.lanes import Lane, lanes
from stabilitybench.finetuning.linear_probe import head_problem
from stabilitybench.finetuning.loop import Loop, Observer
from stabilitybench.finetuning.outcome import Checkpoint, Outcome
from stabilitybench.finetuning.plain_steps import Training
from stabilitybench.finetuning.resolution import effective, stages_of, task_facts
from stabilitybench.finetuning.stages import prepare
from stabilitybench.finetuning.tensors import Params
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Composition, Context, Stabilizer, compose
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
    """Train an encoder on a task once and score the last and the best-validation checkpoint.

    The result depends on the arguments alone: not on the process, its global generators, or other runs in it.

    Parameters
    ----------
    encoder : Encoder
        As `load_encoder` returns it.
    task : Task
        As `load_task` returns it.
    recipe : Recipe
        How to train; a rate of None is what the encoder recommends.
    stabilizers : tuple of Stabilizer, default ()
        In any order.
    seeds : Seeds, optional
        One for each stream; all 0 by default.
    device : str, default "cpu"
        "cpu", "cuda" or "cuda:K".
    observer : callable, optional
        ``observer(evaluation)`` is told of every evaluation.
    keep_weights : {"last", "best"}, optional
        Checkpoint whose tensors are returned too.

    Returns
    -------
    Outcome
        Scores, predictions, evaluations and how the run ended.

    Raises
    ------
    UserError
        Where a stabilizer cannot work on this encoder, task or recipe, or an argument is no such thing.

    Examples
    --------
    >>> from stabilitybench.encoders import load_encoder
    >>> from stabilitybench.tasks import load_task
    >>> task = load_task("pocket/acceptability")
    >>> finetune(load_encoder("pocket/bert-small"), task, Recipe(steps=2, evaluations=1)).total_steps
    2
    """
    started = time.perf_counter()
    of_kind("encoder", encoder, "an Encoder, as load_encoder returns it", Encoder)
    of_kind("task", task, "a Task, as load_task returns it", Task)
    of_kind("recipe", recipe, "a Recipe", Recipe)
    if seeds is not None:
        of_kind("seeds", seeds, "a Seeds", Seeds)
    if keep_weights is not None:
        choice("keep_weights", keep_weights, get_args(Checkpoint))
    where = checked_device(device)
    if observer is not None and not callable(observer):
        raise UserError(Argument("observer", observer), ": must be a function that takes an evaluation")
    lane = lanes(where, 1)[0]
    with one_thread(where), lane.current():
        loop = loop_of(encoder, task, recipe, stabilizers, seeds or Seeds(), where, lane=lane)
        return loop.run(started, observer, keep_weights)


def checked_device(name: str) -> torch.device:
    """Return a device by its name.

    Parameters
    ----------
    name : str
        "cpu", "cuda" or "cuda:K".

    Raises
    ------
    UserError
        For another name, or a device that this machine lacks.
    """
    try:
        where = torch.device(text("device", name))
    except RuntimeError:
        raise UserError(Argument("device", name), ": must be cpu, cuda or cuda:K") from None
    if where.type not in ("cpu", "cuda"):
        raise UserError(Argument("device", name), ": must be cpu, cuda or cuda:K")
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise UserError(Argument("device", name), f": this machine has {torch.cuda.device_count()} CUDA devices")
    return where


def prepared(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]
) -> tuple[Callable[[Params], Tensor], Params]:
    """Return the training loss of the first batch as a function of the trained tensors, and these tensors.

    Both are in double precision.  The function is what the loop differentiates at its first step: forward weights,
    penalties and training noise included.

    Parameters
    ----------
    encoder : Encoder
        What is fine-tuned.
    task : Task
        What is learned.
    recipe : Recipe
        The plain recipe.
    stabilizers : tuple of Stabilizer
        In any order.

    Returns
    -------
    loss : callable
        ``loss(params)`` is a Tensor, shape (), through which gradients flow.
    params : dict of str to Tensor
        The trained tensors at step 0.

    Raises
    ------
    UserError
        Where a stabilizer cannot work on this encoder, task or recipe.
    """
    where = torch.device("cpu")
    loop = loop_of(encoder, task, recipe, stabilizers, Seeds(), where, torch.float64)
    training = loop.training
    size, total = training.recipe.batch_size, training.ctx.total_steps
    batch = training.splits.train.batch(next(iter(data.order(len(task.train), size, total, training.ctx.seeds))))
    if training.recipe.mode == "head":
        batch = replace(batch, tokens=batch.tokens.double())
    return lambda params: training.objective.loss(params, batch, training.at(0)), training.params


def loop_of(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...], seeds: Seeds,
    where: torch.device, dtype: torch.dtype = torch.float32, lane: Lane | None = None,
) -> Loop:  # fmt: skip
    """Return a training, ready for its first step.

    Parameters
    ----------
    encoder, task, recipe, stabilizers, seeds : object
        As for `finetune`.
    where : torch.device
        Where it runs.
    dtype : torch.dtype, default torch.float32
        Of its weights.
    lane : Lane, optional
        Where its steps are prepared; without one they are taken one by one.
    """
    composition = Composition(compose(stabilizers, encoder.layout))
    recipe = effective(encoder, task, recipe, composition)
    facts = task_facts(task)
    found = prepare(encoder, task, recipe, stages_of(encoder, task, recipe, composition), seeds, where)
    build = head_problem if recipe.mode == "head" else full_problem
    problem = build(encoder, task, recipe, where, found.tensors)
    if found.records:
        warnings = (*problem.warnings, *found.warnings())
        problem = replace(problem, facts={"stages": list(found.records)}, warnings=warnings)
    if dtype != torch.float32:
        problem = replace(problem, pretrained={n: t.to(dtype) for n, t in problem.pretrained.items()})
    reference = {**problem.pretrained, **{n: t for n, t in found.before.items() if n in problem.pretrained}}
    ctx = Context(recipe, encoder.layout, facts, reference, seeds, recipe.total_steps(len(task.train)))
    training = Training(problem, recipe, composition, ctx, where, dtype)
    return Loop(problem, task, training, None if lane is None else lane.steps(training, encoder, task))
