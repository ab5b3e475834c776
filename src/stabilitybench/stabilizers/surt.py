"""SURT: masked-language modelling on the task's own texts before fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context, TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.stages import MaskedWords, Stage
from stabilitybench.stabilizers.traits import Position

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.context import Params


@register("surt")
@dataclass(frozen=True)
class SURT(Stabilizer):
    """Learn to fill in hidden words of the training texts first, labels unseen; then fine-tune.

    Self unsupervised re-training: w_0 comes from minimising ``mean over chosen words of -log p(word | the rest)`` on
    the task's own texts, from the pretrained weights, for `epochs` passes with a fraction `mask` of the words chosen.
    Its authors' bound shrinks with the distance from w_0 to the fine-tuned weights w_T.

    Modifies: the encoder's embeddings and layers at step 0 (not a pooler, which masked words do not train).  The stage
    has the recipe's batches, warm-up, decay, clipping and length of text, and Adam with bias correction.

    Recorded at every evaluation: the distance of the encoder's weights to where fine-tuning began and to the
    pretrained ones; with the run: the stage's losses and how far it moved.  That it moves towards w_T is not
    guaranteed, so compare these with the distance of a plain run.

    Defaults: stage_rate, the peak rate, is what the encoder recommends.  The authors' epochs and share of words are not
    known to us: 3 is ours, 0.15 that of BERT (Devlin et al. 2019).
    """

    paper = "Fu, So & Collier 2023, arXiv:2301.09820; in other words Gururangan et al. 2020, arXiv:2004.10964"
    position = Position.TEXT_STAGE
    epochs: float = 3.0
    mask: float = 0.15
    stage_rate: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.epochs <= 100_000:
            raise ValueError(f"epochs = {self.epochs}: must lie in [0, 100000]")
        if not 0.01 <= self.mask < 1:
            raise ValueError(f"mask = {self.mask}: must lie in [0.01, 1)")
        check_rate("stage_rate", self.stage_rate)

    def phases(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> tuple[Stage, ...]:
        """Fill in words of the task's own texts."""
        return (MaskedWords(self.epochs, self.stage_rate, self.mask),) if self.epochs else ()

    def measures(self, params: Params, ctx: Context) -> dict[str, float]:
        """Measure how far the encoder is from where fine-tuning began, and from the pretrained weights."""
        return distances("surt", params, ctx)

    def neutral(self) -> SURT:
        """Train for no epoch."""
        return SURT(epochs=0)


def check_rate(name: str, rate: float | None) -> None:
    """Refuse what is neither None nor a learning rate.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    rate : float or None
        In (0, 100]; None: what the encoder recommends.

    Raises
    ------
    ValueError
        Where it lies outside.
    """
    if rate is not None and not 0 < rate <= 100:
        raise ValueError(f"{name} = {rate}: must lie in (0, 100]")


def distances(prefix: str, params: Params, ctx: Context) -> dict[str, float]:
    """Return the Euclidean distance of the encoder to its weights at step 0 and to the pretrained ones.

    Parameters
    ----------
    prefix : str
        Name of the method that records them.
    params : dict of str to Tensor
        The weights that are evaluated.
    ctx : Context
        Gives both origins.

    Returns
    -------
    dict of str to float
        ``prefix.from_start`` and ``prefix.from_pretrained``; empty where the encoder is not trained.
    """
    names = [n for n in params if n in ctx.reference and ctx.layout.module_group(n) != "head"]
    if not names:
        return {}

    def distance(origin: Mapping[str, Tensor]) -> float:
        return math.sqrt(sum(float((params[n] - origin[n]).double().square().sum()) for n in names))

    return {f"{prefix}.from_start": distance(ctx.start), f"{prefix}.from_pretrained": distance(ctx.reference)}
