"""The same short training twice: in this project's own loop and in a Trainer, both in double precision."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer, TrainingArguments
from transformers import TrainerCallback as Callback

from stabilitybench.encoders import Encoder
from stabilitybench.encoders.silence import quiet
from stabilitybench.finetuning import data
from stabilitybench.finetuning.plain_steps import PlainSteps
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.finetuning.training import loop_of
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Stabilizer
from stabilitybench.tasks.base import Task
from support.families import make_task

SEEDS = Seeds(init=3, order=3, dropout=3, prepare=3)
#: Every setting that a stabilizer could disturb is away from its default; no dropout, whose masks differ by design.
RECIPE = Recipe(learning_rate=1e-3, batch_size=8, steps=3, warmup=0.0, weight_decay=0.1, clip=0.5, dropout=0.0)
#: What a Trainer has no place for, with words of the refusal.  Every other method of the catalogue must be equal.
REFUSED = {
    "deni": "several networks side by side",
    "intermediate-task": "in stages before fine-tuning",
    "surt": "in stages before fine-tuning",
}


class InOrder(Trainer):
    """A Trainer that takes its rows as they come."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)


def own_loop(encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]) -> Any:
    """Return the loop of `finetune`, ready for its first step, in double precision."""
    return loop_of(encoder, task, recipe, stabilizers, SEEDS, torch.device("cpu"), torch.float64)


def run_own(loop: Any, steps: int) -> list[dict[str, Tensor]]:
    """Take `steps` optimizer steps, as `Loop.run` does; return all tensors after each."""
    after = []
    training, plain = loop.training, PlainSteps(loop.training)
    rows = data.order(len(loop.task.train), training.recipe.batch_size, steps, training.ctx.seeds)
    for step, chosen in enumerate(rows):
        plain.step(training.splits.train.batch(chosen), training.at(step))
        after.append({n: t.clone() for n, t in {**training.params, **training.frozen}.items()})
    return after


def rows_of(encoder: Encoder, task: Task, split: str = "train") -> list[dict[str, Any]]:
    """Return the rows of a split as a tokenizer would give them to a Trainer."""
    tokens = getattr(data.tokenise(encoder, task, text_length(encoder, None)), split)
    out = []
    for i in range(len(tokens)):
        length = int(tokens.mask[i].sum())
        row = {"input_ids": tokens.tokens[i, :length].tolist(), "attention_mask": [1] * length}
        if tokens.segments is not None:
            row["token_type_ids"] = tokens.segments[i, :length].tolist()
        out.append({**row, "labels": tokens.labels[i].item()})
    return out


@lru_cache(maxsize=8)
def _stock(encoder: Encoder, outputs: int) -> tuple[Any, dict[str, Tensor]]:
    """Return the classifier of transformers and the weights that `finetune` starts from."""
    kind = "regression" if outputs == 1 else "classification"
    start = own_loop(encoder, make_task(kind=kind, classes=max(2, outputs)), RECIPE, ()).training.start
    with quiet(), torch.random.fork_rng(devices=[]):
        return AutoModelForSequenceClassification.from_pretrained(encoder.folder, num_labels=outputs), start


def model_of(encoder: Encoder, task: Task, dtype: torch.dtype = torch.float64, *, noisy: bool = False) -> Any:
    """Return the classifier of transformers with the very weights that `finetune` starts from.

    noisy : with the dropout of its configuration; without any otherwise.
    """
    stock, start = _stock(encoder, task.outputs)
    model = copy.deepcopy(stock).to(dtype)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout) and not noisy:
            part.p = 0.0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(start[name])
    return model


def arguments(folder: Path, **changes: Any) -> TrainingArguments:
    """Return the TrainingArguments that say what `RECIPE` says."""
    said: dict[str, Any] = {
        "output_dir": str(folder), "per_device_train_batch_size": RECIPE.batch_size, "max_steps": RECIPE.steps,
        "learning_rate": RECIPE.learning_rate, "weight_decay": RECIPE.weight_decay, "max_grad_norm": RECIPE.clip,
        "lr_scheduler_type": "linear", "warmup_steps": 0, "report_to": "none", "save_strategy": "no", "seed": 3,
        "disable_tqdm": True, "logging_strategy": "no", "use_cpu": True, "dataloader_pin_memory": False,
    }  # fmt: skip
    return TrainingArguments(**{**said, **changes})


def make_trainer(
    encoder: Encoder, task: Task, folder: Path, *, model: Any = None, kind: type[Trainer] = InOrder,
    given: dict[str, Any] | None = None, **changes: Any,
) -> Any:  # fmt: skip
    """Return a Trainer on the rows of the first epoch in the order that `finetune` takes them."""
    rows = rows_of(encoder, task)
    (order,) = data.order(len(rows), len(rows), 1, SEEDS)
    with quiet():
        return kind(
            model=model_of(encoder, task) if model is None else model,
            args=arguments(folder, **changes),
            train_dataset=[rows[i] for i in order],  # type: ignore[arg-type]
            eval_dataset=rows_of(encoder, task, "validation"),  # type: ignore[arg-type]
            data_collator=DataCollatorWithPadding(encoder.tokenizer()),
            **(given or {}),
        )


class After(Callback):
    """Calls a function with the number of steps taken and the model after each step, and ends the training in time."""

    def __init__(self, look: Callable[[int, Any], Any], last: int = 10**6) -> None:
        self.look, self.last = look, last

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look."""
        self.look(state.global_step, kwargs["model"])
        control.should_training_stop = control.should_training_stop or state.global_step >= self.last


def parameters(model: Any) -> dict[str, Tensor]:
    """Return copies of all parameters."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def run_trainer(trainer: Any, steps: int = 3, **how: Any) -> list[dict[str, Tensor]]:
    """Train for `steps` steps; return all parameters after each."""
    after: list[dict[str, Tensor]] = []
    trainer.add_callback(After(lambda _, model: after.append(parameters(model)), steps))
    with quiet(), redirect_stdout(StringIO()):  # a Trainer without a progress bar prints
        trainer.train(**how)
    return after


def distance(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Return the largest difference of any element; the names must agree."""
    assert set(ours) == set(theirs)
    return max(float((ours[n] - theirs[n]).abs().max()) for n in ours)
