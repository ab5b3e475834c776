"""Freezing of the embeddings and the bottom layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("freeze")
@dataclass(frozen=True)
class Freeze(Stabilizer):
    """Keep the embeddings and the first `layers` layers at their pretrained weights.

    ``w = u`` for the tensors of embeddings and layers 1 to `layers`, u the pretrained value.

    Modifies: nothing; the frozen tensors get no gradient, no decay and end bit for bit where they started.  Pooler
    and head always train.  With every layer frozen, pooler and head alone are tuned.  dropout: whether the frozen
    part keeps its dropout while training.

    Defaults: layers 1, ours, the mildest; the authors try half of the layers to all of them.  The authors do not say
    whether frozen layers keep their dropout; they do here, as in transformers' own loops.
    """

    paper = "Lee, Tang & Lin 2019, arXiv:1911.03090"
    position = Position.FREEZE
    layers: int = 1
    embeddings: bool = True
    dropout: bool = True

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ValueError(f"layers = {self.layers}: must be at least 0")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse encoders whose layers cannot be frozen apart."""
        if layout.parts.shared_layers and self.layers:
            raise UserError(f'freeze cannot work on "{layout.architecture}": all its layers share one set of weights')
        if self.layers > layout.depth:
            raise UserError(f"freeze.layers = {self.layers}: the encoder has {layout.depth} layers")
        if recipe.mode == "head":
            raise UserError("freeze has nothing to do under head tuning: the whole encoder is frozen already")

    def conflict(self, other: Stabilizer, layout: Layout | None = None) -> str | None:
        """Refuse groups that another method draws anew: they would stay random."""
        if layout is None:
            return None
        both = sorted(set(other.draws(layout)) & set(self._groups(layout)))
        return (
            f"{', '.join(both)} would start anew and never train; let fewer layers be drawn or frozen" if both else None
        )

    def _groups(self, layout: Layout) -> tuple[str, ...]:
        """Return the frozen module groups."""
        return (*(("embeddings",) if self.embeddings else ()), *layout.bottom(self.layers))

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Switch dropout off in the frozen groups, if asked to."""
        if self.dropout:
            return recipe
        return recipe.replace(dropout_off=tuple(dict.fromkeys((*recipe.dropout_off, *self._groups(layout)))))

    def frozen(self, name: str, layout: Layout) -> bool:
        """Tell whether `name` lies in a frozen group."""
        return layout.module_group(name) in self._groups(layout)

    def neutral(self) -> Freeze:
        """Freeze nothing."""
        return Freeze(layers=0, embeddings=False)
