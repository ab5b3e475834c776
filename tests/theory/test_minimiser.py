"""Minimisers of the penalised logistic loss: optimality, scikit-learn, and gradient descent run to the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from stabilitybench.errors import UserError
from stabilitybench.theory import leave_one_out, leave_one_out_minimisers, minimiser
from support.ill_conditioned import KINDS, ill_conditioned


def rng(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(13, spawn_key=key)))


def data(seed, n, d):
    x = rng(seed).normal(size=(n, d))
    y = np.where(x[:, 0] + 0.5 * rng(seed, 1).normal(size=n) > 0, 1, -1)
    y[:2] = 1, -1
    return x, y


@pytest.mark.parametrize("weight", ["1/n", "1/(n-1)"])
@pytest.mark.parametrize(("n", "d", "l2"), [(30, 4, 0.1), (8, 20, 0.02), (2, 1, 1.0), (25, 3, 1e-4)])
def test_scikit_learn_refits_agree(n, d, l2, weight):
    x, y = data(1, n, d)
    found = leave_one_out_minimisers(x, y, l2, weight=weight)
    kept = 1 / n if weight == "1/n" else 1 / (n - 1)
    for i in range(n):
        rest = np.delete(x, i, axis=0), np.delete(y, i)
        if len(set(rest[1])) == 1:  # scikit-learn refuses a single class; the problem itself is well posed
            continue
        peer = LogisticRegression(C=kept / l2, fit_intercept=False, tol=1e-12, max_iter=1000, solver="newton-cholesky")
        other = peer.fit(*rest).coef_[0]
        assert found.distance[i] == pytest.approx(np.linalg.norm(other - found.weights), abs=1e-6)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 10), st.sampled_from([1e-6, 1e-3, 0.1, 100.0]))
def test_the_gradient_vanishes_and_the_bound_is_kept(seed, n, d, l2):
    x, y = data(seed, n, d)
    found = leave_one_out_minimisers(x, y, l2)
    z = x * y[:, None]
    gradient = l2 * found.weights - expit(-(z @ found.weights)) @ z / n
    size = np.linalg.norm(found.weights)
    assert np.linalg.norm(gradient) <= 1e-11 * l2 * size + 1e-15
    assert (found.accuracy <= 1e-9 * size + 1e-15 / l2).all()
    # |w - w_i| <= |gradient of i at w| / (n l2), since the objective without i is l2-strongly convex
    pulls = expit(-(z @ found.weights)) * np.linalg.norm(z, axis=1)
    assert (found.distance <= pulls / (n * l2) * (1 + 1e-9) + found.accuracy + 1e-12).all()


def test_moves_smaller_than_the_accuracy_of_the_weights_keep_their_digits():
    x, y = data(3, 12, 2)
    x[0] = 40.0 * y[0], 0.0  # so far on its side that leaving it out moves next to nothing
    found = leave_one_out_minimisers(x, y, 0.05)
    z = x * y[:, None]
    q = expit(-(z @ found.weights))
    hessian = (z[1:].T * (q * (1 - q))[1:]) @ z[1:] / 12 + 0.05 * np.eye(2)
    first_order = np.linalg.solve(hessian, q[0] * z[0] / 12)
    assert found.distance[0] < 1e-6
    assert found.distance[0] == pytest.approx(np.linalg.norm(first_order), rel=1e-3)


def test_gradient_descent_ends_there():
    x, y = data(4, 15, 3)
    long = leave_one_out(x, y, steps=4000, l2=0.1, dtype="float64")
    found = leave_one_out_minimisers(x, y, 0.1)
    np.testing.assert_allclose(long.distance[0, 0], found.distance, atol=1e-10)
    np.testing.assert_allclose(long.direction[0, 0], found.direction, atol=1e-10)
    np.testing.assert_allclose(long.weights[0, 0], found.weights, atol=1e-10)


def test_runs_that_the_shared_hessian_does_not_bring_home(monkeypatch):
    from stabilitybench.theory import minimiser

    x, y = data(5, 20, 3)
    expected = leave_one_out_minimisers(x, y, 1e-3).distance
    monkeypatch.setattr(minimiser, "SHARED_STEPS", 1)
    monkeypatch.setattr(minimiser, "PART", 60)
    np.testing.assert_allclose(leave_one_out_minimisers(x, y, 1e-3).distance, expected, rtol=1e-9)


@pytest.mark.parametrize("l2", [0, -1, np.nan])
def test_a_penalty_is_needed(l2):
    with pytest.raises(UserError, match="l2 = "):
        leave_one_out_minimisers([[1.0], [-1.0]], [1, 0], l2)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.sampled_from([kind for kind in KINDS if kind not in ("huge", "tiny")]),
    st.integers(0, 10**6),
    st.sampled_from([1e-14, 1e-10, 1e-3]),
    st.sampled_from(["1/n", "1/(n-1)"]),
)
def test_rows_whose_hessian_is_singular_to_rounding(kind, seed, share, weight):
    """The gradient vanishes but for the rounding of its terms, on all rows and without each."""
    x, y = ill_conditioned(kind, seed)
    x[0, 0] += not x.any()
    y = (y == y[0]).astype(int)
    z = x * (2.0 * y - 1.0)[:, None]
    l2 = share * float((x**2).sum(axis=1).max())
    found = leave_one_out_minimisers(x, y, l2, weight=weight)
    wrong = expit(-(z @ found.weights))
    terms = wrong @ np.abs(z) / len(x)
    # a score is known to the rounding of its terms, and so is the probability
    score = np.abs(z) @ np.abs(found.weights) * np.finfo(float).eps * 8
    terms = np.linalg.norm(terms) * 1e-13 + np.linalg.norm((wrong * (1 - wrong) * score) @ np.abs(z)) / len(x)
    gradient = l2 * found.weights - wrong @ z / len(x)
    assert np.linalg.norm(gradient) <= 1e-9 * l2 * np.linalg.norm(found.weights) + terms
    assert np.isfinite(found.distance).all()
    size = np.linalg.norm(found.weights) + found.distance
    rounding = 100 * np.finfo(float).eps * np.abs(z).sum() * (1.0 + size * np.linalg.norm(x, axis=1).max())
    assert (found.accuracy * l2 <= 1e-9 * l2 * size + rounding).all()


def test_failing_factors_change_nothing(monkeypatch):
    x, y = data(5, 12, 4)
    expected = leave_one_out_minimisers(x, y, 0.01)

    def fails(*_, **__):
        raise np.linalg.LinAlgError

    monkeypatch.setattr(minimiser.linalg, "cho_factor", fails)
    monkeypatch.setattr(minimiser.linalg, "solve", fails)
    found = leave_one_out_minimisers(x, y, 0.01)
    np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-9)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-10)
