"""Level: means with intervals, the best of a few, who is better, and who is as good."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind

from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    equivalence,
    expected_best,
    iqm,
    levels,
    probability_of_improvement,
    stochastic_dominance,
)

grid = st.lists(st.integers(0, 139), min_size=3, max_size=12).map(lambda v: np.array(v) / 139)


@settings(deadline=None, derandomize=True)
@given(grid)
def test_iqm_is_scipys_trimmed_mean(scores: np.ndarray) -> None:
    assert iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25))
    assert iqm([0.1] * 7) == 0.1


def test_intervals_of_level_are_scipys() -> None:
    scores = np.random.default_rng(0).gamma(2.0, size=21)
    table = levels(scores, 0.9)
    t = stats.t.interval(0.9, 20, loc=scores.mean(), scale=stats.sem(scores))
    assert table.loc["mean", ["low", "high"]].tolist() == pytest.approx(list(t))
    trimmed = stats.mstats.trimmed_mean_ci(scores, limits=(5 / 21, 5 / 21), alpha=0.1)
    assert table.loc["iqm", ["low", "high"]].tolist() == pytest.approx(list(trimmed))
    rank = stats.quantile_test(scores, p=0.5).confidence_interval(0.9)
    assert table.loc["median", ["low", "high"]].tolist() == pytest.approx([rank.low, rank.high])


@settings(deadline=None, derandomize=True, max_examples=40)
@given(grid)
def test_levels_lie_inside_their_intervals_or_say_why_not(scores: np.ndarray) -> None:
    table = levels(scores)
    for _, row in table.iterrows():
        if row["note"]:
            assert np.isnan(row["low"])
            assert np.isnan(row["high"])
        else:
            assert row["low"] <= row["estimate"] <= row["high"]
    assert levels(scores[::-1]).equals(table)


def test_few_scores_have_no_interval() -> None:
    table = levels([0.7])
    assert table["estimate"].tolist() == [0.7] * 3
    assert table["note"].tolist() == [
        "no interval: fewer than 2 runs are left",
        "no interval: 1 runs are too few at this level",
        "no interval: fewer than 2 runs are left",
    ]
    assert levels([0.7, 0.7, 0.7]).loc["mean", "note"] == "no interval: all scores are equal"
    with pytest.raises(UserError, match="0 scores: needs at least 1"):
        levels([])
    with pytest.raises(UserError, match="0 scores: needs at least 1"):
        iqm([])


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.data())
def test_expected_best_is_the_mean_over_all_subsets(values: list[int], data: st.DataObject) -> None:
    m = data.draw(st.integers(1, len(values)))
    every = np.mean([max(part) for part in combinations(values, m)])
    assert expected_best(values, [m])[0] == pytest.approx(every)
    drawn = np.mean([max(part) for part in product(values, repeat=min(m, 4))])
    assert expected_best(values, [min(m, 4)], replace=True)[0] == pytest.approx(drawn)


def test_expected_best_runs_from_the_mean_to_the_maximum() -> None:
    scores = np.random.default_rng(0).normal(size=500)
    budgets = np.arange(1, 501)
    without, replaced = expected_best(scores, budgets), expected_best(scores, budgets, replace=True)
    assert (without[0], without[-1]) == pytest.approx((scores.mean(), scores.max()))
    assert replaced[0] == pytest.approx(scores.mean())
    assert expected_best(scores, [10**6], replace=True)[0] == pytest.approx(scores.max())
    assert (np.diff(without) >= 0).all()
    assert (without >= replaced - 1e-12).all()
    for wrong in ([0], [501], [1.5], [[1]]):
        with pytest.raises(UserError, match="budgets = "):
            expected_best(scores, wrong)
    with pytest.raises(UserError, match="0 scores"):
        expected_best([], [1])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(grid, grid, st.floats(-1, 1))
def test_probability_of_improvement_counts_pairs(a: np.ndarray, b: np.ndarray, shift: float) -> None:
    found = probability_of_improvement(a, b)
    wins = (a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean()
    assert found.estimate == pytest.approx(wins)
    other = probability_of_improvement(b, a)
    assert other.estimate == pytest.approx(1 - wins)
    if found.has_interval:
        assert 0 <= found.low <= found.estimate <= found.high <= 1
        assert found.low == pytest.approx(1 - other.high, abs=1e-9)
    else:
        assert found.note


def test_probability_of_improvement_has_brunner_and_munzels_variance() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.4, 1, 15), rng.normal(0, 2, 12)
    found = probability_of_improvement(a, b, 0.95)
    half = (math.log(found.high / (1 - found.high)) - math.log(found.low / (1 - found.low))) / 2
    test = stats.brunnermunzel(b, a)
    # scipy's statistic is (estimate - 1/2) over the same standard error
    se = (found.estimate - 0.5) / test.statistic
    placed = [(y[:, None] < x).mean(axis=0) for x, y in ((a, b), (b, a))]
    parts = [p.var(ddof=1) / p.size for p in placed]
    assert se == pytest.approx(math.sqrt(sum(parts)))
    df = sum(parts) ** 2 / sum(p**2 / (x.size - 1) for p, x in zip(parts, placed, strict=True))
    assert half == pytest.approx(stats.t.ppf(0.975, df) * se / (found.estimate * (1 - found.estimate)))


def test_separate_or_tiny_arms_have_no_probability_interval() -> None:
    assert probability_of_improvement([3.0, 4.0, 5.0], [0.0, 1.0, 2.0]).note.startswith("no interval: every run of one")
    assert probability_of_improvement([3.0, 4.0], [0.0, 5.0]).note == "no interval: an arm has fewer than 3 runs"
    assert probability_of_improvement([], [0.0]).note == "no probability: an arm has no run"
    assert probability_of_improvement([1.0] * 3, [1.0] * 3).estimate == 0.5


def test_violation_by_hand() -> None:
    rng = np.random.default_rng(0)
    # quantiles 1, 2, 6 against 0, 3, 4: gaps 1, -1, 2, of which -1 is the baseline's
    found = stochastic_dominance([6.0, 1.0, 2.0], [0.0, 4.0, 3.0], rng, level=0.9)
    assert found.violation == pytest.approx(1 / 6)
    other = stochastic_dominance([0.0, 4.0, 3.0], [6.0, 1.0, 2.0], rng, level=0.9)
    assert other.violation == pytest.approx(5 / 6)
    # unequal sizes: steps of thirds against halves of the quantile range
    fine = np.repeat([6.0, 1.0, 2.0], 2), np.repeat([0.0, 4.0], 3)
    coarse = stochastic_dominance([6.0, 1.0, 2.0, 6.0, 1.0, 2.0], [0.0, 4.0, 0.0, 4.0], rng)
    assert coarse.violation == pytest.approx(stochastic_dominance(*fine, rng).violation)


def test_dominance_is_claimed_when_it_is_sure_and_corrected_for_comparisons() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.9, 1, 25), rng.normal(0, 1, 25)
    one = stochastic_dominance(a, b, np.random.default_rng(0))
    ten = stochastic_dominance(a, b, np.random.default_rng(0), comparisons=10)
    assert (one.level, ten.level) == pytest.approx((0.95, 0.995))
    assert one.violation == ten.violation <= one.upper <= ten.upper <= 1
    assert stochastic_dominance(a + 5, b, rng).dominant
    assert stochastic_dominance(a + 5, b, rng).violation == 0
    assert not stochastic_dominance(b, a + 5, rng).dominant
    assert stochastic_dominance(a, a, rng).note == "the two arms have the same quantiles"
    assert stochastic_dominance(a[:2], b, rng).note == "the arm has 2 of the 3 runs needed"
    assert stochastic_dominance([0.5] * 4, [0.4] * 4, rng).dominant
    # 3 against 3 runs that do not overlap: 1 of 20 orders
    assert stochastic_dominance([0.5] * 3, [0.4] * 3, rng, level=0.94).dominant
    few = stochastic_dominance([0.5] * 3, [0.4] * 3, rng, comparisons=2)
    assert (few.dominant, few.note) == (False, "3 and 3 runs are too few at a level of 0.975")
    with pytest.raises(UserError, match="comparisons = 0"):
        stochastic_dominance(a, b, rng, comparisons=0)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(grid, grid, st.sampled_from([0.5, 100.0]))
def test_violation_is_bounded_and_ignores_scale(a: np.ndarray, b: np.ndarray, scale: float) -> None:
    one = stochastic_dominance(a, b, np.random.default_rng(0), resamples=99)
    two = stochastic_dominance((a + 1) * scale, (b + 1) * scale, np.random.default_rng(0), resamples=99)
    if one.violation is None:
        assert one.note
    elif two.violation is not None:
        assert 0 <= one.violation <= one.upper <= 1
        assert one.violation == pytest.approx(two.violation, abs=1e-6)


def test_equivalence_is_statsmodels_tost() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.70, 0.02, 18), rng.normal(0.705, 0.01, 22)
    found = equivalence(a, b, margin=0.015)
    assert found.test.p == pytest.approx(ttost_ind(a, b, -0.015, 0.015, usevar="unequal")[0])
    welch = stats.ttest_ind(a, b, equal_var=False)
    limits = welch.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))
    assert found.difference == pytest.approx(a.mean() - b.mean())


@settings(deadline=None, derandomize=True, max_examples=40)
@given(grid, grid, st.floats(0.01, 1))
def test_equivalent_means_the_interval_lies_inside_the_margin(a: np.ndarray, b: np.ndarray, margin: float) -> None:
    found, swapped = equivalence(a, b, margin), equivalence(b, a, margin)
    if found.test.defined:
        if abs(found.test.p - 0.05) > 1e-9:
            assert found.equivalent == (-margin < found.low and found.high < margin)
        assert found.test.p == pytest.approx(swapped.test.p)
    else:
        assert not found.equivalent
        assert found.test.reason == "both arms are constant"


def test_margins_that_make_no_sense_are_refused() -> None:
    assert equivalence([0.1], [0.2, 0.3], 0.1).test.reason == "an arm has fewer than 2 runs"
    for margin in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UserError, match=r"margin = .*must be a finite number above 0"):
            equivalence([0.1, 0.2], [0.1, 0.3], margin)
    with pytest.raises(UserError, match="alpha = 5"):
        equivalence([0.1, 0.2], [0.1, 0.3], 0.1, alpha=5)
