"""Adam with bias correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Trait

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("debiased-adam")
@dataclass(frozen=True)
class DebiasedAdam(Stabilizer):
    """Adam with bias correction (AdamW): what an empty arm already trains with, said by name.

    ``w <- w - lr * [m / (1 - b1^t)] / (sqrt(v / (1 - b2^t)) + eps)``

    Modifies: the optimizer, where the study's own recipe switched the correction off.
    """

    paper = "Zhang et al. 2021, arXiv:2006.05987; Mosbach et al. 2021, arXiv:2006.04884"
    traits = frozenset({Trait.CORRECTS_BIAS})

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Switch the correction on."""
        return recipe.replace(bias_correction=True)

    def neutral(self) -> DebiasedAdam:
        """Return itself: the plain recipe is debiased."""
        return self
