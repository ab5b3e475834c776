"""Spread: the SD ratio and its interval, Brown-Forsythe, and the permutation test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    bonett,
    brown_forsythe,
    mad_ratio,
    median_centred_permutation,
    paired_permutation,
    sd,
    sd_ratio,
    stochastic_dominance,
    stratified_bootstrap,
)
from stabilitybench.statistics.intervals import leave_one_out_log_sd
from stabilitybench.statistics.sd_ratio_intervals import METHODS

# scores on a grid, as counts of right answers are: ties, constants and tiny n come by themselves
grid = st.lists(st.integers(0, 139), min_size=3, max_size=15).map(lambda v: np.array(v) / 139)


def same(a: float | None, b: float | None, tolerance: float = 1e-6) -> bool:
    return a is b if a is None or b is None else math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12)


def test_sd_is_the_sample_sd() -> None:
    assert sd([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx(math.sqrt(32 / 7))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7123456789, -0.2])
def test_equal_scores_have_exactly_no_spread(value: float) -> None:
    assert sd([value] * 7) == 0.0


def test_ratio_interval_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 4.0, 7.0]), np.array([1.0, 1.5, 2.0, 4.0, 3.0])
    parts = []
    for x in (a, b):
        logs = np.log([np.std(np.delete(x, i), ddof=1) for i in range(len(x))])
        parts.append(((len(x) - 1) / len(x) * np.sum((logs - logs.mean()) ** 2), len(x) - 1))
    total = parts[0][0] + parts[1][0]
    df = total**2 / sum(v**2 / k for v, k in parts)
    half = stats.t.ppf(0.95, df) * math.sqrt(total)
    centre = math.log(np.std(a, ddof=1) / np.std(b, ddof=1))
    found = sd_ratio(a, b, level=0.9)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (math.exp(centre), math.exp(centre - half), math.exp(centre + half))
    )


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=12), st.sampled_from([0.0, 1.0, 1e6, 1e12]))
def test_leaving_one_out_is_leaving_one_out(values: list[int], outlier: float) -> None:
    # beside a far outlier the sum of squares without it cancels
    scores = np.array([*values, outlier]) / 20
    found = leave_one_out_log_sd(scores[None, :])[0]
    with np.errstate(divide="ignore"):
        expected = np.log([sd(np.delete(scores, i)) for i in range(scores.size)])
    assert np.array_equal(np.isneginf(found), np.isneginf(expected))
    finite = np.isfinite(expected)
    if finite.any():
        # equal up to a constant of the arm
        difference = found[finite] - expected[finite]
        assert difference == pytest.approx(np.full(finite.sum(), difference[0]), abs=1e-6)


def test_the_default_interval_depends_on_n_and_says_its_name() -> None:
    rng = np.random.default_rng(0)
    few, enough, many = rng.normal(size=6), rng.normal(size=7), rng.normal(size=30)
    for arm, baseline, method in (
        (few, few + few**2, "jackknife-t"),
        (enough, few, "bonett"),
        (many, enough, "bonett"),
        (many[:4], many, "jackknife-t"),
    ):
        found = sd_ratio(arm, baseline)
        assert found.method == METHODS[method]
        assert found == sd_ratio(arm, baseline, interval=method)


def test_bonett_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 4.0, 7.0, 3.0, 2.5, 9.0]), np.array([1.0, 1.5, 2.0, 4.0, 3.0, 8.0, 2.2])
    n, trim = 7, 1 / (2 * math.sqrt(3))
    fourth = sum(((x - stats.trim_mean(x, trim)) ** 4).sum() for x in (a, b))
    kurtosis = 2 * n * fourth / sum(((x - x.mean()) ** 2).sum() for x in (a, b)) ** 2
    se = math.sqrt(2 * (kurtosis - (n - 3) / n) / (n - 1))
    found = bonett(a, b)
    assert found.statistic == pytest.approx(abs(2 * math.log(sd(a) / sd(b))) / se)
    assert found.p == pytest.approx(2 * stats.norm.sf(found.statistic))
    # at the ratio of the two SDs, both arms enter the kurtosis in one scale
    scaled = kurtosis_of(a / sd(a), b / sd(b))
    assert sd_ratio(a, b).log_se == pytest.approx(math.sqrt(2 * (scaled - (n - 3) / n) / (n - 1)) / 2)


def kurtosis_of(a: np.ndarray, b: np.ndarray) -> float:
    fourth = sum(((x - stats.trim_mean(x, 1 / (2 * math.sqrt(x.size - 4)))) ** 4).sum() for x in (a, b))
    return float((a.size + b.size) * fourth / sum(((x - x.mean()) ** 2).sum() for x in (a, b)) ** 2)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10_000), st.integers(5, 15), st.integers(5, 15), st.floats(0.2, 5))
def test_bonetts_interval_holds_the_ratios_that_his_test_does_not_reject(
    seed: int, n: int, m: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = scale * rng.standard_t(3, n), rng.gamma(1.0, size=m)
    found = sd_ratio(a, b, interval="bonett")
    for limit, inward in ((found.low, 1.001), (found.high, 1 / 1.001)):
        # bring the baseline to the scale at which the limit says the two are equal
        assert bonett(a, b * limit).p == pytest.approx(0.05, abs=2e-4)
        assert bonett(a, b * limit * inward).p >= 0.0499
    assert bonett(a, b).p == pytest.approx(bonett(b, a).p)


def test_two_values_in_equal_shares_have_a_bonett_interval() -> None:
    # the jackknife sees no variance there: without any one run the SD is the same
    a, b = [1.0, 2.0] * 5, [1.0, 4.0] * 5
    assert sd_ratio(a, b, interval="jackknife-t").note == "no interval: leaving any one run out changes no SD"
    assert sd_ratio(a, b).low < 1 / 3 < sd_ratio(a, b).high


def test_bonett_needs_five_runs_that_spread() -> None:
    assert bonett([1.0, 2.0, 3.0, 5.0], [1.0] * 5).reason == "the arm has 4 of the 5 runs needed"
    assert bonett([1.0, 2.0, 3.0, 5.0, 4.0], [1.0] * 5).reason == "the baseline is constant"
    few = sd_ratio([1.0, 2.0, 4.0], [1.0, 3.0, 4.0], interval="bonett")
    assert few.note == "no interval: Bonett's needs at least 5 runs in each arm"
    # Bonett's correction of unequal sizes can move the centre to the other side of 1
    assert bonett([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 4.0, 6.0, 8.0]).p > 0.5


@pytest.mark.parametrize("interval", ["bonett", "jackknife-t"])
def test_extreme_units_do_not_matter(interval: str) -> None:
    a, b = np.array([1.0, 2.0, 4.0, 7.0, 3.0, 2.5, 9.0]), np.array([1.0, 1.5, 2.0, 4.0, 3.0, 8.0, 2.2])
    one = sd_ratio(a, b, interval=interval)
    for unit in (1e-90, 1e90):
        two = sd_ratio(unit * a, unit * b, interval=interval)
        assert (one.estimate, one.low, one.high) == pytest.approx((two.estimate, two.low, two.high))
    far = sd_ratio(1e-90 * a, 1e90 * b, interval=interval)
    assert far.high == pytest.approx(1e-180 * one.high)
    assert sd_ratio(1e-250 * a, 1e90 * b, interval=interval).note == "no interval: the ratio is too small for a double"


@settings(deadline=None, derandomize=True)
@given(grid, grid, st.floats(-1, 1), st.sampled_from([1e-3, 0.5, 100.0]))
def test_ratio_tests_ignore_shift_and_common_scale(a: np.ndarray, b: np.ndarray, shift: float, scale: float) -> None:
    one, two = sd_ratio(a, b), sd_ratio((a + shift) * scale, (b - shift) * scale)
    assert one.note == two.note
    for name in ("estimate", "low", "high"):
        assert same(getattr(one, name), getattr(two, name))
    first, second = brown_forsythe(a, b), brown_forsythe((a + shift) * scale, (b - shift) * scale)
    assert first.reason == second.reason
    assert same(first.p, second.p)


@settings(deadline=None, derandomize=True)
@given(grid, grid)
def test_swapping_the_arms_inverts_the_ratio(a: np.ndarray, b: np.ndarray) -> None:
    one, two = sd_ratio(a, b), sd_ratio(b, a)
    if one.has_interval:
        assert same(one.estimate, 1 / two.estimate)
        assert same(one.low, 1 / two.high)
        assert same(one.high, 1 / two.low)
        assert one.low < one.estimate < one.high
    else:
        assert one.note
        assert not two.has_interval
    assert same(brown_forsythe(a, b).p, brown_forsythe(b, a).p)


@settings(deadline=None, derandomize=True)
@given(grid, grid, st.randoms(use_true_random=False))
def test_order_of_runs_does_not_matter(a: np.ndarray, b: np.ndarray, random: object) -> None:
    shuffled = a.copy().tolist()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = sd_ratio(a, b), sd_ratio(shuffled, b)
    assert one.note == two.note
    assert same(one.low, two.low)
    assert same(brown_forsythe(a, b).p, brown_forsythe(shuffled, b).p)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(grid, grid, st.integers(0, 2**32 - 1))
def test_p_values_are_probabilities_or_explained(a: np.ndarray, b: np.ndarray, seed: int) -> None:
    for test in (
        brown_forsythe(a, b),
        median_centred_permutation(a, b, np.random.default_rng(seed), draws=199),
    ):
        assert test.defined == (test.p is not None) == (not test.reason)
        assert test.p is None or 0 <= test.p <= 1
    permuted = median_centred_permutation(a, b, np.random.default_rng(seed), draws=199)
    assert permuted.p is None or permuted.p >= 1 / 200


def test_brown_forsythe_is_levene_with_medians() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 12), rng.normal(0, 3, 17)
    expected = stats.levene(a, b, center="median")
    assert brown_forsythe(a, b).p == pytest.approx(expected.pvalue)
    assert brown_forsythe(a, b).statistic == pytest.approx(expected.statistic)


def test_constant_arms() -> None:
    flat, varied = [0.7] * 8, list(np.linspace(0.5, 0.9, 8))
    assert brown_forsythe(flat, flat).reason == "both arms are constant"
    one = brown_forsythe(flat, varied)
    assert one.defined
    assert one.p == pytest.approx(stats.levene(flat, varied, center="median").pvalue)
    assert sd_ratio(flat, varied).estimate == 0.0
    assert "no spread" in sd_ratio(flat, varied).note
    assert sd_ratio(varied, flat).estimate is None
    assert median_centred_permutation(flat, varied, np.random.default_rng(0)).p < 0.05
    assert not median_centred_permutation(flat, flat, np.random.default_rng(0)).defined


def test_random_resamples_do_not_depend_on_the_order_of_runs() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=15), 1.4 * rng.normal(size=12)
    pairs = rng.permutation(12)
    for call in (
        lambda x, y: median_centred_permutation(x, y, np.random.default_rng(0)).p,
        lambda x, y: sd_ratio(x, y, interval="bca", rng=np.random.default_rng(0)).low,
        lambda x, y: mad_ratio(x, y, np.random.default_rng(0)).low,
        lambda x, y: stochastic_dominance(x, y, np.random.default_rng(0)).upper,
        lambda x, y: stratified_bootstrap({"x": x, "y": y}, "sd", np.random.default_rng(0)).low,
    ):
        assert call(a, b) == pytest.approx(call(a[::-1], b[pairs]), rel=1e-12)
    swapped = [
        paired_permutation(x, y, np.random.default_rng(0), 199).p for x, y in ((a[:12], b), (a[pairs], b[pairs]))
    ]
    assert swapped[0] == swapped[1]


def test_distances_equal_but_for_rounding_are_no_evidence() -> None:
    # every score lies 0.1 from its median: Levene's statistic would be a ratio of rounding errors
    a, b = [0.1, 0.1, 0.3, 0.3], [0.2, 0.2, 0.8, 0.8]
    assert stats.levene(a, b, center="median").pvalue < 1e-6
    assert brown_forsythe(a, b).reason == "the distances to the median do not vary within the arms"


@pytest.mark.parametrize(
    ("arm", "baseline", "note"),
    [
        ([], [1.0, 2.0, 3.0], "no ratio: the arm has 0 of the 2 runs needed"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "no interval: the arm has 2 runs, fewer than 3"),
        ([1.0, 2.0, 4.0], [1.0, 2.0], "no interval: the baseline has 2 runs, fewer than 3"),
        ([1.0, 1.0, 1.0, 2.0], [1.0, 2.0, 4.0], "no interval: all scores of the arm but one are equal"),
        ([1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0], "no interval: leaving any one run out changes no SD"),
    ],
)
def test_no_interval_without_a_reason(arm: list[float], baseline: list[float], note: str) -> None:
    found = sd_ratio(arm, baseline)
    assert (found.low, found.high, found.note) == (None, None, note)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(bad: float) -> None:
    scores = [0.5, bad, 0.7]
    calls = (
        lambda: sd(scores),
        lambda: sd_ratio([0.1, 0.2, 0.3], scores),
        lambda: brown_forsythe(scores, [0.1, 0.2, 0.3]),
        lambda: median_centred_permutation(scores, [0.1, 0.2, 0.3], np.random.default_rng(0)),
    )
    for call in calls:
        with pytest.raises(UserError, match=r"score 2 of 3 is (nan|inf): scores must be finite"):
            call()


def test_sizes_that_overflow_are_refused_and_large_ones_tested() -> None:
    with pytest.raises(UserError, match=r"arm: score 2 of 3 is -1e\+308: too large to square"):
        brown_forsythe([0.0, -1e308, 1e308], [0.1, 0.2, 0.3])
    a, b = np.array([1.0, 2.0, 4.0, 7.0, 3.0]), np.array([2.0, 3.0, 5.0, 11.0, 3.5])
    assert brown_forsythe(1e98 * a, 1e98 * b).p == pytest.approx(brown_forsythe(a, b).p)


def test_words_and_tables_of_scores_are_refused() -> None:
    with pytest.raises(UserError, match="must be numbers"):
        sd(["a", "b"])  # type: ignore[list-item]
    with pytest.raises(UserError, match="one number per run"):
        sd([[0.1, 0.2]])
    with pytest.raises(UserError, match="needs at least 2"):
        sd([0.1])
    with pytest.raises(UserError, match=r"level = 95"):
        sd_ratio([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], level=95)


def test_permutation_p_is_exact_where_all_permutations_can_be_listed() -> None:
    from itertools import combinations

    a, b = np.array([0.0, 4.0, 9.0, 1.0]), np.array([0.0, 1.0, 2.0, 0.5])
    pooled = np.concatenate([a - np.median(a), b - np.median(b)]) ** 2

    def statistic(members: tuple[int, ...]) -> float:
        inside = pooled[list(members)].sum()
        return abs(math.log(inside / (pooled.sum() - inside)))

    observed = statistic((0, 1, 2, 3))
    exact = np.mean([statistic(m) >= observed - 1e-12 for m in combinations(range(8), 4)])
    found = median_centred_permutation(a, b, np.random.default_rng(1), draws=19_999)
    assert found.statistic == pytest.approx(observed)
    assert found.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


def test_permutation_depends_on_its_generator_alone() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 15), rng.normal(0, 1.6, 15)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global stream must stay untouched
    one = median_centred_permutation(a, b, np.random.default_rng(9))
    two = median_centred_permutation(a, b, np.random.default_rng(9))
    assert one == two
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
