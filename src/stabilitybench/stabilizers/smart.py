"""SMART: predictions should not change under the worst small noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Batch, Context, Forward, TaskFacts
from stabilitybench.stabilizers.divergence import symmetric
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Trait

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("smart")
@dataclass(frozen=True)
class SMART(Stabilizer):
    """Penalise a change of the prediction under noise that one step of ascent has made bad.

    ``loss + weight * l(f(x), f(x + d))``: from d0 ~ N(0, start^2) on the words' embeddings, g the gradient of l at d0;
    then per token ``d = radius * g / max|g|`` (variant="gradient") or ``d = radius * v / max|v|`` with ``v = d0 + step
    * g`` (variant="sum").  l is the symmetric KL divergence, the squared difference under regression.

    Modifies: the loss.  Three passes a step, all with the same dropout masks.

    Defaults: those of the authors' first released code.

    Deviations: the two variants are the two released codes: the first one, of radius 0.001, and the later one, whose
    noise has a maximum of 1 in every token whatever the step; so set radius = 1 with variant="sum".  The Bregman
    proximal half of the paper is not in the released training and not here.
    """

    paper = "Jiang et al. 2020, arXiv:1911.03437"
    on_device = True
    traits = frozenset({Trait.COMPARES_ONE_HEAD})
    weight: float = 1.0
    radius: float = 1e-3
    start: float = 1e-5
    step: float = 1e-3
    variant: Literal["gradient", "sum"] = "gradient"

    def __post_init__(self) -> None:
        given = {"weight": self.weight, "radius": self.radius, "start": self.start, "step": self.step}
        for name, value in given.items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} = {value}: must be at least 0")

    @property
    def exact_gradient(self) -> bool:
        """The noise is found without a gradient through the search."""
        return False

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning, where no embedding is trained."""
        if recipe.mode == "head":
            raise UserError("smart cannot work under head tuning: it puts noise on the words' embeddings")

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return the weighted divergence under the noise found."""
        import torch

        if self.weight == 0:
            return 0.0
        words = forward.embeddings
        assert words is not None
        first = (self.start * ctx.row_noise(batch, words.shape[-1], self.name).to(words)).requires_grad_()
        seen = forward.rerun({"embeddings": first}).logits
        (slope,) = torch.autograd.grad(symmetric(forward.logits.detach(), seen, ctx.task.kind), first)
        ascent = slope if self.variant == "gradient" else first.detach() + self.step * slope
        worst = self.radius * ascent / ascent.abs().amax(-1, keepdim=True).clamp_min(1e-30)
        noised = forward.rerun({"embeddings": worst}).logits
        return self.weight * symmetric(forward.logits, noised, ctx.task.kind)

    def neutral(self) -> SMART:
        """Weigh the divergence by nothing."""
        return SMART(weight=0.0)
