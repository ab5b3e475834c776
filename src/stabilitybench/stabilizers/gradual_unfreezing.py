"""Gradual unfreezing from the top."""

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


@register("gradual-unfreezing")
@dataclass(frozen=True)
class GradualUnfreezing(Stabilizer):
    """Train the head first, then one more layer from the top at a time, with a slanted triangular schedule.

    The k-th layer from the top moves from the fraction ``over * k / (L + 1)`` of the training on, the embeddings as
    the last at ``over``; head and pooler from the start.

    Modifies: the learning rates and the schedule.  A layer that waits moves not at all, its optimizer's moments grow
    already.

    Defaults: over 0.5, ours.  The rate falls to 1/32 of its peak, as the authors' does.

    Deviations: the authors add a layer each epoch; runs here have fewer epochs than an encoder has layers, so the
    layers are spread over the fraction `over` of the training.
    """

    paper = "Howard & Ruder 2018, arXiv:1801.06146"
    traits = frozenset({Trait.HOLDS_WEIGHTS})
    over: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.over <= 1:
            raise ValueError(f"over = {self.over}: must lie in [0, 1]")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse encoders without layers of their own, and head tuning."""
        if layout.parts.shared_layers:
            raise UserError(
                f'gradual-unfreezing cannot work on "{layout.architecture}": all its layers share one set of weights'
            )
        if recipe.mode == "head":
            raise UserError("gradual-unfreezing has nothing to do under head tuning: no layer is trained there")

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Take the schedule that belongs to the method."""
        return recipe.replace(schedule="slanted")

    def rate(self, name: str, ctx: Context) -> float:
        """Return 0 until the tensor's layer has its turn."""
        group, layout = ctx.layout.module_group(name), ctx.layout
        if group == "embeddings":
            turn = layout.depth + 1
        elif group in layout.layers:
            turn = layout.depth - layout.layers.index(group)
        else:
            return 1.0
        return 0.0 if ctx.progress < self.over * turn / (layout.depth + 1) else 1.0
