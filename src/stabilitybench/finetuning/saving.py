"""Keeping the weights of a run as a normal Hugging Face folder."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.encoders.silence import quiet
from stabilitybench.errors import UserError
from stabilitybench.tasks.base import Task


def save_model(encoder: Encoder, task: Task, weights: dict[str, Tensor], folder: Path) -> None:
    """Write classifier and tokenizer to a folder, to be read by ``from_pretrained``.

    Parameters
    ----------
    encoder : Encoder
        Gives configuration and tokenizer.
    task : Task
        Gives the names of the classes.
    weights : dict of str to Tensor
        Every tensor of the classifier, by Hugging Face name.
    folder : Path
        Made where it is missing.

    Raises
    ------
    UserError
        Where the weights are not those of a plain classifier of this architecture.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    names = task.classes or ("score",)
    with quiet(), torch.random.fork_rng(devices=[]):
        config = AutoConfig.for_model(**deepcopy(encoder.config))
        config.num_labels = task.outputs
        config.id2label = dict(enumerate(names))
        config.label2id = {name: i for i, name in enumerate(names)}
        config.problem_type = "regression" if task.kind == "regression" else "single_label_classification"
        # The configuration may name half precision, to which the trained weights would be rounded.
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
        other = sorted(set(weights) ^ {name for name, _ in model.named_parameters()})
        if other:
            # Written all the same, the rest of the model would be random.
            raise UserError(
                f'the weights cannot be kept: they are no plain "{encoder.layout.architecture}" classifier, '
                f'"{other[0]}" is missing or too many'
            )
        model.load_state_dict(weights, strict=False)  # buffers are constants
        model.save_pretrained(folder)
        encoder.tokenizer().save_pretrained(folder)
