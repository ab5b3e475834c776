"""Adam as BERT was released with it: without bias correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Trait

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("bert-adam")
@dataclass(frozen=True)
class BertAdam(Stabilizer):
    """Adam without bias correction: the unstable optimizer of the released BERT, a control.

    ``w <- w - lr * m / (sqrt(v) + eps)``, that is ``(1 - b1^t) / sqrt(1 - b2^t)`` times the corrected step: with the
    usual betas at most 6.57 times (t = 12), and below 1.1 from t = 1751 on.

    Modifies: the optimizer.

    Deviations: two optimizers go by this name.  variant="hf" is the one most comparisons ran (AdamW of transformers 2.x
    with ``correct_bias=False``): one global clipping norm, eps 1e-8, decay after the step.  variant="original" is the
    released one: each tensor clipped alone, eps 1e-6, decay before the step.
    """

    paper = "Devlin et al. 2019, arXiv:1810.04805; diagnosed by Zhang et al. 2021, arXiv:2006.05987"
    traits = frozenset({Trait.LEAVES_BIAS})
    variant: Literal["hf", "original"] = "hf"

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Switch the correction off and set what else the variant did."""
        if self.variant == "original":
            return recipe.replace(bias_correction=False, clip_scope="tensor", epsilon=1e-6, decay_order="before")
        return recipe.replace(bias_correction=False, clip_scope="global", epsilon=1e-8, decay_order="after")
