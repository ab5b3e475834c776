"""Layer-wise decay of the learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context, TaskFacts
from stabilitybench.stabilizers.registry import register

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("llrd")
@dataclass(frozen=True)
class LLRD(Stabilizer):
    """Train lower layers at smaller rates: each layer at `decay` times the rate of the one above it.

    Head and pooler at the full rate, the top layer at ``decay``, layer k of L (from 0) at ``decay^(L-k)``, the
    embeddings at ``decay^(L+1)``.

    Modifies: the learning rates.  ALBERT shares its layers and is refused.

    Defaults: decay 0.95, that of Zhang et al. for BERT; Howard & Ruder divide by 2.6.
    """

    paper = "Howard & Ruder 2018, arXiv:1801.06146; for BERT: Zhang et al. 2021, arXiv:2006.05987"
    decay: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay = {self.decay}: must lie in (0, 1]")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse encoders without layers of their own, and head tuning."""
        if layout.parts.shared_layers:
            raise UserError(f'llrd cannot work on "{layout.architecture}": all its layers share one set of weights')
        if recipe.mode == "head":
            raise UserError("llrd has nothing to do under head tuning: no layer is trained there")

    def rate(self, name: str, ctx: Context) -> float:
        """Return the factor of the tensor's layer."""
        group, layout = ctx.layout.module_group(name), ctx.layout
        if group == "embeddings":
            return self.decay ** (layout.depth + 1)
        if group in layout.layers:
            return self.decay ** (layout.depth - layout.layers.index(group))
        return 1.0

    def neutral(self) -> LLRD:
        """Give every layer the same rate."""
        return LLRD(decay=1.0)
