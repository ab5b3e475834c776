"""What a run trains with, worked out from content and declarations alone: neither weights nor torch are needed.

A plan, and whoever reads results, asks here; the training asks the same functions.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Composition, Stabilizer, TaskFacts, compose
from stabilitybench.stabilizers.stages import LabelledTask, Stage
from stabilitybench.tasks import Task, load_task

#: Tokens read from a text where the recipe says nothing.
DEFAULT_LENGTH = 128


def text_length(encoder: Encoder, max_length: int | None) -> int:
    """Return the number of tokens read from a text: what the recipe says, within what the encoder can.

    Parameters
    ----------
    encoder : Encoder
        Its `max_length` is the limit.
    max_length : int or None
        What the recipe says; None: 128 or the encoder's maximum, if less.

    Raises
    ------
    UserError
        Where the recipe says more than the encoder can read.
    """
    if max_length is None:
        return min(DEFAULT_LENGTH, encoder.max_length)
    if max_length > encoder.max_length:
        raise UserError(
            f'recipe.max_length = {max_length}: encoder "{encoder.name}" reads at most {encoder.max_length} tokens'
        )
    return max_length


def stage_facts(stage: Stage) -> dict[str, Any]:
    """Return the content that a stage depends on beside its description.

    Parameters
    ----------
    stage : Stage
        Masked words or another task.

    Returns
    -------
    dict of str to Any
        `content`, the fingerprint of another task; empty for masked words.
    """
    return {"content": load_task(stage.task).fingerprint} if isinstance(stage, LabelledTask) else {}


def task_facts(task: Task) -> TaskFacts:
    """Return what stabilizers may know of a task.

    Parameters
    ----------
    task : Task
        Its rows stay unseen.
    """
    return TaskFacts(task.name, task.kind, task.outputs, len(task.train))


def effective(encoder: Encoder, task: Task, recipe: Recipe, composition: Composition) -> Recipe:
    """Return the recipe as composed stabilizers change it, with a learning rate.

    Parameters
    ----------
    encoder : Encoder
        Its layout, and the rate it recommends where the recipe has none.
    task : Task
        What is learned.
    recipe : Recipe
        The plain recipe.
    composition : Composition
        The stabilizers.

    Raises
    ------
    UserError
        Where a stabilizer cannot work there.
    """
    recipe = composition.recipe(recipe, encoder.layout, task_facts(task))
    return recipe if recipe.learning_rate is not None else recipe.replace(learning_rate=encoder.learning_rate)


def stages_of(encoder: Encoder, task: Task, recipe: Recipe, composition: Composition) -> tuple[Stage, ...]:
    """Return the stages before fine-tuning, each with a learning rate.

    Parameters
    ----------
    encoder : Encoder
        Its layout, and the rate it recommends where a stage has none.
    task : Task
        What is learned.
    recipe : Recipe
        As `effective` returns it.
    composition : Composition
        The stabilizers.
    """
    stages = composition.phases(recipe, encoder.layout, task_facts(task))
    return tuple(replace(s, rate=encoder.learning_rate) if s.rate is None else s for s in stages)


def stage_identity(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]
) -> list[dict[str, Any]]:
    """Return what determines the stages before fine-tuning, the content of other tasks included, as plain data.

    Parameters
    ----------
    encoder : Encoder
        What is fine-tuned.
    task : Task
        The target.
    recipe : Recipe
        The plain recipe.
    stabilizers : tuple of Stabilizer
        In any order.

    Returns
    -------
    list of dict of str to Any
        One for each stage, in their order; empty where there is none.

    Raises
    ------
    UserError
        Where another task is the target itself, or the stabilizers cannot work or stand together.

    Examples
    --------
    >>> from stabilitybench.encoders import load_encoder
    >>> from stabilitybench.stabilizers import build
    >>> from stabilitybench.tasks import load_task
    >>> encoder, task = load_encoder("pocket/bert-small"), load_task("pocket/acceptability")
    >>> [stage["stage"] for stage in stage_identity(encoder, task, Recipe(), (build("surt"),))]
    ['MaskedWords']
    """
    composition = Composition(compose(stabilizers, encoder.layout))
    stages = stages_of(encoder, task, effective(encoder, task, recipe, composition), composition)
    found = [{"stage": type(stage).__name__, **asdict(stage), **stage_facts(stage)} for stage in stages]
    for stage in found:
        if stage.get("content") == task.fingerprint:
            raise UserError(f'the stage before fine-tuning trains on "{stage["task"]}", which is the target itself')
    return found


def resolved(encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]) -> Recipe:
    """Return the recipe a run really trains with, after checking that every stabilizer can work there.

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

    Raises
    ------
    UserError
        Where a stabilizer cannot work there or beside another, the encoder cannot read texts of that length, or
        `dropout_off` names no module group of it.

    Examples
    --------
    >>> from stabilitybench.encoders import load_encoder
    >>> from stabilitybench.stabilizers import build
    >>> from stabilitybench.tasks import load_task
    >>> encoder, task = load_encoder("pocket/bert-small"), load_task("pocket/acceptability")
    >>> resolved(encoder, task, Recipe(), (build("longer"),)).epochs
    20.0
    """
    recipe = effective(encoder, task, recipe, Composition(compose(stabilizers, encoder.layout)))
    text_length(encoder, recipe.max_length)
    for group in recipe.dropout_off:
        if group not in encoder.layout.module_groups:
            groups = ", ".join(encoder.layout.module_groups)
            raise UserError(f'recipe.dropout_off: "{group}" is no module group of "{encoder.name}"; it has {groups}')
    return recipe
