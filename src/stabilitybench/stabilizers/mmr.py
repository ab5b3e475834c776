"""MMR: class centres are pushed apart."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Batch, Context, Forward, TaskFacts
from stabilitybench.stabilizers.registry import register

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.context import Params

Floats = npt.NDArray[Any]
#: Training rows whose features are measured, evenly spaced: the time of a fit grows faster than their number.
MOST_ROWS = 1000


@register("mmr")
@dataclass(frozen=True)
class MMR(Stabilizer):
    """Push the features of different classes apart: the maximal margin regulariser.

    ``loss + alpha * mean over pairs of classes of 1 / (1 + ||c_a - c_b||)`` with c_k the mean feature of class k in
    the batch (or micro-batch).  A batch of a single class adds nothing.

    Modifies: the loss.  The features are what the last linear layer reads.  normalise: divide each feature by its
    length first; without that the penalty falls by mere growth of the features, which widens no margin.  The authors'
    alpha and their treatment of scale and of more than two classes are not known to us: 0.1 and normalised features are
    ours.

    Recorded at every evaluation, for features of the training rows without noise: mmr.radius, the length B of the
    longest; mmr.margin, the widest margin gamma of a linear separation of two classes, the smallest over all pairs (0
    where none is found); and mmr.margin_over_radius, gamma / B, which mere growth leaves alone.  This takes a forward
    pass over the training rows; of more than 1,000 rows, 1,000 are measured, evenly spaced.
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

    def measures(self, params: Params, ctx: Context) -> dict[str, float]:
        """Measure radius and margin of the features of the training rows."""
        features, labels = ctx.training_features(params)
        rows = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), MOST_ROWS)).astype(int))
        features, labels = features[rows], labels[rows]
        radius = float(features.norm(dim=1).max())
        margin = _margin(features.double().numpy(), labels.numpy())
        return {
            "mmr.radius": radius,
            "mmr.margin": margin,
            "mmr.margin_over_radius": margin / radius if radius else 0.0,
        }

    def neutral(self) -> MMR:
        """Push with no force."""
        return MMR(alpha=0.0)


def _margin(x: Floats, y: Floats) -> float:
    """Return the smallest over pairs of classes of the widest margin between them; 0 where there is none.

    Parameters
    ----------
    x : ndarray, shape (rows, width)
        Features.
    y : ndarray, shape (rows,)
        Class indices.
    """
    from sklearn.svm import SVC

    margins = []
    for a, b in combinations(np.unique(y).tolist(), 2):
        rows = (y == a) | (y == b)
        scale = float(np.abs(x[rows]).max()) or 1.0  # the solver's tolerance is absolute
        points, sides = x[rows] / scale, np.where(y[rows] == b, 1.0, -1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a separation that is not found in time counts as none
            found = SVC(kernel="linear", C=1e6, max_iter=20_000).fit(points, sides)
        way, offset = found.coef_[0], float(found.intercept_[0])
        length = float(np.linalg.norm(way))
        reached = float((sides * (points @ way + offset)).min()) / length if length else 0.0
        margins.append(max(0.0, reached * scale))
    return min(margins, default=0.0)
