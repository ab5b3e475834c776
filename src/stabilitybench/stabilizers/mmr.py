"""MMR: class centres are pushed apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Batch, Context, Forward, Stabilizer, TaskFacts
from stabilitybench.stabilizers.registry import register

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("mmr")
@dataclass(frozen=True)
class Mmr(Stabilizer):
    """Push the features of different classes apart: the maximal margin regulariser.

    ``loss + alpha * mean over pairs of classes of 1 / (1 + ||c_a - c_b||)`` with c_k the mean feature of class k in
    the batch (or micro-batch).  A batch of a single class adds nothing.

    Touches: the loss.  The features are what the last linear layer reads.  normalise: divide each feature by its length
    first; without that the penalty falls by mere growth of the features, which widens no margin.  The authors' alpha
    and their treatment of scale and of more than two classes are not known to us: 0.1 and normalised features are ours.
    """

    paper = "Fu, So & Collier 2023, arXiv:2301.09820"
    alpha: float = 0.1
    normalise: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"alpha = {self.alpha}: must be at least 0")

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse regression, and head tuning, where features have no gradient."""
        if task.kind != "classification":
            raise UserError(f'mmr cannot work on "{task.name}": it is a regression, and a margin lies between classes')
        if recipe.mode == "head":
            raise UserError("mmr cannot work under head tuning: frozen features have no gradient")

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return alpha times the mean closeness of the classes in the batch."""
        import torch

        features = forward.features
        if self.normalise:
            features = features / features.norm(dim=1, keepdim=True).clamp_min(1e-12)
        centres = [features[batch.labels == label].mean(0) for label in torch.unique(batch.labels)]
        # Two equal centres have no direction to part in: their distance has no gradient there, its square has.
        gaps = [(a - b).square().sum().clamp_min(1e-24).sqrt() for a, b in combinations(centres, 2)]
        return self.alpha * sum((1 / (1 + gap) for gap in gaps), forward.logits.new_zeros(())) / max(1, len(gaps))

    def neutral(self) -> Mmr:
        """Push with no force."""
        return Mmr(alpha=0.0)
