"""Contrasts, strata, crossed factors, signs, few runs and rank correlations against scipy, statsmodels and counting."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import fisher, risk_difference
from stabilitybench.statistics.bootstrap import bootstrap_test
from stabilitybench.statistics.contrasts import detectable_range, range_power, welch_anova, welch_contrast
from stabilitybench.statistics.correlation import correlation_power, groups_for_correlation, rank_correlation
from stabilitybench.statistics.crossed import factor_effect, factor_ratio, mean_squares
from stabilitybench.statistics.decisions import is_claimed, outcome, seeds_for_effect
from stabilitybench.statistics.dropping import dropping_gains
from stabilitybench.statistics.few_runs import best_chance_power, chance_of_best
from stabilitybench.statistics.one_sample import detectable_share, mean_excess, median_limits, sign_power, sign_test
from stabilitybench.statistics.stratified import (
    stratified_fisher,
    stratified_risk_difference,
    stratified_spread_permutation,
)

CHECKED = settings(deadline=None, derandomize=True, max_examples=25)


def summary(*arms):
    return [[len(a) for a in arms]], [[np.mean(a) for a in arms]], [[np.std(a, ddof=1) for a in arms]]


@CHECKED
@given(st.integers(0, 10_000), st.floats(0.2, 5), st.integers(3, 30), st.floats(-2, 2))
def test_two_arms_are_welchs_test_and_its_equivalence_that_of_statsmodels(seed, sd, n, shift):
    from statsmodels.stats.weightstats import ttost_ind

    rng = np.random.default_rng(seed)
    a, b = rng.normal(shift, sd, n), rng.normal(size=20)
    found = welch_contrast(*summary(a, b), (1, -1))
    assert found.p() == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-9)
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.estimate - found.half_width(), found.estimate + found.half_width()) == pytest.approx((low, high))
    assert found.equivalence_p(1.0) == pytest.approx(ttost_ind(a, b, -1.0, 1.0, usevar="unequal")[0], rel=1e-7)
    assert found.power(found.detectable()) == pytest.approx(0.8, abs=0.05)
    assert found.equivalence_power(found.equivalence_margin()) == pytest.approx(0.8, abs=1e-9)


def test_strata_are_averaged_and_their_variances_added():
    one = welch_contrast([[20, 20]], [[1.0, 0.0]], [[1.0, 2.0]], (1, -1))
    four = welch_contrast([[20, 20]] * 4, [[1.0, 0.0]] * 4, [[1.0, 2.0]] * 4, (1, -1))
    assert four.estimate == one.estimate
    assert (four.se, four.df) == pytest.approx((one.se / 2, 4 * one.df))


@pytest.mark.parametrize(
    ("n", "weights", "said"),
    [([[3, 3]], (1,), "must be one per arm"), ([[1, 3]], (1, -1), "at least 2 runs"), ([3, 3], (1, -1), "strata")],
)
def test_what_is_no_contrast_is_refused(n, weights, said):
    with pytest.raises(UserError, match=said):
        welch_contrast(n, np.zeros(np.shape(n)), np.ones(np.shape(n)), weights)


def test_the_analysis_of_variance_of_two_arms_is_welchs_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=9), rng.normal(0.5, 3, 14)
    assert welch_anova([a, b]).p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert welch_anova([a, [1.0, 1.0]]).p is None


def test_power_of_the_range_is_that_of_the_analysis_of_variance():
    from statsmodels.stats.power import FTestAnovaPower

    # two extreme means and one half-way: an effect size of sqrt(distance^2 / 6)
    expected = FTestAnovaPower().power(math.sqrt(1 / 6), 60, 0.05, k_groups=3)
    assert range_power(1.0, 1.0, 3, 20) == pytest.approx(expected, rel=1e-6)
    assert range_power(0.0, 1.0, 3, 20) == 0.05
    assert range_power(detectable_range(2.0, 3, 20), 2.0, 3, 20) == pytest.approx(0.8, abs=0.01)


@CHECKED
@given(st.integers(0, 20), st.integers(0, 20))
def test_one_stratum_is_fishers_test_with_newcombes_interval(a, b):
    table = (a, 20, b, 20)
    assert stratified_fisher([table]) == pytest.approx(fisher(*table).p, rel=1e-9)
    one, found = risk_difference(*table), stratified_risk_difference([table])
    assert (found.estimate, found.low, found.high) == pytest.approx((one.estimate, one.low, one.high))


@CHECKED
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=2))
def test_failures_over_strata_sum_the_hypergeometric_laws(tasks):
    # every way to distribute the failures of each stratum, with its probability
    laws = [stats.hypergeom(8, a + b, 4) for a, b in tasks]
    ways = {(i, j): laws[0].pmf(i) * laws[1].pmf(j) for i, j in product(range(5), repeat=2)}
    total = {s: sum(w for (i, j), w in ways.items() if i + j == s) for s in range(9)}
    observed = total[sum(a for a, _ in tasks)]
    expected = sum(w for w in total.values() if w <= observed * (1 + 1e-7))
    assert stratified_fisher([(a, 4, b, 4) for a, b in tasks]) == pytest.approx(min(1.0, expected), rel=1e-9)


def test_spread_over_strata_is_the_share_of_permutations():
    # 3 and 3 runs about equal medians: all 20 ways to tell the squares apart, by counting
    a, b = np.array([-1.0, 0.0, 2.0]), np.array([-5.0, 0.0, 9.0])
    squares = np.concatenate([a**2, b**2])
    observed = abs(math.log(squares[:3].sum() / squares[3:].sum()))
    ways = [squares[list(rows)].sum() for rows in product(range(6), repeat=3) if len(set(rows)) == 3]
    as_far = np.mean([
        abs(math.log(max(w, 1e-9) / max(squares.sum() - w, 1e-9))) >= observed - 1e-9 for w in ways
    ])  # fmt: skip
    p = stratified_spread_permutation([(a, b)], np.random.default_rng(0), draws=20_000)
    assert p == pytest.approx(as_far, abs=0.015)
    # order of the runs and of the arms does not count
    turned = stratified_spread_permutation([(a[::-1], b[::-1])], np.random.default_rng(0), draws=20_000)
    assert turned == p


@pytest.mark.slow
@pytest.mark.parametrize("law", ["normal", "t4"])
def test_size_of_the_permutation_test_over_strata(law):
    rng = np.random.default_rng(5)
    draws = rng.standard_normal if law == "normal" else (lambda size: rng.standard_t(4, size))
    p = [
        stratified_spread_permutation([(a, b) for a, b in draws((3, 2, 20))], np.random.default_rng(k))
        for k in range(300)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def crossed(first, second, seed=0, size=5):
    rng = np.random.default_rng(seed)
    rows, columns = first * rng.standard_normal((size, 1)), second * rng.standard_normal((1, size))
    return rows + columns + rng.normal(size=(size, size))


def test_mean_squares_are_those_of_the_two_way_analysis_of_variance():
    import statsmodels.api as sm
    from statsmodels.formula.api import ols

    scores = crossed(1.0, 2.0)
    long = pd.DataFrame({"y": scores.ravel(), "a": np.repeat(range(5), 5), "b": np.tile(range(5), 5)})
    table = sm.stats.anova_lm(ols("y ~ C(a) + C(b)", long).fit())
    found = mean_squares(scores)
    squares = [found.rows.value, found.columns.value, found.rest.value]
    assert squares == pytest.approx((table["sum_sq"] / table["df"]).to_list())
    effects = [factor_effect(scores, k) for k in (0, 1)]
    assert [e.p for e in effects] == pytest.approx(table["PR(>F)"].iloc[:2].to_list())
    assert effects[0].estimate == pytest.approx(math.sqrt(max(0.0, table["F"].iloc[0] - 1) / 5))


def test_two_factors_trade_places():
    found, turned = (factor_ratio(mean_squares(x)) for x in (crossed(1, 3), crossed(1, 3).T))
    assert turned.estimate == pytest.approx(1 / found.estimate)
    assert (turned.low, turned.high) == pytest.approx((1 / found.high, 1 / found.low))
    assert turned.equivalence_p(2.0) == pytest.approx(found.equivalence_p(2.0))
    assert factor_effect(np.add.outer([0.0, 1.0], [0.0, 2.0]), 0) is None


def test_power_of_a_factor_is_that_of_simulated_designs():
    found = factor_effect(crossed(0, 0, size=8), 0)
    hits = [factor_effect(crossed(0.8, 1, seed, 8), 0).p < 0.05 for seed in range(400)]
    assert np.mean(hits) == pytest.approx(found.power(0.8), abs=0.06)
    assert found.power(0.0) == pytest.approx(0.05)


@CHECKED
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=20, unique=True))
def test_a_mean_above_nothing_is_a_one_sided_t_test(gaps):
    found = mean_excess(gaps)
    if np.std(gaps) < 1e-6:
        return
    assert found.above == pytest.approx(stats.ttest_1samp(gaps, 0, alternative="greater").pvalue, rel=1e-6, abs=1e-12)
    assert found.above + found.below == pytest.approx(1.0)
    assert mean_excess(np.negative(gaps)).above == pytest.approx(found.below)


def test_equal_gaps_are_known_without_error():
    assert [mean_excess([x, x]).above for x in (0.5, 0.0, -0.5)] == [0.0, 0.5, 1.0]
    with pytest.raises(UserError, match="at least one"):
        mean_excess([])


def test_signs_are_binomial():
    assert sign_test(9, 1) == pytest.approx(stats.binomtest(9, 10).pvalue)
    # both tails that 10 signs reject with: 0 or 1 of one kind
    assert sign_power(0.9, 10) == pytest.approx(sum(stats.binom.pmf(k, 10, 0.9) for k in (0, 1, 9, 10)))
    assert sign_power(detectable_share(30), 30) >= 0.8
    values = np.random.default_rng(1).normal(size=15)
    low, high = median_limits(values)
    covered = sum(stats.binom.pmf(k, 15, 0.5) for k in range(np.sum(values <= low), np.sum(values < high) + 1))
    assert covered >= 0.95
    assert median_limits([1.0, 2.0]) is None


def test_the_chance_of_the_best_of_m_is_that_of_single_runs():
    found, one = chance_of_best(4, 10, 3), stats.binomtest(4, 10, 1 - 0.5 ** (1 / 3))
    assert found.p == pytest.approx(one.pvalue)
    assert found.estimate == pytest.approx(1 - 0.6**3)
    assert found.low == pytest.approx(1 - (1 - one.proportion_ci(0.95).low) ** 3)
    hits = [chance_of_best(k, 10, 3) for k in range(11)]
    q = 1 - 0.1 ** (1 / 3)
    seen = sum(stats.binom.pmf(k, 10, q) for k, it in enumerate(hits) if it.p < 0.05 and it.estimate > 0.5)
    assert best_chance_power(0.9, 3, 10) == pytest.approx(seen)
    with pytest.raises(UserError, match="reached = 4: must be at most 3"):
        chance_of_best(4, 3, 1)


def test_a_bootstrap_effect_is_told_by_its_samples():
    drawn = np.random.default_rng(2).normal(2.0, 1.0, 9_999)
    found = bootstrap_test(drawn)
    assert (found.low, found.high) == pytest.approx(stats.norm.interval(0.95, 2.0, 1.0), abs=0.1)
    assert found.p == pytest.approx(2 * stats.norm.sf(2.0), abs=0.01)
    assert found.power(found.detectable()) == pytest.approx(0.8)
    assert bootstrap_test([1.0] * 99) is None


def test_early_readings_that_tell_everything_gain_and_others_lose():
    final = np.random.default_rng(3).normal(size=30)
    telling, _ = dropping_gains(final, final, 8, 5, 0.4, np.random.default_rng(0), resamples=99)
    blind, _ = dropping_gains(-final, final, 8, 5, 0.4, np.random.default_rng(0), resamples=99)
    assert telling > 0 > blind
    with pytest.raises(UserError, match="whole runs"):
        dropping_gains(final, final, 8, 4, 0.4, np.random.default_rng(0))


def test_rank_correlation_and_its_power():
    x, y = np.random.default_rng(4).normal(size=(2, 30))
    found = rank_correlation(x, x + y)
    assert (found.estimate, found.p) == pytest.approx(tuple(stats.spearmanr(x, x + y)))
    assert found.low < found.estimate < found.high
    assert (
        correlation_power(0.4, groups_for_correlation(0.4))
        >= 0.8
        > correlation_power(0.4, groups_for_correlation(0.4) - 1)
    )


def test_decisions():
    assert [is_claimed(p) for p in (None, 0.05, 0.0499)] == [False, False, True]
    assert [outcome(0.01, ahead) for ahead in (True, False)] == ["as claimed", "against the claim"]
    assert outcome(None, True) == "not detected"
    assert seeds_for_effect(20, 1.0, 1e-9) is None
