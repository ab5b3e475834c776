"""LP-FT: the head is fitted on frozen features before everything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import Context
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from stabilitybench.stabilizers.context import Params

Floats = npt.NDArray[Any]


@register("lp-ft")
@dataclass(frozen=True)
class LPFT(Stabilizer):
    """Fit the output layer on frozen features first, then train everything from there.

    Linear probing, then fine-tuning: the output layer at step 0 minimises ``sum of losses + ||W||^2 / (2 c)`` on the
    features of the training rows, computed once without dropout; cross-entropy, or squared error under regression
    (whose penalty is then ``||W||^2 / c``); biases are free.  A class without training rows gets
    weight 0 and the smallest of the biases.

    Modifies: the output layer at step 0.  Where the head has a layer of its own below (RoBERTa), that layer keeps its
    random weights in the probe.  The probe is solved to its optimum, so it needs no rate, steps or seed.  The authors
    choose c on validation; 1 is the default of the solver they use.
    """

    paper = "Kumar et al. 2022, arXiv:2202.10054"
    position = Position.PROBE
    traits = frozenset({Trait.SETS_OUTPUT_START})
    c: float = 1.0

    def __post_init__(self) -> None:
        if not 1e-9 <= self.c <= 1e9:
            raise ValueError(f"c = {self.c}: must lie in [1e-9, 1e9]")

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Put the fitted output layer in."""
        import torch

        features, labels = ctx.training_features(params)
        if not torch.isfinite(features).all():  # a stage before has diverged, and so will the run
            return params
        x, y = features.double().numpy(), labels.numpy()
        weight, bias = (
            _squares(x, y, self.c) if ctx.task.kind == "regression" else _logistic(x, y, ctx.task.outputs, self.c)
        )
        output = ctx.layout.output(params)
        fitted = {f"{output}.weight": weight, f"{output}.bias": bias}
        return {**params, **{name: torch.from_numpy(value).to(params[name]) for name, value in fitted.items()}}


def _logistic(x: Floats, y: Floats, classes: int, c: float) -> tuple[Floats, Floats]:
    """Return weight (classes, width) and bias (classes,) of multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    present = np.unique(y)
    weight, bias = np.zeros((classes, x.shape[1])), np.zeros(classes)
    if len(present) == 1:  # nothing to tell apart
        return weight, bias
    # Two opposite rows of half a vector penalise it half as much as one whole row does.
    found = LogisticRegression(C=c if len(present) > 2 else 2 * c, max_iter=10_000, tol=1e-8).fit(x, y)
    if len(present) == 2:
        half = found.coef_[0] / 2, found.intercept_[0] / 2
        weight[present], bias[present] = np.stack([-half[0], half[0]]), np.stack([-half[1], half[1]])
    else:
        weight[present], bias[present] = found.coef_, found.intercept_
    bias[np.setdiff1d(np.arange(classes), present)] = bias.min() if len(present) < classes else 0.0
    return weight, bias


def _squares(x: Floats, y: Floats, c: float) -> tuple[Floats, Floats]:
    """Return weight (1, width) and bias (1,) of ridge regression."""
    from sklearn.linear_model import Ridge

    found = Ridge(alpha=1 / c).fit(x, y)
    return found.coef_[None].astype(float), np.array([float(found.intercept_)])
