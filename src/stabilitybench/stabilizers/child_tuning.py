"""Child-Tuning F: each step trains a random part of the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Context, Stabilizer, TaskFacts
from stabilitybench.stabilizers.registry import register

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.base import Params, State


@register("child-tuning-f")
@dataclass(frozen=True)
class ChildTuningF(Stabilizer):
    """Keep a random fraction of the layers' gradient elements at each step, scaled to the same mean.

    ``g <- g * M / keep`` with M ~ Bernoulli(keep), drawn anew for each element and step.

    Touches: the clipped gradient of the layers, before Adam's moments; embeddings, pooler and head train as ever, as
    in the authors' code.  Weight decay still shrinks every weight.  Default: 0.3, the authors' sample command.
    """

    paper = "Xu et al. 2021, arXiv:2109.05687"
    keep: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep = {self.keep}: must lie in (0, 1]")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning, where no layer is trained."""
        if recipe.mode == "head":
            raise UserError("child-tuning-f has nothing to do under head tuning: no layer is trained there")

    def edit_gradient(self, grads: Params, state: State, ctx: Context) -> Params:
        """Mask and scale."""
        if self.keep == 1:
            return grads
        return {
            name: g * ctx.bernoulli(self.keep, tuple(g.shape), f"child-tuning {name}").to(g) / self.keep
            if ctx.layout.place(name) in ctx.layout.layers
            else g
            for name, g in grads.items()
        }

    def neutral(self) -> ChildTuningF:
        """Keep every element."""
        return ChildTuningF(keep=1.0)
