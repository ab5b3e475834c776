"""Full fine-tuning: the whole encoder with its head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning import data
from stabilitybench.finetuning.lru import Memory
from stabilitybench.finetuning.network import EncoderNetwork
from stabilitybench.finetuning.problem import TrainingProblem
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.finetuning.tensors import Params
from stabilitybench.recipe import Recipe
from stabilitybench.tasks.base import Task

_ON_DEVICE = Memory[Params](size=2)


def full_problem(
    encoder: Encoder, task: Task, recipe: Recipe, device: torch.device, tensors: Mapping[str, Tensor]
) -> TrainingProblem:
    """Return the problem of training every tensor of an encoder and its head.

    Parameters
    ----------
    encoder : Encoder
        Pretrained tensors and tokenizer.
    task : Task
        What is learned.
    recipe : Recipe
        Length of text, precision and dropout.
    device : torch.device
        Where the tensors are put.
    tensors : mapping of str to Tensor
        Take the place of pretrained ones of their name, as stages before leave them.

    Raises
    ------
    UserError
        Where the recipe asks for longer texts than the encoder can read, or the tokenizer cannot be used.
    """
    classifier = encoder.pretrained_classifier(task.outputs)
    length = text_length(encoder, recipe.max_length)
    tokens = data.tokenise(encoder, task, length)

    def on_device() -> Params:
        return {name: t.to(device) for name, t in classifier.pretrained.items()}

    # the seeds of a study share them; nobody changes them in place
    key = (encoder.fingerprint, task.outputs, str(device))
    pretrained = on_device() if device.type == "cpu" else _ON_DEVICE.get(key, on_device)
    return TrainingProblem(
        network=EncoderNetwork(classifier, encoder.layout, recipe, device),
        pretrained={**pretrained, **{name: t.to(device) for name, t in tensors.items()}},
        newly_initialized={n: shape for n, shape in classifier.newly_initialized.items() if n not in tensors},
        splits=tokens,
        warnings=tuple(tokens.warnings(length)),
    )
