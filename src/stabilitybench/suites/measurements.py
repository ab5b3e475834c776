"""What is measured on one synthetic dataset: leave-one-out and seed stability, and every bound beside them.

Four kinds of measurement:

head : gradient descent on a linear head (logistic or softmax loss); distances of directions.
max-margin : its limit, the max-margin direction; distances of directions.
full : a strongly convex problem (squared loss, or logistic loss with an l2 penalty); distances of weights.
common-minimiser : quadratics that share their minimiser; distances of weights, the largest over the steps.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError
from stabilitybench.seeds import ROOT
from stabilitybench.synthetic import Dataset
from stabilitybench.theory import (
    MaxMargin,
    NotSeparable,
    bounds,
    leave_one_out,
    leave_one_out_max_margin,
    leave_one_out_quadratics,
    log_spaced_steps,
    max_margin,
)
from stabilitybench.theory.bounds import Bound, Weight, violated
from stabilitybench.theory.bounds.result import PUBLISHED
from stabilitybench.theory.one_run import HeadLoss
from stabilitybench.theory.rows import Loss

Floats = npt.NDArray[np.float64]

QUANTITIES = {
    "data": "average over i of the distance without sample i, same start",
    "worst": "largest distance without one sample, same start",
    "seed": "mean distance between starts, same samples",
    "max-margin": "distance of the head's direction from the max-margin direction",
    "flips": "share of the samples whose predicted class changes without sample i, average over i",
}


@dataclass(frozen=True)
class Settings:
    """How a dataset is measured.

    kind : one of `KINDS`.  steps : of gradient descent.  rate : multiple of 1 / beta.  weight : of the samples that
    stay.  starts : independent starts for the seed quantity (0: not measured).  scale : standard deviation of a
    start's entries; the first start is the common one of the leave-one-out runs.  heads : averaged after training.
    distance : of the start from the minimiser (full), None: zero, or the start that the generator gives.
    bounds : names from `bound_names(kind)`.
    """

    kind: str
    steps: int = 1000
    rate: float = 1.0
    weight: Weight = "1/n"
    starts: int = 0
    scale: float = 0.0
    heads: int = 1
    distance: float | None = None
    bounds: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MeasuredBound(EqualByContent):
    """A bound as computed, beside what it bounds: `measured` is one number, or one for each left-out sample."""

    bound: Bound
    measured: Floats


def measure(data: Dataset, settings: Settings) -> dict[str, Any]:
    """Return the measured quantities and, for each bound asked for, its value, tightness and violations.

    A bound that its own function refuses (a rate beyond 2 / beta, no margin) is listed with the reason.
    Raises UserError where the generator does not fit the kind of measurement.
    """
    check(data, settings)
    found, held = KINDS[settings.kind](data, settings)
    return {
        "measured": {name: float(value) for name, value in found.items()},
        "bounds": {name: _compared(held[name]) for name in settings.bounds},
        "constants": dict(data.constants),
    }


def bound_names(kind: str) -> tuple[str, ...]:
    """Return the bounds that a kind of measurement can be held against.

    >>> bound_names("max-margin")
    ('B2 refit', 'B2 one fit', 'B2 closed form', 'P2')
    """
    return BOUNDS[kind]


def check(data: Dataset, s: Settings) -> None:
    """Raise UserError where a dataset of this generator cannot be measured in this way."""
    where = f'{data.name}: measure.kind = "{s.kind}"'
    if s.kind in ("head", "max-margin") and data.problem != "classification":
        raise UserError(f"{where}: needs a generator with labels")
    if s.kind == "head" and data.classes > 2 and (s.starts or s.heads > 1 or s.scale):
        raise UserError(f"{where}: starts, scale and heads are measured for two classes only")
    if s.kind == "full" and (data.problem == "quadratics" or "mu" not in data.constants or data.classes > 2):
        raise UserError(f"{where}: needs a generator of regression or of l2-logistic problems")
    if s.kind == "full" and s.distance is not None and data.minimiser is None:
        raise UserError(f"{where}: distance = {s.distance:g}: the minimiser of this generator is not known")
    if s.kind == "common-minimiser" and data.hessians is None:
        raise UserError(f'{where}: needs the generator "common-minimiser"')


def _compared(make: Callable[[], MeasuredBound]) -> dict[str, Any]:
    try:
        held = make()
    except UserError as error:
        return {"refused": str(error)}
    bound, measured = held.bound, held.measured
    limit = bound.per_sample[-1] if bound.per_sample is not None and measured.ndim else np.array(bound.value)
    average = float(measured.mean())
    return {
        "value": bound.value,
        "measured": average,
        "tightness": bound.value / average if average > 0 else None,
        "checks": int(np.size(measured)),
        "violations": int(np.sum(violated(measured, limit))),
        "scope": bound.scope,
        "published": bound.source == PUBLISHED,
        "trivial": bound.trivial if math.isfinite(bound.trivial) else None,
    }


# -- a linear head under gradient descent -------------------------------------------------------------------------


def _head(data: Dataset, s: Settings) -> tuple[dict[str, float], dict[str, Callable[[], MeasuredBound]]]:
    loss: HeadLoss = "logistic" if data.classes == 2 else "softmax"
    beta = data.constants["beta"]
    rate = s.rate / beta
    groups = _starts(data, s)
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
        each = _mean_head_moves(z, first, rate, s.steps)
        found = {"data": each.mean(), "worst": each.max()}
        weights = _mean_heads(z, first[None], rate, s.steps)[0]
    heads = _mean_heads(z, groups, rate, s.steps) if s.starts else weights[None]
    limit = _limit(data)
    if s.starts:
        found["seed"] = _pairs(_unit(heads)).mean()
    if limit is not None and loss == "logistic":
        found["max-margin"] = np.linalg.norm(_unit(heads) - limit.direction, axis=1).mean()
    common: dict[str, Any] = {"rate": rate, "weight": s.weight}

    def one_run() -> MeasuredBound:
        _one_head(s)
        start = None if loss == "softmax" else first[0]
        return MeasuredBound(
            bounds.head_tuning_one_run(data.x, data.y, loss=loss, steps=s.steps, start=start, **common), each
        )

    def closed() -> MeasuredBound:
        _one_head(s)
        start_norm, norm = float(np.linalg.norm(first[0])), float(np.linalg.norm(weights))
        made = bounds.head_tuning(
            n=data.n, radius=_radius(data), margin=_margin(data), loss=loss, smoothness=beta, start_norm=start_norm,
            norm=norm, **common,
        )  # fmt: skip
        return MeasuredBound(made, np.array(each.mean()))

    def certificate(margin: float | None) -> MeasuredBound:
        _margin(data)
        assert limit is not None
        made = bounds.max_margin_direction(data.x, data.y, weights, loss=loss, margin=margin)
        return MeasuredBound(made, np.array(np.linalg.norm(weights / np.linalg.norm(weights) - limit.direction)))

    def two_starts() -> MeasuredBound:
        _one_head(s)
        _several_starts(s)
        norms = np.linalg.norm(heads, axis=1)
        a, b = np.triu_indices(len(heads), 1)
        made = [
            bounds.initialisation(gap=gap, norm_a=x, norm_b=y, rate=rate, smoothness=beta)
            for gap, x, y in zip(_pairs(groups[:, 0]), norms[a], norms[b], strict=True)
        ]
        return MeasuredBound(_together(made), _pairs(_unit(heads)))

    def averaged() -> MeasuredBound:
        _several_starts(s)
        smallest = float(np.linalg.norm(heads, axis=1).min())
        bounds.initialisation(gap=0.0, norm_a=1.0, norm_b=1.0, rate=rate, smoothness=beta)  # refuses the rate
        made = bounds.averaged_heads(scale=s.scale, d=data.d, heads=s.heads, norm=smallest)
        return MeasuredBound(made, np.array(_pairs(_unit(heads)).mean()))

    def published() -> MeasuredBound:
        return MeasuredBound(_p2(data, s.steps), np.array(each.mean()))

    return found, {
        "B1 margin known": lambda: certificate(_margin(data)),
        "B1 duality gap": lambda: certificate(None),
        "B3 one run": one_run,
        "B3 closed form": closed,
        "B4 two starts": two_starts,
        "B4 averaged heads": averaged,
        "P2": published,
    }


def _one_head(s: Settings) -> None:
    if s.heads > 1:
        raise UserError(f"heads = {s.heads}: the bound is for one head")


def _several_starts(s: Settings) -> None:
    if s.starts < 2:
        raise UserError(f"starts = {s.starts}: must be at least 2, whose distances are bounded")


def _starts(data: Dataset, s: Settings) -> Floats:
    """Return groups of starts [groups, heads, d]: the same draws for every setting of a dataset's seed."""
    sequence = np.random.SeedSequence(ROOT, spawn_key=(zlib.crc32(b"starts"), data.seed))
    rng = np.random.Generator(np.random.PCG64(sequence))
    return s.scale * rng.standard_normal((max(s.starts, 1), s.heads, data.d))


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


