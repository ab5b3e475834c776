"""B1 and B2: certificates of the max-margin direction and of its stability, against exact solutions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.synthetic import generate
from stabilitybench.theory import bounds, constants, leave_one_out_max_margin, max_margin
from support.plain_descent import leave_one_out_runs, unit

KINDS = {
    "separable-ball": {"d": 5},
    "imbalance": {"d": 5},
    "heavy-tails": {"d": 5},
    "orthonormal": {"d": 20},
    "multi-class": {"d": 5},
}


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.sampled_from(sorted(KINDS)), st.integers(6, 20), st.integers(0, 10_000))
def test_all_three_forms_hold_and_are_ordered(kind: str, n: int, seed: int) -> None:
    data = generate(kind, n=n, seed=seed, **KINDS[kind])
    if np.unique(data.y, return_counts=True)[1].min() < 2:
        return  # without its only sample a class is gone
    found = leave_one_out_max_margin(data.x, data.y)
    loss = "logistic" if data.classes == 2 else "softmax"
    refit = bounds.max_margin_refit(margin=found.full.margin, margins=found.margin)
    fit = bounds.max_margin_one_fit(data.x, found.full)
    closed = bounds.max_margin(n=n, radius=constants.radius(data.x), margin=found.full.margin, loss=loss)
    assert not bounds.violated(found.direction, refit.per_sample).any()
    assert not bounds.violated(found.direction, fit.per_sample).any()
    assert not bounds.violated(found.direction.mean(), closed.value)
    assert fit.value <= closed.value * (1 + 1e-9)
    others = np.setdiff1d(np.arange(n), found.full.support)
    assert np.all(found.direction[others] == 0)
    assert np.all(fit.per_sample[0, others] == 0)
    assert np.all(refit.per_sample[0, others] == 0)


def test_weights_move_by_at_most_alpha_times_the_row() -> None:
    data = generate("separable-ball", n=30, d=5, seed=4)
    found = leave_one_out_max_margin(data.x, data.y)
    assert not bounds.violated(found.distance, found.full.alpha * np.linalg.norm(data.x, axis=1)).any()


def test_tight_to_the_square_root_of_two_on_orthonormal_rows() -> None:
    for n in (4, 12, 30):
        data = generate("orthonormal", n=n, d=n + 3, seed=n)
        found = leave_one_out_max_margin(data.x, data.y)
        closed = bounds.max_margin(n=n, radius=data.constants["radius"], margin=found.full.margin)
        assert found.full.alpha == pytest.approx(np.full(n, 1.0))
        assert 1.29 < closed.value / found.direction.mean() < math.sqrt(2) + 1e-9
        if n >= 12:
            assert closed.value / found.direction.mean() > 1.38


@pytest.mark.parametrize(("n", "refit", "fit", "closed"), [(10, (1, 1.5), (1.3, 2.2), (2, 3.5)),
                                                          (320, (3.5, 6), (25, 45), (38, 66))])  # fmt: skip
def test_tightness_of_ball_data(
    n: int, refit: tuple[float, float], fit: tuple[float, float], closed: tuple[float, float]
) -> None:
    ratios = []
    for seed in range(8):
        data = generate("separable-ball", n=n, d=10, margin=0.2, seed=seed)
        found = leave_one_out_max_margin(data.x, data.y)
        each = (
            bounds.max_margin_refit(margin=found.full.margin, margins=found.margin),
            bounds.max_margin_one_fit(data.x, found.full),
            bounds.max_margin(n=n, radius=data.constants["radius"], margin=found.full.margin),
        )
        ratios.append([bound.value / found.direction.mean() for bound in each])
    for median, (low, high) in zip(np.median(ratios, axis=0), (refit, fit, closed), strict=True):
        assert low < median < high


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    st.sampled_from(["separable-ball", "heavy-tails", "multi-class"]),
    st.integers(0, 10_000),
    st.sampled_from([30, 300, 1000]),
)
def test_direction_certificate_holds_with_and_without_the_margin(kind: str, seed: int, steps: int) -> None:
    data = generate(kind, n=14, d=4, seed=seed)
    loss = "logistic" if data.classes == 2 else "softmax"
    rate = 1 / constants.smoothness(data.x, loss=loss)
    full, _ = leave_one_out_runs(data.x, data.y, loss=loss, rate=rate, steps=[steps], weight="1/n")
    solution = max_margin(data.x, data.y)
    distance = np.linalg.norm(unit(full, 1)[0] - solution.direction)
    try:
        gap = bounds.max_margin_direction(data.x, data.y, full[0], loss=loss)
    except UserError:
        scores = full[0] @ data.x.T
        wrong = (scores > 0) != (data.y == 1) if loss == "logistic" else scores.argmax(axis=0) != data.y
        assert wrong.any()
        return
    known = bounds.max_margin_direction(data.x, data.y, full[0], loss=loss, margin=solution.margin)
    assert not bounds.violated(distance, known.value)
    assert known.value <= gap.value * (1 + 1e-9)
    other = bounds.max_margin_direction(3.0 * data.x, data.y, 7.0 * full[0], loss=loss, margin=3 * solution.margin)
    assert other.value == pytest.approx(known.value, rel=1e-6)


def test_the_max_margin_direction_certifies_itself() -> None:
    data = generate("separable-ball", n=20, d=4)
    solution = max_margin(data.x, data.y)
    found = bounds.max_margin_direction(data.x, data.y, solution.direction, margin=solution.margin)
    assert found.value < 1e-6


@settings(deadline=None, derandomize=True)
@given(st.integers(2, 10_000), st.floats(0.01, 1))
def test_closed_form_falls_with_n_and_margin(n: int, margin: float) -> None:
    value = bounds.max_margin(n=n, radius=1.0, margin=margin).value
    assert value == pytest.approx(math.sqrt(2) / (n * margin))
    assert bounds.max_margin(n=n + 1, radius=1.0, margin=margin).value < value
    assert bounds.max_margin(n=n, radius=5.0, margin=5 * margin).value == pytest.approx(value)
    assert bounds.max_margin(n=n, radius=1.0, margin=margin, loss="softmax").value == pytest.approx(
        value * math.sqrt(2)
    )


ROWS = [[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bounds.max_margin(n=1, radius=1, margin=0.1), "n = 1"),
        (lambda: bounds.max_margin(n=5, radius=1, margin=1.1), "must be at most 1"),
        (lambda: bounds.max_margin(n=5, radius=1, margin=0.1, loss="hinge"), "loss"),
        (lambda: bounds.max_margin_refit(margin=1.0, margins=[0.9, 1.0]), "must be at least margin"),
        (lambda: bounds.max_margin_refit(margin=1.0, margins=[1.0]), "at least 2"),
        (lambda: bounds.max_margin_refit(margin=1.0, margins=[1.0, np.nan]), "finite"),
        (lambda: bounds.max_margin_one_fit(ROWS[:2], max_margin(ROWS, [1, 1, 0])), "of other rows"),
        (lambda: bounds.max_margin_direction(ROWS, [1, 1, 0], [1.0, -1.0]), "must be above 0 to certify"),
        (lambda: bounds.max_margin_direction(ROWS, [1, 1, 0], [0.0, 0.0]), "must be above 0 to certify"),
        (lambda: bounds.max_margin_direction(ROWS, [1, 1, 0], [1.0]), "weights have shape"),
        (lambda: bounds.max_margin_direction(ROWS, [1, 1, 0], [1.0, 1.0], margin=0.1), "not the maximal one"),
        (lambda: bounds.max_margin_direction(ROWS, [1, 1, 0], [1e3, 1e3]), "underflows"),
        (lambda: constants.margin([[1.0], [2.0]], [0, 1]), "cannot be separated"),
    ],
)
def test_refusals(call: object, words: str) -> None:
    with pytest.raises(UserError) as error:
        call()  # type: ignore[operator]
    assert words in str(error.value)
