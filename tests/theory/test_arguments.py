"""Every bound, constant and engine says which argument is bad, in one sentence and without a warning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stabilitybench import theory
from stabilitybench.errors import UserError
from stabilitybench.theory import bounds, constants
from support.bad_arguments import mistakes

X, Y = [[1.0, 0.2], [0.8, -0.3], [-1.0, 0.1], [2.0, 0.5]], [1, 1, 0, 1]
ROWS = {"x": X, "y": Y}
START = [0.0, 0.0]


def square(weights: dict, sample: dict) -> torch.Tensor:
    return (weights["w"] @ sample["x"]) ** 2 / 2


NETWORK = {"loss": square, "weights": {"w": torch.ones(2)}, "samples": {"x": torch.eye(2) * 2}, "chunk": 1}
SHARED = {"n": 60, "radius": 1.0, "margin": 0.2}
FOLLOWED = {"rate": 0.1, "steps": [1, 3], "weight": "1/n", "start": START}
PUBLISHED = SHARED | {"steps": 1000, "c": 0.1, "lam": 0.04, "nu": 0.2}
QUADRATICS = {
    "hessians": np.stack([np.eye(2)] * 3),
    "minimisers": np.arange(6.0).reshape(3, 2),
    "start": np.zeros(2),
    "rate": 0.5,
    "steps": [1, 2],
    "weight": "1/n",
}
ENGINE = {"rate": 0.1, "weight": "1/n", "start": START, "l2": 0.1, "dtype": "float64", "audit": 1, "max_memory": 2**20}
CALLS = [
    (theory.leave_one_out, ROWS | ENGINE | {"loss": "logistic", "steps": [1, 3], "path": "fused"}),
    (theory.leave_one_out_many, {"xs": [X], "ys": [Y]} | ENGINE | {"loss": "logistic", "steps": 3}),
    (theory.leave_one_out_max_margin, ROWS),
    (theory.leave_one_out_minimisers, ROWS | {"l2": 0.1, "weight": "1/n"}),
    (theory.leave_one_out_quadratics, QUADRATICS),
    (theory.log_spaced_steps, {"last": 100, "per_decade": 2}),
    (theory.max_margin, ROWS),
    (bounds.at_convergence, ROWS | {"weights": START, "loss": "logistic", "l2": 0.1, "weight": "1/n"}),
    (bounds.averaged_heads, {"scale": 1.0, "d": 8, "heads": 4, "norm": 10.0}),
    (
        bounds.common_minimiser,
        {"n": 9, "convexity": 0.1, "smoothness": 1.0, "distance": 1, "steps": 5, "rate": 0.5, "weight": "1/n"},
    ),
    (
        bounds.data_and_seed,
        SHARED | {"rate": 1.0, "norm": 5.0, "scale": 1.0, "d": 8, "heads": 2, "start_norm": 1.0, "smoothness": 0.2},
    ),
    (
        bounds.full_tuning,
        {"n": 9, "steps": 5, "rate": 0.5, "lipschitz": 1, "convexity": 0.1, "smoothness": 1.0, "weight": "1/n"},
    ),
    (bounds.full_tuning_one_run, ROWS | FOLLOWED | {"loss": "logistic", "l2": 0.1, "trajectory": None}),
    (bounds.head_tuning, SHARED | {"rate": 1.0, "loss": "logistic", "smoothness": 0.2, "start_norm": 1.0, "norm": 5.0}),
    (
        bounds.head_tuning_one_run,
        ROWS | FOLLOWED | {"loss": "logistic", "batches": [[0], [1], [2]], "trajectory": None},
    ),
    (bounds.initialisation, {"gap": 1.0, "norm_a": 10.0, "norm_b": 10.0, "rate": 1.0, "smoothness": 0.25}),
    (bounds.max_margin, SHARED | {"loss": "logistic"}),
    (bounds.max_margin_direction, ROWS | {"weights": [1.0, 0.0], "loss": "logistic", "margin": 1.0}),
    (bounds.max_margin_one_fit, {"x": X, "solution": theory.max_margin(X, Y)}),
    (bounds.max_margin_refit, {"margin": 1.0, "margins": [1.0, 1.5]}),
    (
        bounds.norm_growth,
        {"radius": 1.0, "margin": 0.2, "rate": 4.0, "steps": 10_000, "start_norm": 0.1, "smoothness": 0.2, "tau": 50.0},
    ),
    (
        bounds.published_full_tuning,
        {"n": 9, "lipschitz": 1, "smoothness": 1, "convexity": 0.1, "distance": 1, "loss_at_minimiser": 0.0},
    ),
    (bounds.published_head_tuning, PUBLISHED),
    (bounds.published_multi_head, PUBLISHED | {"heads": 100, "delta": 0.1, "xi": 1.0}),
    (bounds.recorded_run, {"pushes": [[0.1, 0.2]], "rate": 0.1, "convexity": 0.1, "smoothness": [1.0, 1.0]}),
    (bounds.violated, {"measured": [1.0], "bound": [1.0]}),
    (constants.convexity, {"x": X, "loss": "squared", "l2": 0.1}),
    (constants.curvature, NETWORK | {"tolerance": 0.1, "iterations": 10, "seed": 0}),
    (constants.distance, {"start": {"w": torch.ones(2)}, "end": {"w": torch.zeros(2)}, "without": ()}),
    (constants.gradient_norms, NETWORK),
    (constants.leave_one_out_curvature, {"x": X, "loss": "squared", "l2": 0.1, "weight": "1/n"}),
    (constants.lipschitz, ROWS | {"weights": START, "loss": "logistic"}),
    (constants.margin, ROWS),
    (constants.mean_loss, NETWORK),
    (constants.model_loss, {"model": torch.nn.Linear(2, 2).eval(), "frozen": ("bias",), "regression": False}),
    (constants.network_constants, NETWORK | {"start": {"w": torch.zeros(2)}, "tolerance": 0.1}),
    (constants.radius, {"x": X, "quantile": 1.0}),
    (constants.smoothness, {"x": X, "loss": "logistic", "l2": 0.1}),
]
#: Where a number does not fit another one, the message may name that one, or use the symbol.
SYMBOLS = {"smoothness": "beta", "l2": "beta", "tau": "steps", "start_norm": "steps", "xs": "x ", "ys": "y "}
NAMES = [call.__name__ for call, _ in CALLS]


@pytest.mark.parametrize(("call", "good"), CALLS, ids=NAMES)
def test_a_bad_argument_is_named(call, good: dict) -> None:
    assert mistakes(call, good, SYMBOLS) == []


def test_no_function_is_forgotten() -> None:
    public = {name for room in (theory, bounds, constants) for name in room.__all__ if name[0].islower()}
    assert public - set(NAMES) == {"bounds", "constants"}


@pytest.mark.parametrize("call", [constants.radius, lambda x: constants.smoothness(x, loss="squared")])
def test_features_whose_squares_leave_the_floats_are_refused(call) -> None:
    with pytest.raises(UserError, match="x has values"):
        call(np.array(X) * 1e300)
