"""Ratios of robust measures of spread."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import distance_ratio, iqr_ratio, mad_ratio, sd_ratio

grid = st.lists(st.integers(0, 139), min_size=3, max_size=15).map(lambda v: np.array(v) / 139)


def same(a: float | None, b: float | None) -> bool:
    return a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)


def test_measures_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=14), rng.gamma(2.0, size=11)
    mad = stats.median_abs_deviation(a) / stats.median_abs_deviation(b)
    assert mad_ratio(a, b, rng, resamples=99).estimate == pytest.approx(mad)
    assert iqr_ratio(a, b, rng, resamples=99).estimate == pytest.approx(stats.iqr(a) / stats.iqr(b))


@pytest.mark.parametrize(("ratio", "measure"), [(mad_ratio, stats.median_abs_deviation), (iqr_ratio, stats.iqr)])
def test_limits_are_those_of_scipys_bootstrap(ratio, measure) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=30), 2 * rng.normal(size=30)
    found = ratio(a, b, rng, resamples=9999)
    expected = stats.bootstrap(
        (a, b),
        lambda x, y, axis: measure(x, axis=axis) / measure(y, axis=axis),
        method="percentile",
        batch=1000,
        rng=rng,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.06)


def test_distance_ratio_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 4.0, 8.0, 9.0]), np.array([0.0, 3.0, 4.0, 20.0])
    variance, logs = 0.0, []
    for x in (a, b):
        n, distance = len(x), np.abs(x - np.median(x)).mean()
        delta, gamma = (x.mean() - np.median(x)) / distance, x.std(ddof=1) / distance
        variance += (delta**2 + gamma**2 - 1) / n
        logs.append(math.log(distance * n / (n - 1)))
    half = stats.norm.ppf(0.975) * math.sqrt(variance)
    found = distance_ratio(a, b)
    assert math.log(found.estimate) == pytest.approx(logs[0] - logs[1])
    assert math.log(found.high / found.low) == pytest.approx(2 * half)


def test_tails_show_as_a_difference_between_the_measures() -> None:
    rng = np.random.default_rng(2)
    core = rng.normal(size=40)
    tails = core.copy()
    tails[:3] = [-9, -8, 10]
    assert sd_ratio(tails, core).estimate > 2
    assert mad_ratio(tails, core, rng).estimate < 1.3


@settings(deadline=None, derandomize=True, max_examples=40)
@given(grid, grid, st.floats(-1, 1), st.sampled_from([0.5, 100.0]))
def test_robust_ratios_ignore_shift_and_common_scale(a: np.ndarray, b: np.ndarray, shift: float, scale: float) -> None:
    one, two = distance_ratio(a, b), distance_ratio((a + shift) * scale, (b - shift) * scale)
    assert one.note == two.note
    assert all(same(getattr(one, name), getattr(two, name)) for name in ("estimate", "low", "high"))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(grid, grid)
def test_swapping_the_arms_inverts_robust_ratios(a: np.ndarray, b: np.ndarray) -> None:
    one, two = distance_ratio(a, b), distance_ratio(b, a)
    if one.has_interval:
        assert same(one.estimate, 1 / two.estimate)
        assert same(one.low, 1 / two.high)
        assert one.low <= one.estimate <= one.high
    else:
        assert one.note
        assert not two.has_interval
    for ratio in (mad_ratio, iqr_ratio):
        found, swapped = (ratio(x, y, np.random.default_rng(0), resamples=99) for x, y in ((a, b), (b, a)))
        assert found.has_interval == (not found.note)
        if found.estimate and swapped.estimate:
            assert same(found.estimate, 1 / swapped.estimate)
        if found.has_interval:
            assert 0 < found.low <= found.high < math.inf


def test_no_robust_ratio_without_a_reason() -> None:
    rng = np.random.default_rng(0)
    flat, varied, half = [0.5] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.9], [0.5, 0.5, 0.5, 0.5, 0.1, 0.9]
    for ratio in (mad_ratio, iqr_ratio):
        assert ratio([0.1, 0.2], varied, rng).note == "no ratio: the arm has 2 of the 3 runs needed"
        assert ratio(varied, flat, rng).note.startswith("no ratio: the baseline's")
        assert ratio(flat, varied, rng).estimate == 0
        assert ratio(flat, varied, rng).note.startswith("no interval: the arm's")
    assert mad_ratio(varied, half, rng).note == "no ratio: the baseline's median distance to the median is 0"
    assert distance_ratio(flat, varied).note == "no interval: the arm has no spread (all scores equal)"
    assert distance_ratio(varied, flat).note == "no ratio: the baseline has no spread (all scores equal)"
    assert distance_ratio([0.1], varied).note == "no ratio: the arm has 1 of the 3 runs needed"
    with pytest.raises(UserError, match="score 1 of 3 is nan"):
        mad_ratio([math.nan, 0.1, 0.2], varied, rng)
