"""The leave-one-out engine: every path against the plain loop, and what must hold whatever the path."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.theory import (
    bounds,
    fused,
    leave_one_out,
    leave_one_out_many,
    leave_one_out_minimisers,
    log_spaced_steps,
    max_margin,
)
from stabilitybench.theory.problem import problem

STEPS = [0, 1, 2, 7, 64, 65, 300]
SHAPES = {
    "more rows than features": (17, 4),
    "more features than rows": (7, 12),
    "as many features as rows": (6, 6),
    "two rows": (2, 3),
    "one dimension": (9, 1),
    "two rows, one dimension": (2, 1),
}


def rng(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=key)))


def labelled(x, loss, key=0):
    """Return labels of every class in use, independent of x and so hardly ever separable."""
    draws = rng(1, key)
    if loss == "squared":
        return draws.normal(size=len(x))
    y = draws.integers(0, 3 if loss == "softmax" else 2, size=len(x))
    y[:2] = 0, 1
    return y


def paths(loss):
    return ("fused", "gram", "closed-form") if loss == "squared" else ("fused", "gram")


def agree(x, y, loss, *, steps=STEPS, tolerance=1e-10, **options):
    """Hold every path in float64 against the plain loop."""
    plain = leave_one_out(x, y, loss, steps=steps, path="reference", **options)
    for path in paths(loss):
        # without an audit a wrong number is seen here, not repeated in float64 behind our back
        quick = leave_one_out(x, y, loss, steps=steps, path=path, dtype="float64", audit=0, **options)
        assert quick.path == path
        assert quick.steps == plain.steps
        for name in ("weights", "distance", "direction"):
            np.testing.assert_allclose(
                getattr(quick, name), getattr(plain, name), rtol=0, atol=tolerance, err_msg=f"{path}: {name}"
            )
        if loss == "squared":
            assert quick.flips is None
        else:
            np.testing.assert_array_equal(quick.flips, plain.flips, err_msg=path)
    return plain


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_every_path_equals_the_plain_loop(shape, loss):
    x = rng(0).normal(size=shape)
    agree(x, labelled(x, loss), loss)


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared"])
@pytest.mark.parametrize("weight", ["1/n", "1/(n-1)"])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_weights_penalty_and_several_starts(loss, weight, l2):
    x = rng(2).normal(size=(11, 3))
    y = labelled(x, loss)
    single = (3,) if loss != "softmax" else (len(np.unique(y)), 3)
    start = rng(3).normal(size=(2, *single))
    found = agree(x, y, loss, weight=weight, l2=l2, start=start, rate=0.4)
    assert found.distance.shape == (len(STEPS), 2, 11)
    np.testing.assert_array_equal(found.weights[0], start)
    alone = leave_one_out(x, y, loss, weight=weight, l2=l2, start=start[1], rate=0.4, steps=STEPS)
    np.testing.assert_allclose(found.distance[:, 1:], alone.distance, atol=1e-12)


def hard_features():
    draws = rng(4)
    plain = draws.normal(size=(12, 4))
    orthonormal = np.linalg.qr(draws.normal(size=(12, 4)))[0]
    return {
        "duplicate rows": np.vstack([plain[:4], plain[:4], plain[:4]]),
        "constant feature": np.hstack([plain[:, :2], np.ones((12, 1))]),
        "feature that is zero": np.hstack([plain[:, :2], np.zeros((12, 1))]),
        "the same feature twice": np.hstack([plain[:, :2], plain[:, :2]]),
        "repeated eigenvalues": orthonormal,
        "repeated eigenvalues, two scales": orthonormal * [3.0, 3.0, 0.01, 0.01],
        "orthonormal rows": np.eye(5),
        "a row of zeros": np.vstack([plain[:6], np.zeros((1, 4))]),
        "eigenvalues over ten decades": orthonormal * 10.0 ** -np.arange(0, 8, 2),
    }


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared"])
@pytest.mark.parametrize("kind", hard_features().keys())
def test_hard_features(kind, loss):
    x = hard_features()[kind]
    agree(x, labelled(x, loss), loss)


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_separable_labels_in_the_long_run(loss):
    x = rng(5).normal(size=(12, 3))
    y = (x[:, 0] > 0).astype(int) + ((x[:, 0] > 0.7) if loss == "softmax" else 0)
    x[:, 0] += 2 * y
    agree(x - x.mean(axis=0), y, loss, steps=[10, 800])


@pytest.mark.parametrize("rate_in_units", [0.01, 1.0, 1.9, 1.999])
@pytest.mark.parametrize("steps", [[65], [200, 1000]])
def test_closed_form_at_every_rate(rate_in_units, steps):
    x = rng(6).normal(size=(15, 4))
    y = labelled(x, "squared")
    rate = rate_in_units / leave_one_out(x, y, "squared", steps=1).smoothness
    agree(x, y, "squared", rate=rate, steps=steps)


def test_closed_form_needs_no_more_work_for_more_steps():
    x = rng(6).normal(size=(15, 4))
    found = leave_one_out(x, labelled(x, "squared"), "squared", steps=10**12)
    limit = leave_one_out(x, labelled(x, "squared"), "squared", steps=10**6)
    np.testing.assert_allclose(found.distance, limit.distance, rtol=1e-10)
    without = np.delete(np.arange(15), 3)
    solved = [np.linalg.lstsq(x[k], labelled(x, "squared")[k])[0] for k in (np.arange(15), without)]
    assert found.distance[0, 0, 3] == pytest.approx(np.linalg.norm(solved[0] - solved[1]), rel=1e-10)
    assert found.path == "closed-form"


def test_path_is_chosen_by_shape_and_loss():
    x = rng(0).normal(size=(8, 5))
    y = labelled(x, "logistic")
    assert leave_one_out(x, y, steps=3).path == "fused"
    assert leave_one_out(x.T, y[:5], steps=3).path == "gram"
    assert leave_one_out(x, y, "squared", steps=3).path == "closed-form"


def test_many_data_sets_equal_one_after_another():
    shapes = [(6, 3), (9, 2), (6, 3), (4, 7), (6, 3)]
    for loss in ("logistic", "softmax", "squared"):
        xs = [rng(8, k).normal(size=shape) for k, shape in enumerate(shapes)]
        ys = [labelled(x, loss, k) for k, x in enumerate(xs)]
        together = leave_one_out_many(xs, ys, loss, steps=[3, 80], weight="1/(n-1)", l2=0.01)
        for x, y, one in zip(xs, ys, together, strict=True):
            alone = leave_one_out(x, y, loss, steps=[3, 80], weight="1/(n-1)", l2=0.01)
            assert (one.path, one.rate, one.smoothness) == (alone.path, alone.rate, alone.smoothness)
            for name in ("weights", "distance", "direction"):
                np.testing.assert_allclose(getattr(one, name), getattr(alone, name), atol=1e-12)
    with pytest.raises(UserError, match="xs holds 5 data sets and ys 4"):
        leave_one_out_many(xs, ys[:4])


# precision -----------------------------------------------------------------------------------------------------------


def test_float32_keeps_the_digits_of_small_moves():
    """The distances are 1e-4 of the weights: the difference of two float32 weights would keep three digits."""
    x = rng(9).normal(size=(60, 8))
    y = np.sign(x[:, 0] + 0.3 * rng(10).normal(size=60))
    for path in ("fused", "gram"):
        single = leave_one_out(x, y, steps=[100, 3000], dtype="float32", path=path)
        double = leave_one_out(x, y, steps=[100, 3000], dtype="float64", path=path)
        assert single.dtype == "float32"
        assert single.audit_error is not None
        assert single.audit_error < 1e-4
        wrong = np.abs(single.distance - double.distance).max(axis=-1) / double.mean_distance
        assert wrong.max() < 1e-4
        np.testing.assert_allclose(single.weights, double.weights, rtol=0, atol=1e-11)


def test_softmax_in_float32_keeps_small_probabilities():
    x = rng(11).normal(size=(30, 5))
    y = np.argmax(x[:, :3], axis=1)
    single, double = (leave_one_out(x, y, "softmax", steps=2000, dtype=dtype) for dtype in ("float32", "float64"))
    assert (np.abs(single.distance - double.distance).max() / double.mean_distance).item() < 1e-4


def test_the_audit_repeats_in_float64_what_float32_lost(monkeypatch):
    engine = importlib.import_module("stabilitybench.theory.leave_one_out_runs")
    x = rng(9).normal(size=(20, 4))
    y = labelled(x, "logistic")
    monkeypatch.setattr(engine, "SMALL", 0)
    assert leave_one_out(x, y, steps=50).dtype == "float32"
    assert leave_one_out(x, y, steps=50, audit=0).dtype == "float64"
    monkeypatch.setattr(engine, "AUDIT_TOLERANCE", 1e-12)
    assert leave_one_out(x, y, steps=50).dtype == "float64"
    kept = leave_one_out(x, y, steps=50, dtype="float32")
    assert kept.dtype == "float32"
    assert "float32 differs from float64" in kept.warnings[0]


# memory --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_parts_change_nothing(loss):
    x = rng(12).normal(size=(40, 5))
    y = labelled(x, loss)
    whole = leave_one_out(x, y, loss, steps=[5, 50], dtype="float32")
    parted = leave_one_out(x, y, loss, steps=[5, 50], dtype="float32", max_memory=20_000)
    task = problem(x, y, loss=loss)
    assert fused._rows_within(task, fused.feature_space(task), "float32", 20_000) < 20
    np.testing.assert_allclose(parted.distance, whole.distance, rtol=1e-5)
    assert parted.audit_error == pytest.approx(whole.audit_error, rel=10)


def test_parts_of_the_closed_form_change_nothing():
    x = rng(12).normal(size=(40, 5))
    y, start = labelled(x, "squared"), rng(14).normal(size=(3, 5))
    whole, parted = (
        leave_one_out(x, y, "squared", steps=[5, 500], start=start, max_memory=size) for size in (1 << 30, 8_000)
    )
    np.testing.assert_allclose(parted.distance, whole.distance, rtol=1e-12)
    assert parted.path == whole.path == "closed-form"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_stays_under_the_cap(dtype):
    x = rng(13).normal(size=(1500, 60))
    y = labelled(x, "logistic")
    leave_one_out(x[:50], y[:50], steps=2, dtype=dtype)  # imports are not counted
    cap = 8 << 20
    tracemalloc.start()
    leave_one_out(x, y, steps=[1, 2], dtype=dtype, max_memory=cap)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < cap + 3 * x.nbytes  # the cap speaks of the stacked runs; the rows themselves are held besides


def test_a_cap_that_cannot_be_kept_is_refused():
    x = rng(13).normal(size=(50, 6))
    with pytest.raises(UserError, match="max_memory = 100 bytes: these data need at least"):
        leave_one_out(x, labelled(x, "logistic"), max_memory=100)


# properties ----------------------------------------------------------------------------------------------------------

datasets = st.tuples(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 6))
few = settings(deadline=None, derandomize=True, max_examples=25)


@few
@given(datasets, st.sampled_from(["logistic", "softmax", "squared"]))
def test_rotating_the_features_changes_no_distance(made, loss):
    seed, n, d = made
    x = rng(20, seed).normal(size=(n, d))
    y = labelled(x, loss, seed)
    turn = np.linalg.qr(rng(21, seed).normal(size=(d, d)))[0]
    one, two = (leave_one_out(rows, y, loss, steps=[3, 90]) for rows in (x, x @ turn))
    np.testing.assert_allclose(one.distance, two.distance, atol=1e-10)
    np.testing.assert_allclose(one.direction, two.direction, atol=1e-8)


@few
@given(datasets, st.sampled_from(["logistic", "softmax", "squared"]))
def test_reordering_the_rows_reorders_the_results(made, loss):
    seed, n, d = made
    x = rng(22, seed).normal(size=(n, d))
    y = labelled(x, loss, seed)
    order = rng(23, seed).permutation(n)
    one, two = leave_one_out(x, y, loss, steps=[3, 90]), leave_one_out(x[order], y[order], loss, steps=[3, 90])
    np.testing.assert_allclose(one.distance[..., order], two.distance, atol=1e-10)
    np.testing.assert_allclose(one.weights, two.weights, atol=1e-10)


@few
@given(datasets, st.sampled_from([1e-3, 0.5, 40.0]))
def test_scaling_the_features_scales_the_weights_down(made, factor):
    """At 1/beta the rate follows the scale by itself: w shrinks by it and the direction stays."""
    seed, n, d = made
    x = rng(24, seed).normal(size=(n, d))
    y = labelled(x, "logistic", seed)
    one, two = (leave_one_out(rows, y, steps=[3, 90]) for rows in (x, factor * x))
    np.testing.assert_allclose(one.distance, two.distance * factor, atol=1e-10)
    np.testing.assert_allclose(one.direction, two.direction, atol=1e-8)
    np.testing.assert_array_equal(one.flips, two.flips)


@few
@given(datasets)
def test_either_spelling_of_binary_labels_and_two_classes_of_softmax(made):
    seed, n, d = made
    x = rng(25, seed).normal(size=(n, d))
    y = labelled(x, "logistic", seed)
    one, two = leave_one_out(x, y, steps=40), leave_one_out(x, 2 * y - 1, steps=40)
    np.testing.assert_array_equal(one.distance, two.distance)
    # two weight vectors of opposite sign, each moving at half the gradient: w = v_1 - v_0 at twice the softmax rate
    both = leave_one_out(x, y, "softmax", steps=40, rate=one.rate / 2)
    np.testing.assert_allclose(both.weights[:, :, 1] - both.weights[:, :, 0], one.weights, atol=1e-10)
    np.testing.assert_allclose(both.distance * np.sqrt(2), one.distance, atol=1e-10)


def test_orthonormal_rows_by_hand():
    """Each weight grows alone; the left-out one stays zero, and its row is no longer predicted."""
    found = leave_one_out(np.eye(4), [1, 1, 1, 0], steps=1, rate=2.0)
    assert found.weights.tolist() == [[[0.25, 0.25, 0.25, -0.25]]]
    np.testing.assert_allclose(found.distance, 0.25)
    np.testing.assert_allclose(found.direction, np.sqrt(2 - 2 * np.sqrt(3 / 4)))
    np.testing.assert_allclose(found.flips, 0.25)
    assert found.mean_distance.item() == found.worst_distance.item() == pytest.approx(0.25)
    assert found.mean_flips.item() == found.worst_flips.item() == 0.25


# bad input -----------------------------------------------------------------------------------------------------------

X, Y = [[1.0, 2.0], [2.0, 0.5], [-1.0, 1.0]], [0, 1, 1]


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([[1.0, np.nan], [2.0, 1.0]], [0, 1], {}, "x holds NaN or infinity"),
        (X, [0.0, 1.0, np.inf], {"loss": "squared"}, "y holds NaN or infinity"),
        ([["a", "b"], ["c", "d"]], [0, 1], {}, "not a real number"),
        ([[1.0], [1.0, 2.0]], [0, 1], {}, "not a real number"),
        ([1.0, 2.0], [0, 1], {}, r"x has shape \(2,\)"),
        (np.zeros((3, 0)), Y, {}, r"x has shape \(3, 0\)"),
        (X[:1], Y[:1], {}, "x has 1 row: leaving one out needs at least 2"),
        (X, [0, 1], {}, "y has shape"),
        (X, [1, 1, 1], {}, "single class 1"),
        (X, [2, 2, 2], {"loss": "softmax"}, "single class 2"),
        (X, [0, 1, 2], {}, "binary labels must be 0 and 1, or -1 and 1"),
        (X, [0, 1, 0.5], {"loss": "softmax"}, "whole number"),
        (X, Y, {"steps": -1}, "steps holds -1"),
        (X, Y, {"steps": []}, "must be a whole number or a list"),
        (X, Y, {"steps": 1.5}, "must be a whole number or a list"),
        (X, Y, {"rate": 0}, "rate = 0: must be above 0"),
        (X, Y, {"rate": -0.1}, "rate = -0.1: must be above 0"),
        (X, Y, {"rate": np.nan}, "rate = nan: must be a finite number"),
        (X, Y, {"l2": -1}, "l2 = -1: must be 0 or above"),
        (X, Y, {"weight": "1"}, 'must be "1/n" or'),
        (X, Y, {"loss": "hinge"}, "must be one of logistic, softmax, squared"),
        (X, Y, {"start": [1.0, 2.0, 3.0]}, "start has shape"),
        (X, Y, {"start": [1.0, np.inf]}, "start holds NaN or infinity"),
        (X, Y, {"dtype": "float16"}, "must be one of auto, float32, float64"),
        (X, Y, {"audit": -1}, "audit = -1"),
        (X, Y, {"path": "closed-form"}, "for the squared loss only"),
        (X, Y, {"path": "magic"}, "must be one of fused"),
        (X, Y, {"path": ["fused"]}, "must be one of fused"),
        (X, Y, {"max_memory": "1 GB"}, "max_memory = "),
        (X, Y, {"steps": [[1], [1, 2]]}, "must be a whole number or a list"),
        (np.zeros((3, 2)), Y, {}, "x is zero everywhere"),
        (np.full((3, 2), 1e200), Y, {}, "rescale it"),
        (np.full((3, 2), 1e-170), Y, {}, "rescale it"),
    ],
)
def test_bad_input_is_one_sentence(x, y, options, message):
    with pytest.raises(UserError, match=message) as caught:
        leave_one_out(x, y, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_a_rate_above_the_limit_is_measured_and_named(loss):
    x = rng(30).normal(size=(10, 3))
    y = labelled(x, loss)
    limit = 2 / leave_one_out(x, y, loss, steps=1).smoothness
    assert not leave_one_out(x, y, loss, steps=1, rate=limit).warnings
    found = agree(x, y, loss, steps=[1, 5, 40], rate=1.05 * limit, tolerance=1e-8)
    assert "above 2/beta" in found.warnings[0]


def test_a_diverged_run_has_infinite_distances_and_no_warning_of_numpy():
    x = rng(30).normal(size=(10, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in ("fused", "gram", "closed-form", "reference"):
            found = leave_one_out(x, labelled(x, "squared"), "squared", steps=[1, 4000], rate=100.0, path=path)
            assert np.isfinite(found.distance[0]).all()
            assert np.isinf(found.distance[1]).all()
            assert "left the finite numbers by step 4000" in found.warnings[-1]


# small things --------------------------------------------------------------------------------------------------------


def test_log_spaced_steps():
    assert log_spaced_steps(1) == (1,)
    assert log_spaced_steps(10, 1) == (1, 10)
    assert log_spaced_steps(2000, 2)[-2:] == (1000, 2000)
    with pytest.raises(UserError, match="at least 1"):
        log_spaced_steps(0)


def test_the_import_is_light():
    code = (
        "import sys; from stabilitybench.theory import leave_one_out;"
        "heavy = {'torch', 'transformers', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_runs():
    page = Path(__file__).parents[2] / "docs" / "leave-one-out.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    exec("".join(blocks), {})


def test_one_run_that_diverges_leaves_the_directions_of_the_others_alone():
    """Rows 3 and 4 have converged long ago, while the run without a heavy row grows without bound."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(6, 2)), random.normal(size=6)
    x[0] *= 0.01
    rate = 1.8 / (np.linalg.eigvalsh(x.T @ x)[-1] / 6)
    for memory in (1700, 1 << 30):
        found = leave_one_out(x, y, "squared", steps=[100, 400], rate=rate, weight="1/(n-1)", max_memory=memory)
        assert found.distance[1].max() > 1e6
        np.testing.assert_allclose(found.direction[1, 0, 3:5], [0.667, 0.292], atol=2e-3)
        assert "their descent may not converge" in found.warnings[0]


def test_nothing_that_is_no_number_holds_a_bound():
    assert bounds.violated([0.5, np.nan], 1.0).tolist() == [False, True]
    assert bounds.violated(0.5, np.nan)


@pytest.mark.parametrize("last", ["a", None, float("nan"), 1.5, 10**400, 0])
def test_steps_that_cannot_be_spaced(last):
    with pytest.raises(UserError, match=r"^last = "):
        log_spaced_steps(last)


def test_sizes_beyond_squaring_are_named():
    for unit in (1e200, 1e-200):
        with pytest.raises(UserError, match="rescale it"):
            max_margin(np.array([[1.0, 0], [-1, 0]]) * unit, [1, 0])
    with pytest.raises(UserError, match="l2 = 1e-300: must be above 0"):
        leave_one_out_minimisers([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0], 1e-300)
