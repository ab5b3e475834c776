"""Resampling by matrix products against scipy and against listing everything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    median_centred_permutation,
    median_centred_permutations,
    sd_ratio,
    sd_ratios,
)
from stabilitybench.statistics.resampling import draw_counts, memberships, resampled_squares, swaps


def log_ratio(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    return np.log(a.std(axis=axis, ddof=1) / b.std(axis=axis, ddof=1))


@pytest.mark.parametrize(("interval", "method"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize(("n", "m"), [(20, 20), (8, 15)])
def test_bootstrap_limits_agree_with_scipy(interval: str, method: str, n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.gamma(2.0, size=n), 1.5 * rng.standard_t(5, m)
    ours = sd_ratio(a, b, interval=interval, rng=rng, resamples=60_000)
    theirs = stats.bootstrap(
        (a, b), log_ratio, method=method, n_resamples=60_000, vectorized=True, batch=6000, rng=rng
    ).confidence_interval
    assert [math.log(ours.low), math.log(ours.high)] == pytest.approx(
        [theirs.low, theirs.high], abs=0.02 if n == 20 else 0.05
    )
    assert ours.method.startswith(method)


def test_permutation_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 15), rng.normal(0, 1.6, 12)

    def statistic(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(
            np.log((x**2).sum(axis=axis) / (x.shape[axis] - 1)) - np.log((y**2).sum(axis=axis) / (y.shape[axis] - 1))
        )

    theirs = stats.permutation_test(
        (a - np.median(a), b - np.median(b)), statistic, vectorized=True, n_resamples=30_000, batch=5000,
        alternative="greater", rng=rng,
    )  # fmt: skip
    ours = median_centred_permutation(a, b, rng, draws=30_000)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue, abs=5 * math.sqrt(ours.p * (1 - ours.p) / 15_000))


def test_every_resample_takes_n_runs_and_every_run_as_often() -> None:
    counts = draw_counts(7, 20_000, np.random.default_rng(0))
    assert counts.shape == (7, 20_000)
    assert (counts.sum(axis=0) == 7).all()
    assert counts.mean(axis=1) == pytest.approx(np.ones(7), abs=0.04)
    assert counts.var() == pytest.approx(1 - 1 / 7, abs=0.02)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=3, max_size=9), st.integers(0, 1000))
def test_squares_of_resamples_are_those_of_the_runs_they_take(values: list[int], seed: int) -> None:
    centred = np.array(values, float) / 5
    counts = draw_counts(centred.size, 50, np.random.default_rng(seed))
    found = resampled_squares(centred[None, :], counts)[0]
    for square, column in zip(found, counts.T, strict=True):
        taken = np.repeat(centred, column.astype(int))
        expected = ((taken - taken.mean()) ** 2).sum()
        assert square == pytest.approx(expected, abs=1e-12)
        if (taken == taken[0]).all():
            assert square == 0


def test_an_outlier_does_not_drown_the_others() -> None:
    # resamples without the outlier have a variance a billionth of its square
    values = np.array([0.0, 1e-6, -1e-6, 2e-6, 1.0])
    counts = np.array([[1, 1, 1, 2, 0.0]]).T
    taken = np.array([0.0, 1e-6, -1e-6, 2e-6, 2e-6])
    assert resampled_squares(values[None, :], counts)[0, 0] == pytest.approx(((taken - taken.mean()) ** 2).sum())


def test_all_splits_and_all_swaps_are_listed_when_they_are_few() -> None:
    rng = np.random.default_rng(0)
    blocks, listed = memberships(6, 2, 99, rng)
    rows = np.concatenate(list(blocks))
    assert listed
    assert len(np.unique(rows, axis=0)) == math.comb(6, 2)
    blocks, listed = memberships(30, 12, 500, rng)
    rows = np.concatenate(list(blocks))
    assert (not listed, rows.shape, set(rows.sum(axis=1))) == (True, (500, 30), {12.0})
    blocks, listed = swaps(5, 99, rng)
    assert (listed, len(np.unique(np.concatenate(list(blocks)), axis=0))) == (True, 32)
    blocks, listed = swaps(40, 200, rng)
    assert (not listed, np.concatenate(list(blocks)).shape) == (True, (200, 40))


def test_memory_is_bounded_by_blocks() -> None:
    blocks, _ = memberships(3000, 1000, 9999, np.random.default_rng(0))
    assert next(iter(blocks)).size <= 2**22


@pytest.mark.parametrize("interval", ["jackknife-t", "bonett", "bca", "percentile"])
def test_a_table_of_one_row_is_the_single_answer(interval: str) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(4, 12)), rng.normal(size=(4, 9))
    a[2] = 0.3
    b[3] = 0.7
    table = sd_ratios(a, b, interval=interval, rng=np.random.default_rng(1), resamples=199)
    for row in range(4):
        single = sd_ratio(a[row], b[row], interval=interval, rng=np.random.default_rng(1), resamples=199)
        assert table.loc[row, "note"] == single.note
        for name in ("estimate", "low", "high", "log_se"):
            value = getattr(single, name)
            assert (value is None) == np.isnan(table.loc[row, name])
            assert value is None or value == pytest.approx(table.loc[row, name])


def test_a_table_of_permutations_is_one_test_per_row() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(4, 12)), 1.5 * rng.normal(size=(4, 9))
    a[2], b[2] = 0.3, 0.7
    table = median_centred_permutations(a, b, np.random.default_rng(1), draws=499)
    assert table["reason"].tolist() == ["", "", "both arms are constant", ""]
    assert np.isnan(table.loc[2, "p"])
    for row in (0, 1, 3):
        single = median_centred_permutation(a[row], b[row], np.random.default_rng(1), draws=499)
        assert (single.statistic, single.p) == pytest.approx((table.loc[row, "statistic"], table.loc[row, "p"]))


def test_no_comparisons_give_no_rows() -> None:
    empty = np.empty((0, 5))
    assert len(sd_ratios(empty, empty)) == 0
    assert len(median_centred_permutations(empty, empty, np.random.default_rng(0))) == 0


def test_what_cannot_be_resampled_is_refused() -> None:
    scores = [[0.1, 0.2, 0.4]]
    with pytest.raises(UserError, match=r'interval = "BCa": must be jackknife-t'):
        sd_ratios(scores, scores, interval="BCa")
    with pytest.raises(UserError, match=r"rng = None: must be a random generator"):
        sd_ratios(scores, scores, interval="bca")
    with pytest.raises(UserError, match=r"resamples = 10: must be at least 99"):
        sd_ratio(scores[0], scores[0], interval="bca", rng=np.random.default_rng(0), resamples=10)
    with pytest.raises(UserError, match=r"1 rows of arms and 2 of baselines"):
        sd_ratios(scores, scores * 2)
    with pytest.raises(UserError, match=r"arms, row 2: score 3 of 3 is nan"):
        sd_ratios([scores[0], [0.1, 0.2, math.nan]], scores * 2)
    with pytest.raises(UserError, match=r"1-dimensional array: must hold one row of scores per comparison"):
        median_centred_permutations(scores[0], scores[0], np.random.default_rng(0))
    with pytest.raises(UserError, match=r"draws = 50: must be at least 99"):
        median_centred_permutation(scores[0], scores[0], np.random.default_rng(0), draws=50)
