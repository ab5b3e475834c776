"""Child-Tuning: a part of the encoder is trained, drawn anew at each step (F) or chosen once (D)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context, TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Trait

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.base import State
    from stabilitybench.stabilizers.context import Params


@register("child-tuning-f")
@dataclass(frozen=True)
class ChildTuningF(Stabilizer):
    """Keep a random fraction of the layers' gradient elements at each step, scaled to the same mean.

    ``g <- g * M / keep`` with M ~ Bernoulli(keep), drawn anew for each element and step.

    Modifies: the clipped gradient of the layers, before Adam's moments; embeddings, pooler and head train as ever, as
    in the authors' code.  Weight decay still shrinks every weight.

    Defaults: keep 0.3, the authors' sample command (for their task-driven variant).

    Deviations: none in the method.  The authors' code ignores the warm-up it is told, here the recipe's holds.
    """

    paper = "Xu et al. 2021, arXiv:2109.05687"
    on_device = True
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
            if ctx.layout.module_group(name) in ctx.layout.layers
            else g
            for name, g in grads.items()
        }

    def neutral(self) -> ChildTuningF:
        """Keep every element."""
        return ChildTuningF(keep=1.0)


@register("child-tuning-d")
@dataclass(frozen=True)
class ChildTuningD(Stabilizer):
    """Train only the fraction of the layers' elements that matter most to the task at the start.

    ``g <- g * M`` with M = 1 for the elements of largest Fisher information, the mean over the batches of one epoch of
    the squared gradient at step 0 (each tensor's gradient clipped to norm 1), ranked over all layers together.

    Modifies: the clipped gradient of the layers; embeddings, pooler and head train as ever, as in the authors' code.
    Weight decay still shrinks every weight.  One epoch of gradients before the training.

    Defaults: keep 0.3, the authors' sample command.

    Deviations: elements are chosen by rank, where the authors take a percentile as threshold; they differ in ties.  The
    authors' code ignores the warm-up it is told, here the recipe's holds.
    """

    paper = "Xu et al. 2021, arXiv:2109.05687"
    on_device = True
    traits = frozenset({Trait.HOLDS_WEIGHTS})
    keep: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep = {self.keep}: must lie in (0, 1]")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning, where no layer is trained."""
        if recipe.mode == "head":
            raise UserError("child-tuning-d has nothing to do under head tuning: no layer is trained there")

    def setup(self, params: Params, ctx: Context) -> State:
        """Choose the elements; the masks by tensor, True where an element is trained."""
        import torch

        if self.keep == 1:
            return {}
        information: Params = {}
        for grads in ctx.epoch_gradients():
            for name, g in grads.items():
                if ctx.layout.module_group(name) in ctx.layout.layers:
                    squared = (g / g.norm().clamp_min(1.0)).square()
                    information[name] = squared if name not in information else information[name] + squared
        if not information:  # every layer is frozen
            return {}
        scores = torch.cat([t.flatten() for t in information.values()])
        chosen = torch.zeros_like(scores, dtype=torch.bool)
        # by rank, not by threshold: ties would keep more than was asked for
        chosen[scores.argsort(descending=True, stable=True)[: round(self.keep * len(scores))]] = True
        parts = torch.split(chosen, [t.numel() for t in information.values()])
        return {name: part.view_as(t) for (name, t), part in zip(information.items(), parts, strict=True)}

    def edit_gradient(self, grads: Params, state: State, ctx: Context) -> Params:
        """Mask."""
        return {name: g * state[name] if name in state else g for name, g in grads.items()}

    def neutral(self) -> ChildTuningD:
        """Keep every element."""
        return ChildTuningD(keep=1.0)
