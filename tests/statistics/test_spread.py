"""Spread: the SD ratio and its interval, Brown-Forsythe, and the permutation test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import brown_forsythe, median_centred_permutation, sd, sd_ratio

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
