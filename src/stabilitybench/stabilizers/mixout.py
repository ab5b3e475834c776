"""Mixout: dropout that falls back to the starting weights instead of to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stabilitybench.encoders.layout import is_norm
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context, TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.context import Params


@register("mixout")
@dataclass(frozen=True)
class Mixout(Stabilizer):
    r"""Replace random inputs of every linear layer by their starting weights while training.

    ``W~ = (M W + (1 - M) U - p U) / (1 - p)`` with U the weights at step 0 and M ~ Bernoulli(1 - p) drawn for each
    input neuron and step, shared by all outputs; so E[W~] = W.  Evaluation reads W itself.

    Modifies: the weights that the training pass reads (linear layers of encoder, pooler and head; no bias, norm or
    embedding), and the recipe's dropout, which it replaces unless keep_dropout is set.  U of a tensor that another
    method draws anew is the new draw.

    Defaults: p 0.1, with which later comparisons ran it; the authors' own example has 0.9.

    Deviations: variant="paper" has the gradient of this formula, M / (1 - p); variant="reference" leaves the factor
    1 / (1 - p) out, as the authors' code does.  Adam does not notice, gradient clipping does.
    """

    paper = "Lee, Cho & Kang 2020, arXiv:1909.11299"
    on_device = True
    position = Position.WEIGHTS
    p: float = 0.1
    variant: Literal["paper", "reference"] = "paper"
    keep_dropout: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p = {self.p}: must lie in [0, 1]")

    @property
    def exact_gradient(self) -> bool:
        """The reference leaves a part of the gradient out."""
        return self.variant == "paper"

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning, where no pretrained weight is trained."""
        if recipe.mode == "head":
            raise UserError("mixout cannot work under head tuning: no pretrained weight is trained there")

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Switch dropout off: its place is taken."""
        return recipe if self.keep_dropout else recipe.replace(dropout=0.0)

    def forward_weights(self, params: Params, ctx: Context) -> Params:
        """Mix every linear layer with its start."""
        if self.p == 0:
            return params
        return {
            name: self._mix(name, weight, ctx) if self._mixes(name, weight, ctx) else weight
            for name, weight in params.items()
        }

    @staticmethod
    def _mixes(name: str, weight: Tensor, ctx: Context) -> bool:
        frozen = weight is ctx.start.get(name)
        return not frozen and weight.ndim == 2 and not is_norm(name) and ctx.layout.module_group(name) != "embeddings"

    def _mix(self, name: str, weight: Tensor, ctx: Context) -> Tensor:
        start = ctx.start[name]
        if self.p == 1:  # the limit: nothing of W is left, and no gradient reaches it
            return start
        keep = ctx.bernoulli(1 - self.p, (1, weight.shape[1]), f"mixout {name}").to(weight)
        mixed = (keep * (weight - start) + (1 - self.p) * start) / (1 - self.p)
        if self.variant == "paper":
            return mixed
        kept = keep * weight
        return kept + (mixed - kept).detach()

    def neutral(self) -> Mixout:
        """Mix nothing, and leave dropout alone."""
        return Mixout(p=0.0, keep_dropout=True)
