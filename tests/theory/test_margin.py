"""The max-margin direction and its leave-one-out moves: optimality conditions, refits, and the limit of descent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from stabilitybench.errors import UserError
from stabilitybench.synthetic import generate
from stabilitybench.theory import NotSeparable, leave_one_out, leave_one_out_max_margin, max_margin

few = settings(deadline=None, derandomize=True, max_examples=40)


def rng(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(11, spawn_key=key)))


def separable(seed, n, d):
    x = rng(seed).normal(size=(n, d))
    x[0, 0], x[1, 0] = 1.0, -1.0
    y = np.where(x[:, 0] > 0, 1, -1)
    x[:, 0] += 0.2 * y
    return x, y


@few
@given(st.integers(0, 10**6), st.integers(2, 25), st.integers(1, 8))
def test_optimality_conditions(seed, n, d):
    x, y = separable(seed, n, d)
    found = max_margin(x, y)
    margins = y * (x @ found.direction)
    weights = found.direction / found.margin
    assert np.linalg.norm(found.direction) == pytest.approx(1, abs=1e-12)
    assert margins.min() == pytest.approx(found.margin, rel=1e-9)
    assert (found.alpha >= 0).all()
    np.testing.assert_allclose((found.alpha * y) @ x, weights, rtol=0, atol=1e-8 * np.linalg.norm(weights))
    np.testing.assert_allclose(margins[found.support], found.margin, rtol=1e-8)
    assert found.alpha.sum() == pytest.approx(found.margin**-2, rel=1e-8)
    assert set(np.flatnonzero(found.alpha)) <= set(found.support)


def test_svc_on_mirrored_rows_agrees():
    """A kernel machine has a bias; on the rows and their mirror images it is zero, and the solutions coincide."""
    x, y = separable(1, 40, 5)
    machine = SVC(kernel="linear", C=1e8, tol=1e-9).fit(np.vstack([x, -x]), np.concatenate([y, -y]))
    found = max_margin(x, y)
    np.testing.assert_allclose(machine.coef_[0], found.direction / found.margin, rtol=1e-5, atol=1e-6)


def test_more_than_two_classes():
    x = rng(2).normal(size=(20, 6))
    y = rng(3).integers(0, 3, size=20)
    x[np.arange(20), y] += 4
    found = max_margin(x, y)
    scores = x @ found.direction.T
    gaps = (scores[np.arange(20), y][:, None] - scores)[np.arange(3) != y[:, None]]
    assert gaps.min() == pytest.approx(found.margin, rel=1e-9)
    assert found.alpha.shape == (20, 3)
    assert (found.alpha[np.arange(20), y] == 0).all()
    made = np.zeros((3, 6))
    for i, c in np.argwhere(found.alpha > 0):
        made[y[i]] += found.alpha[i, c] * x[i]
        made[c] -= found.alpha[i, c] * x[i]
    np.testing.assert_allclose(made, found.direction / found.margin, atol=1e-9)


def test_two_classes_as_two_weight_vectors_have_the_known_margin():
    """w_1 = -w_0 = u / sqrt 2, so that the gap of scores is sqrt 2 times the binary margin."""
    x, y = separable(4, 15, 3)
    binary, kesler = max_margin(x, y), max_margin(np.vstack([x, [[9.0, 0, 0]] * 2]), [*(y > 0), 1, 1])
    assert kesler.margin == pytest.approx(binary.margin)
    shifted = max_margin(x, np.where(y > 0, 7, 3))
    assert shifted.direction.shape == (2, 3)
    assert shifted.margin == pytest.approx(binary.margin * np.sqrt(2))
    np.testing.assert_allclose(shifted.direction[1], binary.direction / np.sqrt(2), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "d", "classes"), [(20, 3, 2), (12, 20, 2), (8, 8, 2), (18, 5, 3)])
def test_every_refit_equals_a_solution_from_nothing(seed, n, d, classes):
    if classes == 2:
        x, y = separable(100 + seed, n, d)
    else:
        x, y = rng(seed, 5).normal(size=(n, d)), np.arange(n) % 3
        x[np.arange(n), y] += 4
    found = leave_one_out_max_margin(x, y)
    w = found.full.direction / found.full.margin
    for i in range(n):
        alone = max_margin(np.delete(x, i, axis=0), np.delete(y, i))
        assert found.margin[i] == pytest.approx(alone.margin, rel=1e-9)
        assert found.direction[i] == pytest.approx(np.linalg.norm(found.full.direction - alone.direction), abs=1e-8)
        assert found.distance[i] == pytest.approx(np.linalg.norm(w - alone.direction / alone.margin), abs=1e-7)


@few
@given(st.integers(0, 10**6), st.integers(3, 25), st.integers(1, 6))
def test_only_support_vectors_matter_and_margins_only_grow(seed, n, d):
    x, y = separable(seed, n, d)
    found = leave_one_out_max_margin(x, y)
    others = np.setdiff1d(np.arange(n), found.full.support)
    assert (found.direction[others] == 0).all()
    assert (found.distance[others] == 0).all()
    assert (found.margin >= found.full.margin * (1 - 1e-9)).all()
    assert found.refits == len(found.full.support)
    if len(others) and len({*np.delete(y, others[0])}) == 2:
        without = max_margin(np.delete(x, others[0], axis=0), np.delete(y, others[0]))
        np.testing.assert_allclose(without.direction, found.full.direction, atol=1e-9)


@few
@given(st.integers(0, 10**6), st.integers(2, 15), st.integers(1, 6), st.sampled_from([1e-4, 3.0, 1e5]))
def test_scale_and_rotation(seed, n, d, factor):
    x, y = separable(seed, n, d)
    turn = np.linalg.qr(rng(seed, 9).normal(size=(d, d)))[0]
    one, two = leave_one_out_max_margin(x, y), leave_one_out_max_margin(factor * x @ turn, y)
    assert two.full.margin == pytest.approx(factor * one.full.margin, rel=1e-9)
    np.testing.assert_allclose(two.full.direction, one.full.direction @ turn, atol=1e-8)
    np.testing.assert_allclose(two.direction, one.direction, atol=1e-7)


def test_duplicates_of_a_support_vector_take_its_weight():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-1.0, -1.0]])
    found = leave_one_out_max_margin(x, [1, 1, 1, -1])
    np.testing.assert_allclose(found.full.direction, [np.sqrt(0.5)] * 2)
    assert found.full.alpha[1] + found.full.alpha[2] == pytest.approx(1)
    np.testing.assert_allclose(found.direction[1:3], 0, atol=1e-12)


def test_orthonormal_rows_by_hand():
    """w = sum of rows, so that leaving one out takes its unit part away."""
    found = leave_one_out_max_margin(np.eye(5), [1, 1, 0, 1, 0])
    assert found.full.margin == pytest.approx(1 / np.sqrt(5))
    np.testing.assert_allclose(found.margin, 1 / np.sqrt(4))
    np.testing.assert_allclose(found.distance, 1)
    np.testing.assert_allclose(found.direction, np.sqrt(2 - 2 * np.sqrt(4 / 5)))


def test_gradient_descent_goes_there():
    """Orthonormal rows: the logistic iterate has the max-margin direction at every step, with and without a row."""
    found = leave_one_out(np.eye(5), [1, 1, 0, 1, 0], steps=[1, 1000])
    limit = leave_one_out_max_margin(np.eye(5), [1, 1, 0, 1, 0])
    np.testing.assert_allclose(found.direction, np.broadcast_to(limit.direction, (2, 1, 5)), atol=1e-12)


@pytest.mark.parametrize("solve", [max_margin, leave_one_out_max_margin])
def test_not_separable_is_said(solve):
    x = rng(6).normal(size=(50, 2))
    for rows, labels in (
        (x, rng(7).integers(0, 2, 50)),
        (x, rng(7).integers(0, 3, 50)),
        ([[1.0], [2.0]], [0, 1]),
        ([[1.0, 0.0], [1.0, 0.0]], [0, 1]),
        ([[1.0, 0.0], [0.0, 0.0]], [0, 1]),
        (np.zeros((3, 2)), [0, 1, 1]),
    ):
        with pytest.raises(NotSeparable, match="margin"):
            solve(rows, labels)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[np.nan], [1.0]], [0, 1], "NaN or infinity"),
        ([[1.0], [1.0]], [1, 1], "single class"),
        ([[1.0]], [1], "at least 2"),
        ([[1.0], [2.0]], [0, 1, 1], "y has shape"),
        ([[1.0], [2.0]], [0.5, 1], "whole number"),
        ([[1.0], [2.0]], ["a", "b"], "not a real number"),
    ],
)
def test_bad_input(x, y, message):
    with pytest.raises(UserError, match=message):
        max_margin(x, y)


def cold(x, y):
    """Return margins without each row, every one from nothing."""
    return np.array([max_margin(np.delete(x, i, axis=0), np.delete(y, i)).margin for i in range(len(x))])


@pytest.mark.parametrize("small", [1e-3, 1e-5, 1e-7])
def test_rows_of_nearly_low_rank(small):
    """The features of an encoder are like that: the inverse that is updated row by row loses its digits there."""
    random = rng(0)
    compared = 0
    for _ in range(20):
        x = random.standard_normal((12, 3)) @ random.standard_normal((3, 8)) + small * random.standard_normal((12, 8))
        x[:, 0] += 10  # a common direction, as encoders have
        y = (x @ random.standard_normal(8) > 0).astype(int)
        if min(np.bincount(y, minlength=2)) < 2:
            continue
        found, expected = leave_one_out_max_margin(x, y), cold(x, y)
        np.testing.assert_allclose(found.margin, expected, rtol=1e-6)
        compared += 1
    assert compared > 5


@pytest.mark.parametrize(("n", "seed"), [(80, 8), (160, 25), (320, 46)])
def test_rows_that_come_and_go_while_the_inverse_drifts(n, seed):
    data = generate("separable-ball", n=n, d=10, margin=0.2, seed=seed)
    found = leave_one_out_max_margin(data.x, data.y)
    np.testing.assert_allclose(found.margin[found.full.support], cold(data.x, data.y)[found.full.support], rtol=1e-8)
