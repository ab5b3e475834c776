"""BitFit: only biases are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.encoders.layout import is_bias
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("bitfit")
@dataclass(frozen=True)
class BitFit(Stabilizer):
    """Train the biases and the head alone; every other tensor keeps its pretrained value.

    ``w <- w + change`` for biases (those of norms and of the pooler too) and the head alone.

    Modifies: nothing; frozen tensors get no gradient and end bit for bit where they started.  It wants a far higher
    rate than full fine-tuning (the authors: 1e-3 against 1e-5): give the arm a recipe of its own.

    Deviations: none known; the authors also train named subsets of the biases, which are not offered.
    """

    paper = "Ben Zaken, Goldberg & Ravfogel 2022, arXiv:2106.10199"
    position = Position.FREEZE
    traits = frozenset({Trait.TRAINS_BIASES_ALONE})

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse head tuning."""
        if recipe.mode == "head":
            raise UserError("bitfit has nothing to do under head tuning: the whole encoder is frozen already")

    def conflict(self, other: Stabilizer, layout: Layout | None = None) -> str | None:
        """Refuse groups that another method draws anew: their weights would stay random."""
        drawn = [] if layout is None else other.draws(layout)
        return f"{', '.join(drawn)} would start anew and only the biases train; drop one of the two" if drawn else None

    def frozen(self, name: str, layout: Layout) -> bool:
        """Tell whether `name` is neither a bias nor in the head."""
        return not is_bias(name) and layout.module_group(name) != "head"
