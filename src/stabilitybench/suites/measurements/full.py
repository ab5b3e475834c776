"""A strongly convex problem (squared loss, or logistic loss with an l2 penalty): distances of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stabilitybench.errors import UserError
from stabilitybench.suites.measurements.base import Floats, Kind, MeasuredBound, radius, start_generator
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset
from stabilitybench.theory import bounds, leave_one_out
from stabilitybench.theory.inputs import Loss


@dataclass(frozen=True, eq=False)
class _Run:
    """A measured problem.

    each : distance of the weights without each row.  weights : those on all rows.
    """

    data: Dataset
    settings: Settings
    loss: Loss
    rate: float
    start: Floats
    each: Floats
    weights: Floats

    @property
    def beta(self) -> float:
        return self.data.constants["beta"]

    @property
    def l2(self) -> float:
        return self.data.constants.get("l2", 0.0)

    @property
    def given(self) -> dict[str, Any]:
        return {"loss": self.loss, "l2": self.l2, "weight": self.settings.weight}


def _unfit(data: Dataset, s: Settings) -> str:
    if data.problem == "quadratics" or "mu" not in data.constants or data.classes > 2:
        return "needs a generator of regression or of l2-logistic problems"
    if s.distance is not None and data.minimiser is None:
        return f"distance = {s.distance:g}: the minimiser of this generator is not known"
    return ""


def _measure(data: Dataset, s: Settings) -> tuple[dict[str, float], _Run]:
    loss: Loss = "squared" if data.problem == "regression" else "logistic"
    rate, start = s.rate / data.constants["beta"], _start(data, s)
    loo = leave_one_out(
        data.x, data.y, loss, steps=s.steps, rate=rate, weight=s.weight, start=start,
        l2=data.constants.get("l2", 0.0), dtype="float64",
    )  # fmt: skip
    each = loo.distance[0, 0]
    return {"data": each.mean(), "worst": each.max()}, _Run(data, s, loss, rate, start, each, loo.weights[0, 0])


def _at_convergence(run: _Run) -> MeasuredBound:
    if (1 - min(run.rate * run.data.constants["mu"], 1.0)) ** run.settings.steps > 1e-13:
        raise UserError(f"A1: steps = {run.settings.steps}: gradient descent has not converged yet")
    return MeasuredBound(bounds.at_convergence(run.data.x, run.data.y, run.weights, **run.given), run.each)


def _one_run(run: _Run) -> MeasuredBound:
    made = bounds.full_tuning_one_run(
        run.data.x, run.data.y, rate=run.rate, steps=run.settings.steps, start=run.start, **run.given
    )
    return MeasuredBound(made, run.each)


def _closed_form(run: _Run) -> MeasuredBound:
    n = run.data.n
    made = bounds.full_tuning(
        n=n, steps=run.settings.steps, rate=run.rate, lipschitz=_lipschitz(run), convexity=run.l2,
        smoothness=run.beta * (n / (n - 1)), weight=run.settings.weight,
    )  # fmt: skip
    return MeasuredBound(made, np.array(run.each.max()))


def _published(run: _Run) -> MeasuredBound:
    # constants of one sample's loss, its share of the penalty included
    data = run.data
    far = float(np.linalg.norm(run.start - (data.minimiser if data.minimiser is not None else run.weights)))
    made = bounds.published_full_tuning(
        n=data.n, lipschitz=_lipschitz(run) if run.l2 > 0 else 0.0,  # without convexity it is refused anyway
        convexity=run.l2, distance=far,
        smoothness=(1.0 if run.loss == "squared" else 0.25) * radius(data) ** 2 + run.l2,
    )  # fmt: skip
    return MeasuredBound(made, np.array(run.each.mean()))


KIND = Kind(
    "full",
    _unfit,
    _measure,
    {"A1": _at_convergence, "A2 one run": _one_run, "A2 closed form": _closed_form, "P1": _published},
)


def _start(data: Dataset, s: Settings) -> Floats:
    if s.distance is None:
        return np.zeros(data.d) if data.start is None else data.start
    assert data.minimiser is not None
    direction = start_generator(data).standard_normal(data.d)
    return np.asarray(data.minimiser + s.distance * direction / np.linalg.norm(direction))


def _lipschitz(run: _Run) -> float:
    """Return the largest norm of a sample's loss gradient along the run on all samples."""
    from scipy.special import expit

    data, loss, rate, l2 = run.data, run.loss, run.rate, run.l2
    w, largest = run.start.copy(), 0.0
    length = np.linalg.norm(data.x, axis=1)
    signs = np.where(data.y > 0, 1.0, -1.0)
    for _ in range(run.settings.steps):
        scores = data.x @ w
        pull = scores - data.y if loss == "squared" else -signs * expit(-signs * scores)
        largest = max(largest, float(np.max(np.abs(pull) * length)))
        step = rate * (pull @ data.x / data.n + l2 * w)
        if np.linalg.norm(step) <= 1e-15 * np.linalg.norm(w):
            break  # what still moves is rounding
        w -= step
    return largest
