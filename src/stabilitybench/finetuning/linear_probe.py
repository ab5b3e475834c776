"""Head tuning: one linear layer on cached features of the frozen encoder in evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.lru import Memory
from stabilitybench.finetuning.network import EncoderNetwork, HeadNetwork
from stabilitybench.finetuning.problem import TrainingProblem
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.recipe import Recipe
from stabilitybench.tasks.base import Task

ROWS = 64
Features = Literal["cls", "mean", "pooler"]


@dataclass(frozen=True, eq=False)
class FeatureSplit:
    """Features of a split, in the form the training loop batches.

    Attributes
    ----------
    features : Tensor of float32, shape (rows, width)
        What the head reads.
    labels : Tensor, shape (rows,)
        Class indices, or scores under regression.
    """

    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.features)

    @property
    def mask(self) -> Tensor:
        """All rows are equally long."""
        return torch.ones((len(self), 1), dtype=torch.int64)

    def batch(self, rows: npt.NDArray[np.intp]) -> TokenBatch:
        """Return the given rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Numbers of the rows, from 0.
        """
        index = torch.from_numpy(np.ascontiguousarray(rows))
        return TokenBatch(self.features[index], self.mask[index], None, self.labels[index])


@dataclass(frozen=True)
class FeatureTask:
    """The three splits of a task as features.

    Attributes
    ----------
    train, validation, test : FeatureSplit
        The splits.
    """

    train: FeatureSplit
    validation: FeatureSplit
    test: FeatureSplit


def head_problem(
    encoder: Encoder, task: Task, recipe: Recipe, device: torch.device, tensors: Mapping[str, Tensor]
) -> TrainingProblem:
    """Return the problem of tuning one linear layer on features of the frozen encoder.

    Parameters
    ----------
    encoder : Encoder
        Pretrained tensors and tokenizer.
    task : Task
        What is learned.
    recipe : Recipe
        Length of text, precision, and `features`: "cls", the last hidden state of the first token; "mean", the mean of
        the last hidden states over the text's tokens; "pooler", the pretrained pooler's output.
    device : torch.device
        Where the features are computed.
    tensors : mapping of str to Tensor
        Take the place of pretrained ones of their name, as stages before leave them.

    Raises
    ------
    UserError
        Where the pooler is asked for and the checkpoint carries none, the recipe asks for longer texts than the encoder
        can read, or the tokenizer cannot be used.
    """
    length = text_length(encoder, recipe.max_length)
    splits, warnings = _features(encoder, task, recipe.features, length, recipe.precision, device, tensors)
    width = splits.train.features.shape[1]
    return TrainingProblem(
        network=HeadNetwork(),
        pretrained={},
        newly_initialized={"classifier.weight": (task.outputs, width), "classifier.bias": (task.outputs,)},
        splits=splits,
        warnings=warnings,
    )


def frozen_features(
    encoder: Encoder, task: Task, kind: Features, max_length: int | None, device: torch.device
) -> tuple[FeatureSplit, tuple[str, ...]]:
    """Return the features of the training rows, kept per process, and warnings about the text.

    Parameters
    ----------
    encoder : Encoder
        Pretrained tensors and tokenizer.
    task : Task
        Gives the training rows.
    kind : {"cls", "mean", "pooler"}
        As `recipe.features`.
    max_length : int or None
        Most tokens of a text; None: 128 or the encoder's maximum, if less.
    device : torch.device
        Where the features are computed.

    Returns
    -------
    features : FeatureSplit
        Of the training rows, on the CPU.
    warnings : tuple of str
        One sentence where texts were cut.

    Raises
    ------
    UserError
        Where the encoder has no such features, or cannot read the texts.
    """
    # the other splits are not asked for: one row each stands in for them
    one = task.train.take([0])
    length = text_length(encoder, max_length)
    splits, warnings = _features(encoder, replace(task, validation=one, test=one), kind, length, "fp32", device)
    return splits.train, warnings


_FEATURES = Memory[tuple[FeatureTask, tuple[str, ...]]](size=4)


def _features(
    encoder: Encoder,
    task: Task,
    kind: str,
    length: int,
    precision: Literal["fp32", "bf16"],
    device: torch.device,
    tensors: Mapping[str, Tensor] | None = None,
) -> tuple[FeatureTask, tuple[str, ...]]:
    """Return the features of every split, with warnings about the text; the seeds of a study share them."""
    changed = dict(tensors or {})

    def make() -> tuple[FeatureTask, tuple[str, ...]]:
        classifier = encoder.pretrained_classifier(task.outputs)
        absent = [n for n in classifier.newly_initialized if n not in changed]
        lost = [n for n in absent if encoder.layout.module_group(n) == "pooler"]
        if kind == "pooler" and (encoder.layout.parts.pooler is None or lost):
            raise UserError(
                f'recipe.features = "pooler": encoder "{encoder.name}" has no pretrained pooler; use "cls" or "mean"'
            )
        network = EncoderNetwork(classifier, encoder.layout, Recipe(precision=precision), device)
        # The head is not read; any values serve.
        head = {n: torch.zeros(shape) for n, shape in classifier.newly_initialized.items()}
        params = {**head, **classifier.pretrained, **changed}
        params = {name: t.to(device) for name, t in params.items()}
        tokens = data.tokenise(encoder, task, length)
        splits = (tokens.train, tokens.validation, tokens.test)
        made = FeatureTask(*(_featurise(network, params, split, kind, encoder, device) for split in splits))
        return made, tuple(tokens.warnings(length))

    if changed:  # by a stage of this run's own
        return make()
    return _FEATURES.get((encoder.fingerprint, task.fingerprint, kind, length, precision, str(device)), make)


@torch.no_grad()
def _featurise(
    network: EncoderNetwork, params: dict[str, Tensor], split: data.TokenSplit, kind: str, encoder: Encoder,
    device: torch.device,
) -> FeatureSplit:  # fmt: skip
    out: Tensor | None = None
    for start in range(0, len(split), ROWS):
        rows = np.arange(start, min(start + ROWS, len(split)))
        batch = split.batch(rows).to(device)
        hidden = network(params, batch, hidden=True).hidden
        assert hidden is not None
        last = hidden[-1].float()
        if kind == "mean":
            mask = batch.mask[..., None].to(last.dtype)
            value = (last * mask).sum(1) / mask.sum(1)
        elif kind == "pooler":
            value = _pool(last[:, 0], params, encoder)
        else:
            value = last[:, 0]
        out = torch.empty((len(split), value.shape[1])) if out is None else out
        out[start : start + len(rows)] = value.cpu()
    assert out is not None
    return FeatureSplit(out, split.labels)


def _pool(first: Tensor, params: dict[str, Tensor], encoder: Encoder) -> Tensor:
    weight, bias = sorted(encoder.layout.names_in(params, ("pooler",)), key=lambda n: n.endswith("bias"))
    return torch.tanh(torch.nn.functional.linear(first, params[weight], params[bias]))
