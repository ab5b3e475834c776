"""Quadratics that share their minimiser: distances of weights, the largest over the steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stabilitybench.suites.measurements.base import Floats, Kind, MeasuredBound
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset
from stabilitybench.theory import bounds, leave_one_out_quadratics, log_spaced_steps


@dataclass(frozen=True, eq=False)
class _Run:
    """Measured quadratics.

    largest : over the steps, the distance without each sample.  average : over the samples, the largest over the steps.
    """

    data: Dataset
    settings: Settings
    rate: float
    largest: Floats
    average: Floats


def _unfit(data: Dataset, s: Settings) -> str:
    return 'needs the generator "common-minimiser"' if data.hessians is None else ""


def _measure(data: Dataset, s: Settings) -> tuple[dict[str, float], _Run]:
    assert data.hessians is not None
    assert data.start is not None
    rate = s.rate / data.constants["beta"]
    full, without = leave_one_out_quadratics(
        data.hessians, data.x, data.start, rate=rate, steps=log_spaced_steps(s.steps, per_decade=20), weight=s.weight
    )
    each = np.linalg.norm(without - full[:, None], axis=2)
    largest, average = each.max(axis=0), np.array(each.mean(axis=1).max())
    return {"data": float(average), "worst": largest.max()}, _Run(data, s, rate, largest, average)


def _transient(run: _Run) -> MeasuredBound:
    constants = run.data.constants
    made = bounds.common_minimiser(
        n=run.data.n, convexity=constants["mu"], smoothness=constants["beta"], distance=constants["distance"],
        rate=run.rate, weight=run.settings.weight,
    )  # fmt: skip
    return MeasuredBound(made, run.largest)


def _published(run: _Run) -> MeasuredBound:
    constants = run.data.constants
    made = bounds.published_full_tuning(
        n=run.data.n, lipschitz=constants["lipschitz"], smoothness=constants["beta"], convexity=constants["mu"],
        distance=constants["distance"], loss_at_minimiser=0.0,
    )  # fmt: skip
    return MeasuredBound(made, run.average)


KIND = Kind("common-minimiser", _unfit, _measure, {"common minimiser": _transient, "P1": _published})
