"""Constants of numeric data against numpy eigenvalues, finite differences and scikit-learn."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.synthetic import generate
from stabilitybench.theory import NotSeparable, constants
from support.plain_descent import residuals


@pytest.mark.parametrize("name", ["separable-ball", "imbalance", "heavy-tails"])
@pytest.mark.parametrize("seed", range(3))
def test_margin_is_that_of_two_support_vector_machines(name: str, seed: int) -> None:
    from sklearn.svm import SVC, LinearSVC

    data = generate(name, n=24, d=4, seed=seed)
    scale = constants.radius(data.x)
    x, signs = data.x / scale, np.where(data.y == 1, 1, -1)
    gamma = constants.margin(data.x, data.y)
    # mirrored through the origin the machine's free bias is 0
    mirrored = SVC(kernel="linear", C=1e9, tol=1e-10).fit(np.vstack([x, -x]), np.concatenate([signs, -signs]))
    assert gamma == pytest.approx(scale / np.linalg.norm(mirrored.coef_), rel=1e-5)
    plain = LinearSVC(loss="hinge", C=1e6, fit_intercept=False, dual=True, tol=1e-10, max_iter=2_000_000)
    assert gamma == pytest.approx(scale / np.linalg.norm(plain.fit(x, signs).coef_), rel=1e-4)
    # multipliers: those of the two mirror images together, in the scaled unit
    alpha = constants.max_margin(x, data.y).alpha
    twin = np.zeros(2 * data.n)
    twin[mirrored.support_] = np.abs(mirrored.dual_coef_[0])
    assert np.allclose(alpha, twin[: data.n] + twin[data.n :], rtol=1e-3, atol=1e-3 * alpha.max())


def test_margin_says_that_classes_are_not_separable() -> None:
    data = generate("label-noise", n=40, d=4, flipped=0.3)
    with pytest.raises(NotSeparable, match="cannot be separated"):
        constants.margin(data.x, data.y)


def test_a_bias_is_a_feature_and_changes_the_margin() -> None:
    # separable with a bias only: through the origin there is no margin, with a constant feature there is
    x, y = np.array([[1.0], [2.0], [3.0]]), [0, 1, 1]
    with pytest.raises(NotSeparable):
        constants.margin(x, y)
    assert constants.margin(np.hstack([x, np.ones((3, 1))]), y) > 0


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.integers(2, 12),
    st.integers(1, 12),
    st.sampled_from(["squared", "logistic", "softmax"]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from(["1/n", "1/(n-1)"]),
    st.integers(0, 1000),
)
def test_curvature_is_that_of_numpy(n: int, d: int, loss: str, l2: float, weight: str, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((n, d))
    factor = {"squared": 1.0, "logistic": 0.25, "softmax": 0.5}[loss]
    values = np.linalg.eigvalsh(x.T @ x / n) * factor
    assert constants.smoothness(x, loss=loss, l2=l2) == pytest.approx(values[-1] + l2)
    least = values[0] if loss == "squared" else 0.0
    assert constants.convexity(x, loss=loss, l2=l2) == pytest.approx(least + l2, abs=1e-12)
    mu, beta = constants.leave_one_out_curvature(x, loss=loss, l2=l2, weight=weight)
    for i in range(n):
        kept = np.delete(x, i, axis=0)
        each = np.linalg.eigvalsh(kept.T @ kept) * factor / (n if weight == "1/n" else n - 1)
        assert beta[i] == pytest.approx(each[-1] + l2)
        assert mu[i] == pytest.approx((each[0] if loss == "squared" else 0.0) + l2, abs=1e-12)


def test_zero_eigenvalues_are_exactly_zero() -> None:
    wide = np.random.default_rng(0).standard_normal((5, 9))
    assert constants.convexity(wide, loss="squared") == 0.0
    assert np.all(constants.leave_one_out_curvature(wide, loss="squared")[0] == 0.0)
    repeated = np.random.default_rng(0).standard_normal((20, 3))[:, [0, 1, 2, 2]]
    assert constants.convexity(repeated, loss="squared") == 0.0


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.sampled_from(["logistic", "softmax", "squared"]), st.integers(0, 1000))
def test_lipschitz_is_the_largest_gradient_by_differences(loss: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((6, 3))
    y = np.array([0, 1, 2, 0, 1, 2]) if loss == "softmax" else np.array([0, 1, 0, 1, 1, 0])
    shape = (3, 3) if loss == "softmax" else (3,)
    w = rng.standard_normal(shape)

    def losses(w: np.ndarray) -> np.ndarray:
        scores = x @ w.T
        if loss == "softmax":
            return np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(6), y]
        if loss == "logistic":
            return np.log1p(np.exp(-np.where(y == 1, 1, -1) * scores))
        return (scores - y) ** 2 / 2

    columns = []
    for k in range(w.size):
        step = np.zeros(w.size)
        step[k] = 1e-6
        columns.append((losses(w + step.reshape(shape)) - losses(w - step.reshape(shape))) / 2e-6)
    expected = np.linalg.norm(columns, axis=0).max()
    assert constants.lipschitz(x, y, w, loss=loss) == pytest.approx(expected, rel=1e-6)
    assert residuals((x @ w.T), y, loss).shape[0] == 6


def test_radius_and_its_quantile() -> None:
    x = np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    assert constants.radius(x) == 5.0
    assert constants.radius(x, quantile=0.5) == 1.0
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    assert constants.radius(2 * x @ rotation) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: constants.radius([1.0, 2.0]), "x has shape (2,)"),
        (lambda: constants.radius([[1.0], [np.inf]]), "NaN or infinity"),
        (lambda: constants.radius([[1.0], [2.0]], quantile=0), "quantile = 0"),
        (lambda: constants.margin([[1.0], [2.0]], [1, 1]), "single class"),
        (lambda: constants.margin([[1.0]], [1]), "at least 2"),
        (lambda: constants.smoothness([[1.0], [2.0]], loss="hinge"), 'loss = "hinge"'),
        (lambda: constants.smoothness([[1.0], [2.0]], loss="squared", l2=-1), "l2 = -1"),
        (lambda: constants.convexity([[1.0], [2.0]], loss="hinge"), "loss"),
        (lambda: constants.lipschitz([[1.0], [2.0]], [0, 1], [1.0, 2.0], loss="logistic"), "weights have shape"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    with pytest.raises(UserError) as error:
        call()  # type: ignore[operator]
    assert words in str(error.value)


def test_theory_is_imported_without_transformers_or_torch() -> None:
    code = (
        "import sys; from stabilitybench.theory import bounds, constants, leave_one_out;"
        "print([name for name in ('torch', 'transformers', 'datasets', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
