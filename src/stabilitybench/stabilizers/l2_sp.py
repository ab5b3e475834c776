"""L2-SP: a penalty on the distance to the starting point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context, TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.base import GradientAt, State
    from stabilitybench.stabilizers.context import Params


@register("l2-sp")
@dataclass(frozen=True)
class L2SP(Stabilizer):
    """Penalise the squared distance of the encoder to its start, and the squared size of the new head.

    ``loss + alpha / 2 * ||w - u||^2 + beta / 2 * ||w_head||^2`` over weights, not biases and norms.

    Modifies: the loss, and so the gradient before clipping.  The penalty goes through Adam, which rescales it: the
    decoupled form is pretrained-decay.

    Defaults: alpha and beta 0.01, those of the authors' code; their example has alpha 0.1.

    Deviations: the authors train image classifiers with SGD, where the penalty acts as it stands.
    """

    paper = "Li, Grandvalet & Davoine 2018, arXiv:1802.01483"
    on_device = True
    position = Position.ANCHOR
    alpha: float = 0.01
    beta: float = 0.01

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} = {value}: must be at least 0")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning, where no pretrained weight is trained."""
        if recipe.mode == "head":
            raise UserError("l2-sp cannot work under head tuning: no pretrained weight is trained there")

    def gradient(self, grad_at: GradientAt, params: Params, state: State, ctx: Context) -> tuple[Tensor, Params]:
        """Add the penalty to the loss and its gradient to the gradient."""
        loss, grads = grad_at(params)
        pulled = dict(grads)
        for name, weight in params.items():
            if is_bias(name) or is_norm(name):
                continue
            in_head = ctx.layout.module_group(name) == "head"
            strength = self.beta if in_head else self.alpha
            if strength == 0:
                continue
            away = weight.detach() if in_head else weight.detach() - ctx.start[name]
            loss = loss + strength / 2 * away.square().sum()
            pulled[name] = grads[name] + strength * away
        return loss, pulled

    def neutral(self) -> L2SP:
        """Penalise nothing."""
        return L2SP(alpha=0.0, beta=0.0)
