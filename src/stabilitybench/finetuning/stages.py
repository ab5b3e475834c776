"""Stages before fine-tuning: from an encoder's tensors to better ones, as a function of content and seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.full import full_problem
from stabilitybench.finetuning.loop import Loop
from stabilitybench.finetuning.lru import Memory
from stabilitybench.finetuning.masked_words import fill_in_words
from stabilitybench.finetuning.plain_steps import Training
from stabilitybench.finetuning.resolution import stage_facts, task_facts
from stabilitybench.finetuning.tensors import Params
from stabilitybench.optim.clipping import norm
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Composition, Context
from stabilitybench.stabilizers.stages import LabelledTask, MaskedWords, Stage
from stabilitybench.tasks import Task, load_task


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the stages left.

    Attributes
    ----------
    tensors : dict of str to Tensor
        The encoder's tensors that they changed.
    before : dict of str to Tensor
        The same as they were pretrained.
    records : tuple of dict
        One for each stage, to be kept with the run: its name, steps, losses, and the Euclidean distance that the
        encoder moved in it.
    """

    tensors: Params = field(default_factory=dict)
    before: Params = field(default_factory=dict)
    records: tuple[dict[str, Any], ...] = ()

    def warnings(self) -> tuple[str, ...]:
        """Say which stages ended with weights that are no numbers."""
        broken = [r["stage"] for r in self.records if not math.isfinite(r["moved"])]
        return tuple(f"the stage before fine-tuning ({name}) diverged: try a smaller rate for it" for name in broken)


#: The last one made: arms that share their stages and seeds follow each other.
_PREPARED = Memory[Prepared](size=1)


def prepare(
    encoder: Encoder, task: Task, recipe: Recipe, stages: tuple[Stage, ...], seeds: Seeds, device: torch.device
) -> Prepared:
    """Execute stages one after the other, each from where the one before ended.

    Everything random comes from the `prepare` stream.  The result is kept by content and seed.

    Parameters
    ----------
    encoder : Encoder
        Pretrained tensors and tokenizer.
    task : Task
        The target; its texts serve for masked words.
    recipe : Recipe
        Of the fine-tuning; the stages take over batches, warm-up, decay, moments, clipping, length of text and
        precision.
    stages : tuple of Stage
        Each with a learning rate.
    seeds : Seeds
        Of the run.
    device : torch.device
        Where the stages train.
    """
    if not stages:
        return Prepared()
    settings = recipe.model_dump_json(include=set(_SHARED))
    content = tuple(stage_facts(stage).get("content") for stage in stages)
    key = (encoder.fingerprint, task.fingerprint, settings, stages, content, seeds.prepare, str(device))

    def make() -> Prepared:
        pretrained = encoder.pretrained_classifier(task.outputs).pretrained
        tensors: Params = {}
        records = []
        for number, stage in enumerate(stages):
            before = {**pretrained, **tensors}
            own = _stage_seeds(seeds, number)
            if isinstance(stage, MaskedWords):
                found, record = fill_in_words(encoder, task, recipe, stage, tensors, own, device)
            else:
                found, record = _labelled(encoder, recipe, stage, tensors, own, device)
            tensors = {**tensors, **found}
            # a pooler that the checkpoint lacks is trained by a labelled task all the same
            moved = {n: t.cpu() - before[n].cpu() for n, t in found.items() if n in before}
            records.append({"stage": NAMES[type(stage)], **record, "moved": float(norm(moved))})
        return Prepared(tensors, {n: pretrained[n].to(device) for n in tensors if n in pretrained}, tuple(records))

    return _PREPARED.get(key, make)


NAMES = {MaskedWords: "masked words", LabelledTask: "labelled task"}
#: What a stage takes over from the recipe of the fine-tuning; the rest is its own or standard: a linear
#: schedule, bias correction, the encoder's own dropout, one norm for clipping.
_SHARED = ("batch_size", "micro_batch", "warmup", "weight_decay", "betas", "epsilon", "clip", "max_length", "precision")


def _stage_seeds(seeds: Seeds, number: int) -> Seeds:
    """Return seeds that hang on the `prepare` stream alone and meet those of no other stage or run."""
    streams = ("init", "order", "dropout")
    return Seeds(**{stream: seeds.key("prepare", f"stage {number}", stream) for stream in streams})


def _labelled(
    encoder: Encoder, recipe: Recipe, stage: LabelledTask, tensors: Mapping[str, Tensor], seeds: Seeds,
    device: torch.device,
) -> tuple[Params, dict[str, Any]]:  # fmt: skip
    """Fine-tune on another task and return everything but its head."""
    task = load_task(stage.task)
    shared = recipe.model_dump(include=set(_SHARED))
    own = Recipe(**shared, learning_rate=stage.rate, epochs=stage.epochs, evaluations=1)
    problem = full_problem(encoder, task, own, device, tensors)
    total = own.total_steps(len(task.train))
    ctx = Context(own, encoder.layout, task_facts(task), problem.pretrained, seeds, total)
    training = Training(problem, own, Composition(), ctx, device)
    outcome = Loop(problem, task, training).run(time.perf_counter(), None, "last")
    assert outcome.final_weights is not None
    layout = encoder.layout
    kept = {n: t.to(device) for n, t in outcome.final_weights.items() if layout.module_group(n) != "head"}
    first, last = outcome.evaluations[0], outcome.evaluations[-1]
    score = {f"validation_{name}": value for name, value in last.validation.items()}
    return kept, {"task": task.name, "steps": total, "loss": first.train_loss, **score}