def _mean_head_moves(z: Floats, starts: Floats, rate: float, steps: int) -> Floats:
    """Return how far the direction of the mean head turns without each row, [n]."""
    n, heads = len(z), len(starts)
    kept = np.repeat(np.vstack([np.ones(n), 1.0 - np.eye(n)]), heads, axis=0)
    final = _descend(z, np.tile(starts, (n + 1, 1)), rate, steps, kept)
    mean = _unit(final.reshape(n + 1, heads, -1).mean(axis=1))
    return np.asarray(np.linalg.norm(mean[1:] - mean[0], axis=1))


# -- the max-margin limit -----------------------------------------------------------------------------------------


def _max_margin(data: Dataset, s: Settings) -> tuple[dict[str, float], dict[str, Callable[[], MeasuredBound]]]:
    loo = leave_one_out_max_margin(data.x, data.y)
    loss: HeadLoss = "logistic" if data.classes == 2 else "softmax"
    gamma = loo.full.margin
    average = np.array(loo.direction.mean())
    return {"data": loo.direction.mean(), "worst": loo.direction.max()}, {
        "B2 refit": lambda: MeasuredBound(bounds.max_margin_refit(margin=gamma, margins=loo.margin), loo.direction),
        "B2 one fit": lambda: MeasuredBound(bounds.max_margin_one_fit(data.x, loo.full), loo.direction),
        "B2 closed form": lambda: MeasuredBound(
            bounds.max_margin(n=data.n, radius=_radius(data), margin=gamma, loss=loss), average
        ),
        "P2": lambda: MeasuredBound(_p2(data, s.steps), average),
    }


