"""Generators: what is planted is there, constants are those of the data, bad parameters are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.synthetic import GENERATORS, Dataset, generate

SHAPES = {"overparameterised": (12, 20), "orthonormal": (8, 15)}


def small(name: str, seed: int = 0, **parameters: float) -> Dataset:
    n, d = SHAPES.get(name, (30, 6))
    return generate(name, seed=seed, **{"n": n, "d": d, **parameters})


def signed(data: Dataset) -> np.ndarray:
    return data.x * np.where(data.y == 1, 1.0, -1.0)[:, None]


def svm_margin(data: Dataset) -> float:
    """Margin by scikit-learn: a linear SVC on data mirrored through the origin has no bias."""
    from sklearn.svm import SVC

    rows = np.vstack([data.x, -data.x]) / data.constants["radius"]
    machine = SVC(kernel="linear", C=1e9, tol=1e-10).fit(rows, np.concatenate([data.y, 1 - data.y]))
    return float(data.constants["radius"] / np.linalg.norm(machine.coef_))


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_every_generator_is_float64_finite_and_fixed_by_its_seed(name: str) -> None:
    one, again, other = small(name), small(name), small(name, seed=1)
    assert one.x.dtype == np.float64
    assert np.isfinite(one.x).all()
    assert one.x.shape == (one.n, one.d)
    assert len(one.y) == one.n
    assert np.array_equal(one.x, again.x)
    assert np.array_equal(one.y, again.y)
    assert one.constants == again.constants
    assert not np.array_equal(one.x, other.x)
    assert one.parameters.keys() == {p.name for p in GENERATORS[name].parameters}
    assert all(np.isfinite(value) for value in one.constants.values())
    if one.problem == "classification":
        assert one.y.dtype == np.int64
        assert sorted(set(one.y.tolist())) == list(range(one.classes))
        assert one.constants["radius"] == np.linalg.norm(one.x, axis=1).max()


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_no_global_random_state_is_read_or_set(name: str) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    small(name)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", ["separable-ball", "imbalance", "heavy-tails", "gaussian-classes", "orthonormal"])
def test_the_margin_is_that_of_the_data(name: str) -> None:
    data = small(name, **({"separation": 8.0} if name == "gaussian-classes" else {}))
    assert data.constants["margin"] > 0
    assert data.constants["margin"] == pytest.approx(svm_margin(data), rel=1e-5)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(2, 60), st.integers(1, 12), st.floats(0.01, 0.9), st.floats(0.1, 50), st.integers(0, 1000))
def test_ball_data_keep_the_planted_margin(n: int, d: int, margin: float, radius: float, seed: int) -> None:
    data = generate("separable-ball", n=n, d=d, margin=margin, radius=radius, seed=seed)
    assert np.linalg.norm(data.x, axis=1).max() <= radius * (1 + 1e-12)
    assert data.constants["margin"] >= margin * radius * (1 - 1e-9)
    assert data.constants["planted_margin"] == margin * radius


def test_ball_data_follow_the_uniform_law_outside_the_slab() -> None:
    from scipy import stats

    d, margin = 4, 0.2
    data = generate("separable-ball", n=4000, d=d, margin=margin, seed=5)
    # points of the uniform ball that respect the slab, by plain rejection; labels are spread over both sides
    rng = np.random.default_rng(0)
    ball = rng.standard_normal((20_000, d))
    ball *= (rng.random(20_000) ** (1 / d) / np.linalg.norm(ball, axis=1))[:, None]
    accepted = ball[np.abs(ball[:, 0]) >= margin]
    norms = np.linalg.norm(data.x, axis=1)
    assert stats.ks_2samp(norms, np.linalg.norm(accepted, axis=1)).pvalue > 0.01
    assert 0.45 < data.y.mean() < 0.55
    direction = signed(data).mean(axis=0)
    along = np.abs(data.x @ direction) / np.linalg.norm(direction)
    assert along.mean() == pytest.approx(np.abs(accepted[:, 0]).mean(), rel=0.03)


def test_the_true_margin_exceeds_the_planted_one_less_with_more_samples() -> None:
    few, many = (
        np.median([generate("separable-ball", n=n, d=10, seed=s).constants["margin"] for s in range(20)])
        for n in (10, 320)
    )
    assert 0.33 < few < 0.42
    assert 0.203 < many < 0.212


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(3, 5), st.integers(5, 9), st.floats(0.01, 0.4), st.integers(0, 100))
def test_multi_class_plants_its_margin_and_every_class(classes: int, d: int, margin: float, seed: int) -> None:
    data = generate("multi-class", n=12, d=d, classes=classes, margin=margin, seed=seed)
    assert set(data.y.tolist()) == set(range(classes))
    assert data.constants["margin"] >= margin * (1 - 1e-9)
    assert data.constants["radius"] <= 1 + 1e-12


def test_orthonormal_rows_have_the_margin_of_theory() -> None:
    data = generate("orthonormal", n=9, d=12, radius=2.0)
    assert np.allclose(data.x @ data.x.T, 4 * np.eye(9))
    assert data.constants["margin"] == pytest.approx(2 / 3)


def test_label_noise_flips_the_share_it_says() -> None:
    clean, noisy = (generate("label-noise", n=40, d=5, flipped=share, seed=2) for share in (0.0, 0.25))
    assert np.array_equal(clean.x, noisy.x)
    assert np.sum(clean.y != noisy.y) == 10 == noisy.constants["flips"]
    assert clean.constants["margin"] > 0
    assert noisy.constants["margin"] == 0.0


def test_imbalance_keeps_one_of_each_class() -> None:
    assert generate("imbalance", n=100, d=3, minority=0.07).y.sum() == 7
    assert generate("imbalance", n=10, d=3, minority=0.0).y.sum() == 1


def test_heavy_tails_widen_the_radius() -> None:
    heavy, light = (
        np.median([generate("heavy-tails", n=50, d=5, freedom=f, seed=s).constants["radius"] for s in range(9)])
        for f in (1.0, 30.0)
    )
    assert heavy > 5 * light


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(1, 8), st.floats(1e-4, 1), st.floats(1, 100), st.floats(0, 5), st.integers(0, 99))
def test_quadratic_has_its_spectrum_minimiser_and_start(
    d: int, mu: float, kappa: float, distance: float, seed: int
) -> None:
    data = generate("quadratic", n=12, d=d, mu=mu, beta=mu * kappa, distance=distance, noise=0.3, seed=seed)
    values = np.linalg.eigvalsh(data.x.T @ data.x / data.n)
    assert values[0] == pytest.approx(data.constants["mu"], rel=1e-8)
    assert values[-1] == pytest.approx(data.constants["beta"], rel=1e-8)
    gradient = data.x.T @ (data.x @ data.minimiser - data.y) / data.n
    assert np.abs(gradient).max() < 1e-10 * max(1.0, mu * kappa)
    assert np.linalg.norm(data.start - data.minimiser) == pytest.approx(distance, abs=1e-12)


def test_ridge_minimiser_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    data = generate("ridge", n=40, d=5, l2=0.3, seed=4)
    peer = Ridge(alpha=0.3 * 40, fit_intercept=False, tol=1e-12).fit(data.x, data.y).coef_
    assert np.allclose(data.minimiser, peer, atol=1e-10)
    assert np.mean(np.sum(generate("ridge", n=4000, d=5, size=3.0).x ** 2, axis=1)) == pytest.approx(9, rel=0.05)


def test_overparameterised_minimiser_is_the_nearest_exact_fit() -> None:
    data = generate("overparameterised", n=6, d=10, noise=0.2, seed=1)
    assert np.allclose(data.x @ data.minimiser, data.y)
    # nearest to the start: the step lies in the span of the rows
    step = data.minimiser - data.start
    assert np.allclose(np.linalg.lstsq(data.x.T, step, rcond=None)[0] @ data.x, step)
    assert data.constants["mu"] == 0.0


def test_common_minimiser_hessians_share_spectrum_and_minimiser() -> None:
    data = generate("common-minimiser", n=7, d=4, mu=0.1, beta=2.0, distance=3.0)
    assert data.hessians is not None
    values = np.linalg.eigvalsh(data.hessians)
    assert np.allclose(values[:, [0, -1]], [0.1, 2.0])
    assert np.array_equal(data.x, np.tile(data.minimiser, (7, 1)))
    assert np.linalg.norm(data.start - data.minimiser) == pytest.approx(3)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("ball", {}, "unknown generator"),
        ("seperable-ball", {"n": 10, "d": 2}, 'did you mean "separable-ball"'),
        ("separable-ball", {"n": 10}, "d is missing"),
        ("separable-ball", {"n": 1, "d": 2}, "n = 1: must lie in [2,"),
        ("separable-ball", {"n": 10.5, "d": 2}, "must be a whole number"),
        ("separable-ball", {"n": True, "d": 2}, "must be a whole number"),
        ("separable-ball", {"n": "10", "d": 2}, "must be a whole number"),
        ("separable-ball", {"n": 10, "d": 2, "margin": 1.0}, "margin = 1.0: must lie in (0, 1)"),
        ("separable-ball", {"n": 10, "d": 2, "margin": float("nan")}, "must be finite"),
        ("separable-ball", {"n": 10, "d": 2, "radius": 0}, "must be above 0"),
        ("separable-ball", {"n": 10, "d": 2, "gamma": 0.1}, 'unknown parameter "gamma"'),
        ("separable-ball", {"n": 10**6, "d": 10**5}, "n d must be at most"),
        ("separable-ball", {"n": 10, "d": 2, "seed": -1}, "seed = -1"),
        ("label-noise", {"n": 10, "d": 2, "flipped": 0.6}, "must lie in [0, 0.5]"),
        ("orthonormal", {"n": 10, "d": 9}, "must be at least n = 10"),
        ("overparameterised", {"n": 10, "d": 10}, "must be below d = 10"),
        ("quadratic", {"n": 5, "d": 6}, "must be at least d = 6"),
        ("quadratic", {"n": 9, "d": 3, "mu": 2.0, "beta": 1.0}, "must be at most beta = 1"),
        ("quadratic", {"n": 9, "d": 3, "mu": 0.0}, "must be above 0"),
        ("multi-class", {"n": 30, "d": 5, "classes": 6}, "classes = 6: must be at most"),
        ("multi-class", {"n": 30, "d": 5, "margin": 0.6}, "must be below 1 / sqrt(classes)"),
        ("heavy-tails", {"n": 50, "d": 5, "freedom": 0.1}, "must be at least 0.5"),
    ],
)
def test_bad_parameters_are_named(name: str, parameters: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as error:
        generate(name, **parameters)  # type: ignore[arg-type]
    assert words in str(error.value)
