"""Sharpness-aware minimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.stabilizers.base import GradientAt, State
    from stabilitybench.stabilizers.context import Params


@register("sam")
@dataclass(frozen=True)
class SAM(Stabilizer):
    """Step along the gradient taken where the loss is nearly largest in a small ball.

    ``g(w + radius * g(w) / ||g(w)||)`` in place of ``g(w)``; both passes see the same dropout masks.

    Modifies: the gradient, before clipping.  Two passes a step.

    Defaults: radius 0.05, the authors'.
    """

    paper = "Foret et al. 2021, arXiv:2010.01412; for language models: Bahri et al. 2022, arXiv:2110.08529"
    on_device = True
    position = Position.GRADIENT
    radius: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.radius < float("inf"):
            raise ValueError(f"radius = {self.radius}: must be at least 0")

    def gradient(self, grad_at: GradientAt, params: Params, state: State, ctx: Context) -> tuple[Tensor, Params]:
        """Climb, then take the gradient there; the loss reported is that of the weights themselves."""
        from stabilitybench.optim.clipping import norm

        loss, grads = grad_at(params)
        if self.radius == 0:
            return loss, grads
        size = norm(grads)
        way = (self.radius / size).where(size > 0, 0.0)  # without a gradient there is no way up
        climbed = {name: weight + way * grads[name] for name, weight in params.items()}
        return loss, grad_at(climbed)[1]

    def neutral(self) -> SAM:
        """Climb nowhere."""
        return SAM(radius=0.0)
