"""Distances of representations: formulas of the papers written out, and the invariances they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from stabilitybench.errors import UserError
from stabilitybench.instability import cka_distance, procrustes_distance, representation_distances, svcca_distance

DISTANCES = [cka_distance, lambda x, y: cka_distance(x, y, debiased=False), procrustes_distance, svcca_distance]
seeds = st.integers(0, 10**6)


def draw(seed: int, rows: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Draw features of two runs that share part of what they say."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6)) * rng.gamma(1.0, size=6) + rng.normal(size=6)
    return x, rng.choice([0.0, 1.0]) * x[:, :4] + rng.normal(size=(rows, 4))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds, st.sampled_from(range(4)), st.sampled_from([1e-3, 0.5, 40.0]))
def test_rotation_scale_shift_and_order_of_rows_do_not_matter(seed: int, which: int, scale: float) -> None:
    distance = DISTANCES[which]
    x, y = draw(seed)
    rng = np.random.default_rng(seed)
    turned = scale * x @ ortho_group.rvs(6, random_state=rng) + rng.normal(size=6)
    order = rng.permutation(len(x))
    expected = distance(x, y)
    assert distance(turned[order], y[order]) == pytest.approx(expected, abs=1e-7)
    assert distance(y, x) == pytest.approx(expected, abs=1e-7)
    assert distance(x, turned) == pytest.approx(0, abs=1e-7)
    assert -1e-12 <= expected <= (1 if which else 1.5)


def test_one_feature_by_hand() -> None:
    """With one column each, everything is the correlation: here 0.8 for 1 2 3 4 5 against 1 3 2 5 4."""
    x, y = np.array([[1.0, 2, 3, 4, 5]]).T, np.array([[1.0, 3, 2, 5, 4]]).T
    assert cka_distance(x, y, debiased=False) == pytest.approx(1 - 0.8**2)
    assert procrustes_distance(x, -y) == pytest.approx(1 - 0.8)
    assert svcca_distance(x, y) == pytest.approx(1 - 0.8)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seeds)
def test_cka_is_its_formula_in_kernels(seed: int) -> None:
    """Kornblith et al. (2019): centred kernels.  Song et al. (2012): the unbiased estimator, term by term."""
    x, y = draw(seed, rows=12)
    n = len(x)
    k, m = x @ x.T, y @ y.T
    centre = np.eye(n) - 1 / n

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.trace(a @ centre @ b @ centre))

    def unbiased(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
        one = np.ones(n)
        first = np.trace(a @ b)
        second = (one @ a @ one) * (one @ b @ one) / ((n - 1) * (n - 2))
        return float(first + second - 2 / (n - 2) * (one @ a @ b @ one))

    assert cka_distance(x, y, debiased=False) == pytest.approx(1 - hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m)))
    expected = 1 - unbiased(k, m) / math.sqrt(unbiased(k, k) * unbiased(m, m))
    assert cka_distance(x, y) == pytest.approx(expected)


def test_debiasing_tells_wide_unrelated_features_apart() -> None:
    """With more columns than rows the plain CKA finds noise alike."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 200))
    assert cka_distance(x, y, debiased=False) < 0.3
    assert cka_distance(x, y) == pytest.approx(1, abs=0.1)


def test_features_wider_than_rows() -> None:
    """They are turned into the space of their rows first; the formulas on the whole matrices give the same."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(12, 50))
    y = x + 0.5 * rng.normal(size=(12, 50))
    a, b = (m - m.mean(axis=0) for m in (x, y))
    a, b = (m / np.linalg.norm(m) for m in (a, b))
    assert procrustes_distance(x, y) == pytest.approx(1 - np.linalg.svd(a.T @ b, compute_uv=False).sum())
    plain = np.sum((a.T @ b) ** 2) / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert cka_distance(x, y, debiased=False) == pytest.approx(1 - plain)
    table = representation_distances(np.stack([x, y]))
    assert table["cka"].iloc[0] == pytest.approx(cka_distance(x, y))
    assert table["svcca"].iloc[0] == pytest.approx(svcca_distance(x, y))


@settings(deadline=None, derandomize=True, max_examples=10)
@given(seeds)
def test_no_rotation_beats_procrustes(seed: int) -> None:
    x, y = draw(seed)
    y = np.pad(y, ((0, 0), (0, 2)))
    x, y = (a - a.mean(axis=0) for a in (x, y))
    x, y = (a / np.linalg.norm(a) for a in (x, y))
    found = procrustes_distance(x, y)
    rng = np.random.default_rng(seed)
    reached = [np.sum((x @ ortho_group.rvs(6, random_state=rng) - y) ** 2) / 2 for _ in range(50)]
    assert found <= min(reached) + 1e-9
    singular = np.linalg.svd(x.T @ y, compute_uv=False)
    assert found == pytest.approx(1 - singular.sum(), abs=1e-9)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(seeds)
def test_svcca_with_all_directions_is_the_mean_canonical_correlation(seed: int) -> None:
    x, y = draw(seed)
    q, _ = np.linalg.qr(x - x.mean(axis=0))
    r, _ = np.linalg.qr(y - y.mean(axis=0))
    correlations = np.linalg.svd(q.T @ r, compute_uv=False)
    assert svcca_distance(x, y, share=1.0) == pytest.approx(1 - correlations.mean(), abs=1e-8)


def test_svcca_leaves_weak_directions_out() -> None:
    """Two runs agree on one strong direction; what they do not agree on is a thousandth of it."""
    rng = np.random.default_rng(1)
    strong = rng.normal(size=(50, 1))
    x, y = (np.hstack([strong, 1e-3 * rng.normal(size=(50, 3))]) for _ in range(2))
    assert svcca_distance(x, y) == pytest.approx(0, abs=1e-4)
    assert svcca_distance(x, y, share=1.0) > 0.3


def test_distances_of_three_runs() -> None:
    features = np.random.default_rng(3).normal(size=(3, 20, 5))
    table = representation_distances(features)
    assert table[["first", "second"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]
    assert table["cka"].iloc[1] == pytest.approx(cka_distance(features[0], features[2]))
    assert table["procrustes"].iloc[2] == pytest.approx(procrustes_distance(features[1], features[2]))
    assert table["svcca"].iloc[0] == pytest.approx(svcca_distance(features[0], features[1]))


GOOD = np.random.default_rng(0).normal(size=(6, 3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cka_distance(GOOD, GOOD[:5]), r"6 and 5 rows: must hold the same examples"),
        (lambda: cka_distance(GOOD[0], GOOD), r"first features: shape \(3,\): must be \[rows, width\]"),
        (lambda: cka_distance(GOOD[:3], GOOD[:3]), r"3 rows: needs at least 4"),
        (lambda: procrustes_distance(GOOD[:1], GOOD[:1]), r"1 rows: needs at least 2"),
        (lambda: svcca_distance(GOOD, np.ones((6, 2))), r"second features: all rows are equal"),
        (
            lambda: svcca_distance(GOOD, np.where(GOOD > 1, math.nan, GOOD)),
            r"row \d, column \d is nan",
        ),
        (lambda: procrustes_distance(GOOD, [["a"]] * 6), r"second features: must be numbers"),
        (lambda: svcca_distance(GOOD, GOOD, share=0), r"share = 0: must lie in \(0, 1\]"),
        (lambda: representation_distances(GOOD), r"shape \(6, 3\): must be \[runs, rows, width\]"),
    ],
)
def test_what_is_no_feature_matrix_gets_one_sentence(call, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call()
