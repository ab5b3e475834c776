"""Paired runs: Pitman-Morgan, swapping within pairs, and the SD ratio with its correlation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    brown_forsythe,
    paired_permutation,
    paired_sd_ratio,
    paired_spread,
    pitman_morgan,
    sd,
)

pairs = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12).map(
    lambda rows: tuple(np.array(rows, float).T / 50)
)


def test_pitman_morgan_by_the_textbook() -> None:
    # t = (s1^2 - s2^2) sqrt(n - 2) / (2 s1 s2 sqrt(1 - r^2))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=12), 2 * rng.normal(size=12)
    r, s1, s2 = stats.pearsonr(a, b).statistic, sd(a), sd(b)
    t = (s1**2 - s2**2) * math.sqrt(10) / (2 * s1 * s2 * math.sqrt(1 - r**2))
    found = pitman_morgan(a, b)
    assert found.statistic == pytest.approx(t)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 10))


def test_swaps_are_listed_for_few_pairs() -> None:
    a, b = np.array([0.0, 4.0, 9.0, 1.0, 3.0]), np.array([0.0, 1.0, 2.0, 0.5, 2.5])
    squares = (a - np.median(a)) ** 2, (b - np.median(b)) ** 2

    def statistic(swapped: tuple[bool, ...]) -> float:
        first = sum(y if s else x for x, y, s in zip(*squares, swapped, strict=True))
        second = sum(x if s else y for x, y, s in zip(*squares, swapped, strict=True))
        return abs(math.log(first / second))

    every = [statistic(swapped) for swapped in product((False, True), repeat=5)]
    expected = np.mean(np.array(every) >= every[0] - 1e-12)
    found = paired_permutation(a, b, np.random.default_rng(0))
    assert found.statistic == pytest.approx(every[0])
    assert found.p == pytest.approx(expected)
    sampled = paired_permutation(np.tile(a, 4), np.tile(b, 4), np.random.default_rng(0), draws=999)
    assert sampled.p >= 1 / 1000


def test_correlated_pairs_show_what_unpaired_tests_miss() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=25)
    a, b = shared + 0.2 * rng.normal(size=25), 1.4 * shared + 0.2 * rng.normal(size=25)
    found = paired_spread(a, b, rng)
    assert found.n == 25
    assert found.correlation.low > 0.8
    assert found.pitman_morgan.p < 0.01
    assert found.permutation.p < 0.01
    assert found.ratio.high < 1
    assert brown_forsythe(a, b).p > 0.05


def test_paired_ratio_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 4.0, 7.0, 3.0]), np.array([2.0, 3.0, 5.0, 11.0, 3.5])
    without = [math.log(sd(np.delete(a, i)) / sd(np.delete(b, i))) for i in range(5)]
    se = math.sqrt(4 / 5 * sum((x - np.mean(without)) ** 2 for x in without))
    found = paired_sd_ratio(a, b, level=0.9)
    half = stats.t.ppf(0.95, 4) * se
    assert found.log_se == pytest.approx(se)
    assert (found.low, found.high) == pytest.approx((sd(a) / sd(b) * math.exp(-half), sd(a) / sd(b) * math.exp(half)))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(pairs, st.floats(-1, 1), st.sampled_from([0.5, 100.0]), st.randoms(use_true_random=False))
def test_paired_results_ignore_shift_scale_order_and_sides(both, shift, scale, random) -> None:  # type: ignore[no-untyped-def]
    a, b = both
    order = list(range(a.size))
    random.shuffle(order)
    one = paired_spread(a, b, np.random.default_rng(0), draws=8192)
    two = paired_spread((b[order] + shift) * scale, (a[order] - shift) * scale, np.random.default_rng(0), draws=8192)
    for first, second in ((one.pitman_morgan, two.pitman_morgan), (one.permutation, two.permutation)):
        assert first.defined == second.defined == (not first.reason)
        if first.defined:
            assert 0 <= first.p <= 1
            # up to 12 pairs all swaps are listed
            assert first.p == pytest.approx(second.p, abs=1e-6)
    if one.ratio.has_interval:
        assert one.ratio.low == pytest.approx(1 / two.ratio.high, rel=1e-6)
        assert one.ratio.low < one.ratio.estimate < one.ratio.high
    else:
        assert one.ratio.note
    if one.correlation.estimate is not None:
        assert -1 <= one.correlation.estimate <= 1


def test_no_paired_answer_without_a_reason() -> None:
    rng = np.random.default_rng(0)
    flat, varied = [0.5] * 5, [0.1, 0.4, 0.2, 0.9, 0.6]
    assert pitman_morgan([0.1, 0.2, 0.3], [0.2, 0.1, 0.4]).reason == "there are 3 of the 4 pairs needed"
    assert pitman_morgan(varied, varied).reason == "the differences of the pairs do not vary"
    assert paired_permutation(varied, varied, rng).p == 1
    assert paired_permutation(flat, flat, rng).reason == "both arms are constant"
    found = paired_spread(flat, varied, rng)
    assert found.correlation.note == "no correlation: the arm has no spread (all scores equal)"
    assert found.ratio.note == "no interval: the arm has no spread (all scores equal)"
    assert paired_sd_ratio(varied, flat).note == "no ratio: the baseline has no spread (all scores equal)"
    assert paired_sd_ratio(varied, [2 * x for x in varied]).note.startswith("no interval: leaving any one pair out")
    assert paired_sd_ratio([0.1], [0.2]).note == "no ratio: there are 1 of the 2 pairs needed"
    with pytest.raises(UserError, match="5 scores of the arm and 4 of the baseline: pairs need as many of each"):
        paired_spread(varied, varied[:4], rng)
    with pytest.raises(UserError, match="score 2 of 4 is inf"):
        pitman_morgan([0.1, math.inf, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4])