def _p2(data: Dataset, steps: int) -> Bound:
    """Return P2 with its most favourable constants.

    No direction term; n lambda = 1 / max alpha, the largest value for which the soft- and the hard-margin solution are
    the same; nu = gamma, which turns a distance of weights into one of directions.
    """
    solution = max_margin(data.x, data.y)
    lam = 1 / (data.n * float(solution.alpha.max()))
    return bounds.published_head_tuning(
        n=data.n, steps=max(steps, 3), radius=_radius(data), margin=solution.margin, c=0.0, lam=lam, nu=solution.margin
    )


def _limit(data: Dataset) -> MaxMargin | None:
    try:
        return max_margin(data.x, data.y)
    except NotSeparable:
        return None


def _margin(data: Dataset) -> float:
    return max_margin(data.x, data.y).margin


def _radius(data: Dataset) -> float:
    return float(data.constants["radius"])


# -- strongly convex problems -------------------------------------------------------------------------------------


def _full(data: Dataset, s: Settings) -> tuple[dict[str, float], dict[str, Callable[[], MeasuredBound]]]:
    loss: Loss = "squared" if data.problem == "regression" else "logistic"
    if data.problem == "quadratics" or "mu" not in data.constants or data.classes > 2:
        raise UserError(
            f'{data.name}: measure.kind = "full" needs a generator of regression or of l2-logistic problems'
        )
    mu, beta, l2 = data.constants["mu"], data.constants["beta"], data.constants.get("l2", 0.0)
    rate = s.rate / beta
    start = _full_start(data, s)
    loo = leave_one_out(
        data.x,
        data.y,
        loss,
        steps=s.steps,
        rate=rate,
        weight=s.weight,
        start=start,
        l2=l2,
        dtype="float64",
    )
    each, weights = loo.distance[0, 0], loo.weights[0, 0]
    given: dict[str, Any] = {"loss": loss, "l2": l2, "weight": s.weight}

    def closed() -> MeasuredBound:
        run = bounds.full_tuning(
            n=data.n, steps=s.steps, rate=rate, lipschitz=_lipschitz(data, loss, start, rate, l2, s.steps),
            convexity=l2, smoothness=beta * (data.n / (data.n - 1)), weight=s.weight,
        )  # fmt: skip
        return MeasuredBound(run, np.array(each.max()))

    def converged() -> MeasuredBound:
        if (1 - min(rate * mu, 1.0)) ** s.steps > 1e-13:
            raise UserError(f"A1: steps = {s.steps}: gradient descent has not converged yet")
        return MeasuredBound(bounds.at_convergence(data.x, data.y, weights, **given), each)

    def published() -> MeasuredBound:
        # constants of one sample's loss, its share of the penalty included
        far = float(np.linalg.norm(start - (data.minimiser if data.minimiser is not None else weights)))
        largest = _lipschitz(data, loss, start, rate, l2, s.steps) if l2 > 0 else 0.0  # refused anyway
        made = bounds.published_full_tuning(
            n=data.n, lipschitz=largest, convexity=l2, distance=far,
            smoothness=(1.0 if loss == "squared" else 0.25) * _radius(data) ** 2 + l2,
        )  # fmt: skip
        return MeasuredBound(made, np.array(each.mean()))

    return {"data": each.mean(), "worst": each.max()}, {
        "A1": converged,
        "A2 one run": lambda: MeasuredBound(
            bounds.full_tuning_one_run(data.x, data.y, rate=rate, steps=s.steps, start=start, **given), each
        ),
        "A2 closed form": closed,
        "P1": published,
    }


