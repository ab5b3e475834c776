"""LNSR: what a layer's noise does further up is penalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Batch, Context, Forward, TaskFacts
from stabilitybench.stabilizers.registry import register

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("lnsr")
@dataclass(frozen=True)
class LNSR(Stabilizer):
    """Penalise how much noise on the output of one layer changes the outputs of those above it.

    ``loss + weight * sum over layers r > b of ||f_r(h_b + e) - f_r(h_b)||^2``, averaged over tokens, with Gaussian e
    whose length is on average the fraction `noise` of that of h_b in each token.

    Modifies: the loss.  A second pass with the same dropout masks.

    Defaults: the authors' layers and weights are not known to us; the first layer and weight 1 are ours, the noise of
    5 % is that of their motivating figure.
    """

    paper = "Hua et al. 2021, arXiv:2107.04835"
    on_device = True
    weight: float = 1.0
    layer: int = 0
    noise: float = 0.05

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight), ("layer", self.layer), ("noise", self.noise)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} = {value}: must be at least 0")

    @property
    def exact_gradient(self) -> bool:
        """The length of the noise is taken as given."""
        return False

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse encoders without layers of their own, a layer with none above it, and head tuning."""
        if layout.parts.shared_layers:
            raise UserError(f'lnsr cannot work on "{layout.architecture}": all its layers share one set of weights')
        if self.layer >= layout.depth - 1:
            raise UserError(
                f"lnsr.layer = {self.layer}: must be below {layout.depth - 1}, the top layer of this encoder, "
                "so that there is a layer above it"
            )
        if recipe.mode == "head":
            raise UserError("lnsr cannot work under head tuning: no layer is trained there")

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return the weighted change of the states above the layer."""
        if self.weight == 0:
            return 0.0
        assert forward.hidden is not None
        state = forward.hidden[self.layer + 1].detach()
        length = state.norm(dim=-1, keepdim=True) * state.shape[-1] ** -0.5
        noise = self.noise * length * ctx.row_noise(batch, state.shape[-1], self.name).to(state)
        noised = forward.rerun({f"layer.{self.layer}": noise}).hidden
        assert noised is not None
        above = zip(forward.hidden[self.layer + 2 :], noised[self.layer + 2 :], strict=True)
        change = sum(((a - b).square().sum() for a, b in above), forward.logits.new_zeros(()))
        return self.weight * change / batch.mask.sum()

    def neutral(self) -> LNSR:
        """Weigh the change by nothing."""
        return LNSR(weight=0.0)
