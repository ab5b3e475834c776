"""Re-initialisation of the pooler and the top layers."""

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
    import torch

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.context import Params


@register("reinit")
@dataclass(frozen=True)
class ReInit(Stabilizer):
    """Start the pooler and the top `layers` layers from new weights instead of pretrained ones.

    ``W ~ N(0, initializer_range^2), b = 0``, layer norms weight 1 and bias 0, drawn from the `init` stream.

    Modifies: the initial tensors of the pooler and of the top layers, nothing else.  RoBERTa-style classifiers
    have no pooler (their head is new anyway), so that pooler = true is refused there.  ALBERT shares its layers and is
    refused.

    Deviations: none in the law.  The tensors are written here one by one, because the initialiser of current versions
    of transformers leaves loaded weights untouched without a word.

    Defaults: layers 1, the safest; the authors' sample command has 5 for the 24 layers of BERT-large, and they choose
    among 1 to 6 on validation.
    """

    paper = "Zhang et al. 2021, arXiv:2006.05987, section 5"
    position = Position.DRAW
    layers: int = 1
    pooler: bool | None = None  # unset: wherever the encoder has one

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ValueError(f"layers = {self.layers}: must be at least 0")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse encoders without layers of their own to draw anew."""
        if layout.parts.shared_layers:
            raise UserError(f'reinit cannot work on "{layout.architecture}": all its layers share one set of weights')
        if self.layers > layout.depth:
            raise UserError(f"reinit.layers = {self.layers}: the encoder has {layout.depth} layers")
        if self.pooler and layout.parts.pooler is None:
            raise UserError(
                f'reinit.pooler = true: "{layout.architecture}" classifiers have no pooler; '
                "leave pooler out or set it to false"
            )
        if self.pooler is None and not self.draws(layout):
            raise UserError(
                f'reinit.layers = 0: "{layout.architecture}" classifiers have no pooler, so nothing is drawn'
            )
        if recipe.mode == "head":
            raise UserError("reinit cannot work under head tuning: its new layers would never be trained")

    def draws(self, layout: Layout) -> tuple[str, ...]:
        """Return the groups drawn anew."""
        pooler = layout.parts.pooler is not None if self.pooler is None else self.pooler
        return (*layout.top(self.layers), *(("pooler",) if pooler else ()))

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Draw the chosen tensors anew; every other tensor is passed on as it is."""
        chosen = ctx.layout.names_in(params, self.draws(ctx.layout))
        return {**params, **{name: self._draw(name, params[name], ctx) for name in chosen}}

    @staticmethod
    def _draw(name: str, old: torch.Tensor, ctx: Context) -> torch.Tensor:
        if is_bias(name):
            return old.new_zeros(old.shape)
        if is_norm(name):
            return old.new_ones(old.shape)
        return ctx.normal(name, old, std=ctx.layout.initializer_range, purpose="reinit")

    def neutral(self) -> ReInit:
        """Re-initialise nothing."""
        return ReInit(layers=0, pooler=False)
