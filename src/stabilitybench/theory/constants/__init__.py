"""Constants in the bounds: of numeric data, and of a real encoder with a head through its loss."""

from stabilitybench.theory.constants.hessian import Curvature, curvature
from stabilitybench.theory.constants.network import (
    Distance,
    NetworkConstants,
    distance,
    gradient_norms,
    mean_loss,
    network_constants,
)
from stabilitybench.theory.constants.numeric import (
    convexity,
    leave_one_out_curvature,
    lipschitz,
    margin,
    radius,
    smoothness,
)
from stabilitybench.theory.constants.sample_loss import model_loss
from stabilitybench.theory.margin import MaxMargin, NotSeparable, max_margin

__all__ = [
    "Curvature",
    "Distance",
    "MaxMargin",
    "NetworkConstants",
    "NotSeparable",
    "convexity",
    "curvature",
    "distance",
    "gradient_norms",
    "leave_one_out_curvature",
    "lipschitz",
    "margin",
    "max_margin",
    "mean_loss",
    "model_loss",
    "network_constants",
    "radius",
    "smoothness",
]
