"""A linear head under gradient descent (logistic or softmax loss): distances of directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stabilitybench.errors import UserError
from stabilitybench.suites.measurements.base import (
    Floats,
    Kind,
    MeasuredBound,
    favourable_p2,
    radius,
    start_generator,
)
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset
from stabilitybench.theory import MaxMargin, NotSeparable, bounds, leave_one_out, max_margin
from stabilitybench.theory.bounds import Bound
from stabilitybench.theory.one_run import HeadLoss


@dataclass(frozen=True, eq=False)
class _Run:
    """A measured head.

    groups : of starts [groups, heads, d].  each : turn of the direction without each row.  weights : of the common
    start.  heads : one for each group of starts.  limit : the max-margin direction, where there is one.
    """

    data: Dataset
    settings: Settings
    loss: HeadLoss
    rate: float
    groups: Floats
    each: Floats
    weights: Floats
    heads: Floats
    limit: MaxMargin | None

    @property
    def beta(self) -> float:
        return self.data.constants["beta"]

    @property
    def start(self) -> Floats | None:
        return None if self.loss == "softmax" else self.groups[0, 0]

    @property
    def common(self) -> dict[str, Any]:
        return {"rate": self.rate, "weight": self.settings.weight}


def _unfit(data: Dataset, s: Settings) -> str:
    if data.problem != "classification":
        return "needs a generator with labels"
    if data.classes > 2 and (s.starts or s.heads > 1 or s.scale):
        return "starts, scale and heads are measured for two classes only"
    return ""


def _measure(data: Dataset, s: Settings) -> tuple[dict[str, float], _Run]:
    loss: HeadLoss = "logistic" if data.classes == 2 else "softmax"
    rate = s.rate / data.constants["beta"]
    groups = starts(data, s)
    first = groups[0]
    z = data.x * np.where(data.y == 1, 1.0, -1.0)[:, None]
    if s.heads == 1:
        start = None if loss == "softmax" else first[0]
        loo = leave_one_out(
            data.x, data.y, loss, steps=s.steps, rate=rate, weight=s.weight, start=start, dtype="float64"
        )
        each, weights = loo.direction[0, 0], loo.weights[0, 0]
        found = {"data": each.mean(), "worst": each.max()}
        if loo.flips is not None:
            found["flips"] = loo.flips.mean()
    else:
        each = _mean_head_turns(z, first, rate, s.steps)
        found = {"data": each.mean(), "worst": each.max()}
        weights = _mean_heads(z, first[None], rate, s.steps)[0]
    heads = _mean_heads(z, groups, rate, s.steps) if s.starts else weights[None]
    limit = _limit(data)
    if s.starts:
        found["seed"] = _pairs(_unit(heads)).mean()
    if limit is not None and loss == "logistic":
        found["max-margin"] = np.linalg.norm(_unit(heads) - limit.direction, axis=1).mean()
    return found, _Run(data, s, loss, rate, groups, each, weights, heads, limit)


def _certificate(run: _Run, margin: float | None) -> MeasuredBound:
    _margin(run.data)  # refuses where there is none
    assert run.limit is not None
    made = bounds.max_margin_direction(run.data.x, run.data.y, run.weights, loss=run.loss, margin=margin)
    apart = np.linalg.norm(run.weights / np.linalg.norm(run.weights) - run.limit.direction)
    return MeasuredBound(made, np.array(apart))


def _margin_known(run: _Run) -> MeasuredBound:
    return _certificate(run, _margin(run.data))


def _duality_gap(run: _Run) -> MeasuredBound:
    return _certificate(run, None)


def _one_run(run: _Run) -> MeasuredBound:
    _one_head(run)
    made = bounds.head_tuning_one_run(
        run.data.x, run.data.y, loss=run.loss, steps=run.settings.steps, start=run.start, **run.common
    )
    return MeasuredBound(made, run.each)


def _closed_form(run: _Run) -> MeasuredBound:
    _one_head(run)
    made = bounds.head_tuning(
        n=run.data.n, radius=radius(run.data), margin=_margin(run.data), loss=run.loss, smoothness=run.beta,
        start_norm=float(np.linalg.norm(run.groups[0, 0])), norm=float(np.linalg.norm(run.weights)), **run.common,
    )  # fmt: skip
    return MeasuredBound(made, np.array(run.each.mean()))


def _two_starts(run: _Run) -> MeasuredBound:
    _one_head(run)
    _several_starts(run)
    norms = np.linalg.norm(run.heads, axis=1)
    a, b = np.triu_indices(len(run.heads), 1)
    made = [
        bounds.initialisation(gap=gap, norm_a=x, norm_b=y, rate=run.rate, smoothness=run.beta)
        for gap, x, y in zip(_pairs(run.groups[:, 0]), norms[a], norms[b], strict=True)
    ]
    return MeasuredBound(_together(made), _pairs(_unit(run.heads)))


def _averaged_heads(run: _Run) -> MeasuredBound:
    _several_starts(run)
    smallest = float(np.linalg.norm(run.heads, axis=1).min())
    bounds.initialisation(gap=0.0, norm_a=1.0, norm_b=1.0, rate=run.rate, smoothness=run.beta)  # refuses the rate
    made = bounds.averaged_heads(scale=run.settings.scale, d=run.data.d, heads=run.settings.heads, norm=smallest)
    return MeasuredBound(made, np.array(_pairs(_unit(run.heads)).mean()))


def _published(run: _Run) -> MeasuredBound:
    return MeasuredBound(favourable_p2(run.data, run.settings.steps), np.array(run.each.mean()))


KIND = Kind(
    "head",
    _unfit,
    _measure,
    {
        "B1 margin known": _margin_known,
        "B1 duality gap": _duality_gap,
        "B3 one run": _one_run,
        "B3 closed form": _closed_form,
        "B4 two starts": _two_starts,
        "B4 averaged heads": _averaged_heads,
        "P2": _published,
    },
)


def _one_head(run: _Run) -> None:
    if run.settings.heads > 1:
        raise UserError(f"heads = {run.settings.heads}: the bound is for one head")


def _several_starts(run: _Run) -> None:
    if run.settings.starts < 2:
        raise UserError(f"starts = {run.settings.starts}: must be at least 2, whose distances are bounded")


def starts(data: Dataset, s: Settings) -> Floats:
    """Return groups of starts: the same draws for every setting of a dataset's seed.

    Parameters
    ----------
    data : Dataset
        The dataset, whose seed and width count.
    s : Settings
        Number of groups, of heads in each, and the scale of the draws.

    Returns
    -------
    ndarray, shape (groups, heads, d)
        At least one group.
    """
    return s.scale * start_generator(data).standard_normal((max(s.starts, 1), s.heads, data.d))


def _descend(z: Floats, starts: Floats, rate: float, steps: int, kept: Floats | None = None) -> Floats:
    """Return heads [R, d] after descent on the mean logistic loss of rows z, weights 1/n; kept [R, n] masks rows."""
    from scipy.special import expit

    w, scale = starts.copy(), rate / len(z)
    for _ in range(steps):
        slopes = expit(-(w @ z.T))
        if kept is not None:
            slopes *= kept
        w += scale * (slopes @ z)
    return w


def _mean_heads(z: Floats, groups: Floats, rate: float, steps: int) -> Floats:
    """Return the mean head [groups, d] of each group of starts."""
    count, heads, d = groups.shape
    final = _descend(z, groups.reshape(-1, d), rate, steps)
    return np.asarray(final.reshape(count, heads, d).mean(axis=1))


def _mean_head_turns(z: Floats, starts: Floats, rate: float, steps: int) -> Floats:
    """Return how far the direction of the mean head turns without each row, [n]."""
    n, heads = len(z), len(starts)
    kept = np.repeat(np.vstack([np.ones(n), 1.0 - np.eye(n)]), heads, axis=0)
    final = _descend(z, np.tile(starts, (n + 1, 1)), rate, steps, kept)
    mean = _unit(final.reshape(n + 1, heads, -1).mean(axis=1))
    return np.asarray(np.linalg.norm(mean[1:] - mean[0], axis=1))


def _limit(data: Dataset) -> MaxMargin | None:
    try:
        return max_margin(data.x, data.y)
    except NotSeparable:
        return None


def _margin(data: Dataset) -> float:
    return max_margin(data.x, data.y).margin


def _together(made: list[Bound]) -> Bound:
    """Return the bounds of several pairs as one, a value for each pair."""
    values = np.array([bound.value for bound in made])
    return replace(made[0], values=np.array([values.mean()]), per_sample=values[None, :])


def _unit(weights: Floats) -> Floats:
    norm = np.linalg.norm(weights, axis=-1, keepdims=True)
    return np.asarray(weights / np.where(norm > 0, norm, 1.0))


def _pairs(rows: Floats) -> Floats:
    """Return the distance of every pair of rows."""
    a, b = np.triu_indices(len(rows), 1)
    return np.asarray(np.linalg.norm(rows[a] - rows[b], axis=1))
