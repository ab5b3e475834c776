"""The limit of endless training of a linear head, the max-margin direction: distances of directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stabilitybench.suites.measurements.base import Kind, MeasuredBound, favourable_p2, radius
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset
from stabilitybench.theory import bounds, leave_one_out_max_margin
from stabilitybench.theory.margin import MaxMarginLeaveOneOut
from stabilitybench.theory.one_run import HeadLoss


@dataclass(frozen=True, eq=False)
class _Run:
    """A measured limit."""

    data: Dataset
    settings: Settings
    loo: MaxMarginLeaveOneOut


def _unfit(data: Dataset, s: Settings) -> str:
    return "" if data.problem == "classification" else "needs a generator with labels"


def _measure(data: Dataset, s: Settings) -> tuple[dict[str, float], _Run]:
    loo = leave_one_out_max_margin(data.x, data.y)
    return {"data": loo.direction.mean(), "worst": loo.direction.max()}, _Run(data, s, loo)


def _refit(run: _Run) -> MeasuredBound:
    made = bounds.max_margin_refit(margin=run.loo.full.margin, margins=run.loo.margin)
    return MeasuredBound(made, run.loo.direction)


def _one_fit(run: _Run) -> MeasuredBound:
    return MeasuredBound(bounds.max_margin_one_fit(run.data.x, run.loo.full), run.loo.direction)


def _closed_form(run: _Run) -> MeasuredBound:
    loss: HeadLoss = "logistic" if run.data.classes == 2 else "softmax"
    made = bounds.max_margin(n=run.data.n, radius=radius(run.data), margin=run.loo.full.margin, loss=loss)
    return MeasuredBound(made, np.array(run.loo.direction.mean()))


def _published(run: _Run) -> MeasuredBound:
    return MeasuredBound(favourable_p2(run.data, run.settings.steps), np.array(run.loo.direction.mean()))


KIND = Kind(
    "max-margin",
    _unfit,
    _measure,
    {"B2 refit": _refit, "B2 one fit": _one_fit, "B2 closed form": _closed_form, "P2": _published},
)
