"""The full table: 50 datasets a setting, every bound against exact leave-one-out runs of up to 10,000 steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stabilitybench.errors import UserError
from stabilitybench.synthetic import generate
from stabilitybench.theory import (
    bounds,
    constants,
    leave_one_out,
    leave_one_out_max_margin,
    leave_one_out_quadratics,
    max_margin,
)

SEEDS = range(50)
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "loss"), [("ridge", "squared"), ("l2-logistic", "logistic")])
@pytest.mark.parametrize("weight", ["1/n", "1/(n-1)"])
def test_full_tuning(kind: str, loss: str, weight: str) -> None:
    ratios = []
    for seed in SEEDS[:20]:
        data = generate(kind, n=50, d=10, l2=0.1, seed=seed)
        _, beta = constants.leave_one_out_curvature(data.x, loss=loss, l2=0.1, weight=weight)
        call = {"loss": loss, "rate": 1 / beta.max(), "steps": [10, 100, 1000], "l2": 0.1, "weight": weight}
        measured = leave_one_out(data.x, data.y, dtype="float64", **call)
        found = bounds.full_tuning_one_run(data.x, data.y, **call)
        limit = bounds.at_convergence(data.x, data.y, measured.weights[-1, 0], loss=loss, l2=0.1, weight=weight)
        assert not bounds.violated(measured.distance[:, 0], found.per_sample).any()
        assert not bounds.violated(measured.distance[-1, 0], limit.per_sample[0]).any()
        ratios.append(
            [np.median(found.per_sample[-1] / measured.distance[-1, 0]), limit.value / measured.mean_distance[-1, 0]]
        )
    assert np.all(np.median(ratios, axis=0) < 1.6)
    assert np.all(np.median(ratios, axis=0) > 1.1)


@pytest.mark.parametrize(
    ("n", "refit", "fit", "closed"),
    [(10, 1.1, 1.7, 2.4), (20, 1.3, 2.6, 3.9), (40, 1.7, 4.3, 6.1), (80, 2.3, 9.2, 12.8), (320, 4.5, 34.6, 49.2)],
)
def test_max_margin(n: int, refit: float, fit: float, closed: float) -> None:
    ratios, published = [], []
    for seed in SEEDS:
        data = generate("separable-ball", n=n, d=10, margin=0.2, seed=seed)
        found = leave_one_out_max_margin(data.x, data.y)
        gamma, radius = found.full.margin, data.constants["radius"]
        each = (
            bounds.max_margin_refit(margin=gamma, margins=found.margin),
            bounds.max_margin_one_fit(data.x, found.full),
            bounds.max_margin(n=n, radius=radius, margin=gamma),
        )
        for bound in each[:2]:
            assert not bounds.violated(found.direction, bound.per_sample).any()
        assert not bounds.violated(found.direction.mean(), each[2].value)
        ratios.append([bound.value / found.direction.mean() for bound in each])
        lam = 1 / (n * found.full.alpha.max())
        published.append(
            bounds.published_head_tuning(n=n, steps=1000, radius=radius, margin=gamma, c=0.0, lam=lam, nu=gamma).value
        )
    assert np.median(ratios, axis=0) == pytest.approx([refit, fit, closed], rel=0.05)
    assert np.median(published) > math.sqrt(2)


def test_head_tuning_up_to_ten_thousand_steps() -> None:
    steps = [1, 10, 100, 1000, 10_000]
    ratios, certificates, closed_ratios = [], [], []
    for seed in SEEDS[:20]:
        data = generate("separable-ball", n=40, d=5, margin=0.2, seed=seed)
        beta = constants.smoothness(data.x, loss="logistic")
        measured = leave_one_out(data.x, data.y, steps=steps, rate=1 / beta, weight="1/n", dtype="float64")
        found = bounds.head_tuning_one_run(data.x, data.y, rate=1 / beta, steps=steps)
        assert not bounds.violated(measured.direction[:, 0], found.per_sample).any()
        solution = max_margin(data.x, data.y)
        closed = bounds.head_tuning(
            n=40, radius=data.constants["radius"], margin=solution.margin, rate=1 / beta, smoothness=beta
        )
        mean = measured.mean_direction[:, 0]
        assert not bounds.violated(mean, closed.value).any()
        ratios.append(found.values / mean)
        closed_ratios.append(closed.value / mean)
        for w in measured.weights[:, 0]:
            try:
                known = bounds.max_margin_direction(data.x, data.y, w, margin=solution.margin).value
            except UserError:
                continue  # this early the head does not separate yet
            distance = np.linalg.norm(w / np.linalg.norm(w) - solution.direction)
            assert not bounds.violated(distance, known)
            assert known <= bounds.max_margin_direction(data.x, data.y, w).value * (1 + 1e-9)
            certificates.append(known / distance)
    first, last = np.median(ratios, axis=0)[[0, -1]]
    assert 1.1 < first < 1.3
    assert 6 < last < 9
    low, high = np.median(closed_ratios, axis=0)[[0, -1]]
    assert 4.5 < low < 6.5
    assert 19 < high < 28
    assert 3.5 < np.median(certificates) < 7


@pytest.mark.parametrize(("kappa", "published", "ours"), [(2, 49, 5), (10, 187, 14), (100, 1746, 129)])
def test_shared_minimiser(kappa: int, published: float, ours: float) -> None:
    ratios = []
    for seed in SEEDS:
        data = generate("common-minimiser", n=30, d=10, mu=1 / kappa, beta=1.0, seed=seed)
        steps = sorted({int(t) for t in np.geomspace(1, 30 * kappa, 60)})
        full, without = leave_one_out_quadratics(
            data.hessians, data.x, data.start, rate=1.0, steps=steps, weight="1/(n-1)"
        )
        each = np.linalg.norm(without - full[:, None], axis=2)
        call = {"n": 30, "smoothness": 1.0, "convexity": 1 / kappa, "distance": 1.0}
        bound = bounds.common_minimiser(weight="1/(n-1)", **call).value
        assert not bounds.violated(each, bound).any()
        measured = each.mean(axis=1).max()
        ratios.append([bounds.published_full_tuning(lipschitz=1.0, **call).value / measured, bound / measured])
        assert each[-1].max() < 1e-6
    # the spectra of these datasets are their own: the same order of magnitude is what carries over
    medians = np.median(ratios, axis=0)
    assert published / 2.5 < medians[0] < published * 2.5
    assert ours / 2.5 < medians[1] < ours * 2.5


def test_p1_without_interpolation_is_false_in_every_dataset() -> None:
    broken = 0
    for seed in SEEDS:
        data = generate("ridge", n=50, d=10, seed=seed)
        measured = leave_one_out(
            data.x, data.y, "squared", steps=1000, start=data.minimiser, l2=0.1, dtype="float64"
        ).mean_distance[0, 0]
        said = bounds.published_full_tuning(
            n=50,
            lipschitz=1.0,
            smoothness=data.constants["beta"],
            convexity=data.constants["mu"],
            distance=0.0,
        )
        broken += bool(bounds.violated(measured, said.value))
    assert broken == 50