def _full_start(data: Dataset, s: Settings) -> Floats:
    if s.distance is None:
        return np.zeros(data.d) if data.start is None else data.start
    assert data.minimiser is not None
    sequence = np.random.SeedSequence(ROOT, spawn_key=(zlib.crc32(b"starts"), data.seed))
    direction = np.random.Generator(np.random.PCG64(sequence)).standard_normal(data.d)
    return np.asarray(data.minimiser + s.distance * direction / np.linalg.norm(direction))


def _lipschitz(data: Dataset, loss: str, start: Floats, rate: float, l2: float, steps: int) -> float:
    """Return the largest norm of a sample's loss gradient along the run on all samples."""
    from scipy.special import expit

    w, largest = start.copy(), 0.0
    length = np.linalg.norm(data.x, axis=1)
    signs = np.where(data.y > 0, 1.0, -1.0)
    for _ in range(steps):
        scores = data.x @ w
        pull = scores - data.y if loss == "squared" else -signs * expit(-signs * scores)
        largest = max(largest, float(np.max(np.abs(pull) * length)))
        step = rate * (pull @ data.x / data.n + l2 * w)
        if np.linalg.norm(step) <= 1e-15 * np.linalg.norm(w):
            break  # what still moves is rounding
        w -= step
    return largest


def _common_minimiser(data: Dataset, s: Settings) -> tuple[dict[str, float], dict[str, Callable[[], MeasuredBound]]]:
    assert data.hessians is not None
    assert data.start is not None
    mu, beta, distance = (data.constants[key] for key in ("mu", "beta", "distance"))
    rate = s.rate / beta
    full, without = leave_one_out_quadratics(
        data.hessians, data.x, data.start, rate=rate, steps=log_spaced_steps(s.steps, per_decade=20), weight=s.weight
    )
    each = np.linalg.norm(without - full[:, None], axis=2)
    largest, average = each.max(axis=0), np.array(each.mean(axis=1).max())

    def published() -> MeasuredBound:
        made = bounds.published_full_tuning(
            n=data.n, lipschitz=data.constants["lipschitz"], smoothness=beta, convexity=mu, distance=distance,
            loss_at_minimiser=0.0,
        )  # fmt: skip
        return MeasuredBound(made, average)

    def transient() -> MeasuredBound:
        made = bounds.common_minimiser(
            n=data.n, convexity=mu, smoothness=beta, distance=distance, rate=rate, weight=s.weight
        )
        return MeasuredBound(made, largest)

    return {"data": float(average), "worst": largest.max()}, {"common minimiser": transient, "P1": published}


# -- small things -------------------------------------------------------------------------------------------------


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


Measured = tuple[dict[str, float], dict[str, Callable[[], MeasuredBound]]]
KINDS: dict[str, Callable[[Dataset, Settings], Measured]] = {
    "head": _head,
    "max-margin": _max_margin,
    "full": _full,
    "common-minimiser": _common_minimiser,
}
BOUNDS: dict[str, tuple[str, ...]] = {
    "head": (
        "B1 margin known",
        "B1 duality gap",
        "B3 one run",
        "B3 closed form",
        "B4 two starts",
        "B4 averaged heads",
        "P2",
    ),
    "max-margin": ("B2 refit", "B2 one fit", "B2 closed form", "P2"),
    "full": ("A1", "A2 one run", "A2 closed form", "P1"),
    "common-minimiser": ("common minimiser", "P1"),
}
