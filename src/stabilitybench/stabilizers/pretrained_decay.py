"""Weight decay towards the pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
    from stabilitybench.stabilizers.base import State
    from stabilitybench.stabilizers.context import Params


@register("pretrained-decay")
@dataclass(frozen=True)
class PretrainedDecay(Stabilizer):
    """Let weights decay towards where they started instead of towards zero.

    ``w <- w - lr * strength * (w - u)`` beside each optimizer step (decoupled), for weights but not for biases and
    norms.

    Modifies: the weights after each step, and the recipe's own weight decay, which it replaces.  u is the weight at
    step 0, so that layers another method draws anew are drawn to their new values, as in the authors' code.

    Defaults: strength 0.01, that of a later comparison (Du & Nguyen 2023); the authors' sample command has 0.001.

    Deviations: variant="paper": the new head decays towards 0; variant="reference": towards its own random start, which
    is what the released code did by mistake.
    """

    paper = "Zhang et al. 2021, arXiv:2006.05987; coupled form: Li et al. 2018, arXiv:1802.01483"
    on_device = True
    position = Position.AFTER
    strength: float = 0.01
    variant: Literal["paper", "reference"] = "paper"

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength = {self.strength}: must lie in [0, 1]")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning, where no pretrained weight is trained."""
        if recipe.mode == "head":
            raise UserError("pretrained-decay cannot work under head tuning: no pretrained weight is trained there")

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Switch the decay towards zero off."""
        return recipe.replace(weight_decay=0.0)

    def after_step(self, params: Params, previous: Params, state: State, ctx: Context) -> tuple[Params, State]:
        """Pull every weight a little."""
        return {name: self._pull(name, weight, previous[name], ctx) for name, weight in params.items()}, state

    def _pull(self, name: str, weight: Tensor, previous: Tensor, ctx: Context) -> Tensor:
        if is_bias(name) or is_norm(name):
            return weight
        to_zero = self.variant == "paper" and ctx.layout.module_group(name) == "head"
        away = previous if to_zero else previous - ctx.start[name]
        return weight - ctx.rates[name] * self.strength * away
