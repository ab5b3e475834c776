"""The rules against scipy, statsmodels and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.claims import Sample, decide
from stabilitybench.claims.rules.best_of import best_of
from stabilitybench.claims.rules.contrast import contrast
from stabilitybench.claims.rules.differ import differ
from stabilitybench.claims.rules.equivalence import equivalence
from stabilitybench.claims.rules.failures import failures
from stabilitybench.claims.rules.spread import spread
from stabilitybench.errors import UserError

CHECKED = settings(deadline=None, derandomize=True, max_examples=25)


def verdict_of(found):
    return decide(found, found.p)


def draw(seed, n=20, sd=1.0, mean=0.0):
    return Sample.of(np.random.default_rng(seed).normal(mean, sd, n))


def marked(failed, n=20, seed=0):
    values = np.random.default_rng(seed).normal(0.6, 0.05, n)
    return Sample.of(values, np.arange(n) < failed)


@CHECKED
@given(st.integers(0, 10_000), st.floats(0.2, 5), st.integers(3, 30))
def test_a_contrast_of_two_arms_is_welchs_test(seed, sd, n):
    a, b = draw(seed, n, sd, 0.3), draw(seed + 1)
    found = contrast({"t": [a, b]}, (1, -1), interest=0.5, unit="")
    oracle = stats.ttest_ind(a.values, b.values, equal_var=False)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-9)
    low, high = oracle.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_an_interaction_is_the_difference_of_two_differences():
    arms = [draw(k, mean=m) for k, m in enumerate((4.0, 1.0, 2.0, 1.5))]
    found = contrast({"t": arms}, (1, -1, -1, 1), interest=0.5, unit="points")
    means = [a.mean for a in arms]
    assert found.effect == pytest.approx(100 * (means[0] - means[1] - (means[2] - means[3])))
    # equal n: the standard error is that of the analysis of variance, only the degrees of freedom differ
    half = 100 * math.sqrt(4 * np.mean([a.sd**2 for a in arms]) / 20) * stats.t.isf(0.025, 76)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.01)


def test_a_share_of_another_arm_is_tested_as_a_difference_from_it():
    quarter, full = Sample.summary(20, 0.64, 0.01), Sample.summary(20, 0.70, 0.01)
    reached = contrast({"t": [quarter, full]}, (1, -0.9), interest=0.01, unit="points")
    missed = contrast({"t": [quarter, full]}, (1, -0.95), interest=0.01, unit="points")
    assert (verdict_of(reached), verdict_of(missed)) == ("supported", "contradicted")


def test_a_margin_moves_what_is_tested_against():
    half, full = Sample.summary(20, 0.69, 0.01), Sample.summary(20, 0.70, 0.01)
    found = contrast({"t": [half, full]}, (1, -1), null=-0.02, interest=0.01, unit="points")
    plain = contrast({"t": [half, full]}, (1, -1), interest=0.01, unit="points")
    assert verdict_of(found) == "supported"
    assert verdict_of(plain) == "contradicted"


def test_power_and_seeds_of_a_contrast_are_those_of_the_t_test():
    from statsmodels.stats.power import TTestIndPower

    a, b = Sample.summary(20, 1.0, 1.0), Sample.summary(20, 0.0, 1.0)
    found = contrast({"t": [a, b]}, (1, -1), interest=0.8, unit="")
    oracle = TTestIndPower()
    assert found.power == pytest.approx(oracle.power(0.8, 20, 0.05), abs=0.01)
    assert found.detectable == pytest.approx(oracle.solve_power(nobs1=20, alpha=0.05, power=0.8), abs=0.02)
    assert found.seeds == pytest.approx(oracle.solve_power(0.8, alpha=0.05, power=0.8), abs=2)


def test_arms_without_any_spread_are_not_compared():
    flat = Sample.of([0.5, 0.5, 0.5])
    found = contrast({"t": [flat, flat]}, (1, -1), interest=0.1, unit="points")
    assert verdict_of(found) == "not applicable"


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.0, "supported"), (0.05, "contradicted"), (0.017, "not detected")]
)
def test_equivalence_has_three_outcomes(difference, verdict):
    pair = [Sample.summary(20, 0.7 + difference, 0.01), Sample.summary(20, 0.7, 0.01)]
    assert verdict_of(equivalence({"t": pair}, margin=0.02, unit="points")) == verdict


def test_gains_and_losses_on_two_tasks_are_no_equivalence():
    up, down = ([Sample.summary(20, 0.7 + d, 0.01), Sample.summary(20, 0.7, 0.01)] for d in (0.03, -0.03))
    found = equivalence({"up": up, "down": down}, margin=0.02, unit="points")
    assert verdict_of(found) == "contradicted"
    assert "up +3.0, down -3.0" in found.note
    same = [Sample.summary(20, 0.7, 0.01)] * 2
    assert verdict_of(equivalence({"a": same, "b": same}, margin=0.02, unit="points")) == "supported"
    assert verdict_of(equivalence({"a": same, "up": up}, margin=0.02, unit="points")) == "contradicted"


def test_an_equivalence_is_adjusted_like_every_other_test():
    found = equivalence({"t": [Sample.summary(20, 0.71, 0.016), Sample.summary(20, 0.7, 0.016)]}, margin=0.02, unit="")
    assert decide(found, found.p) == "supported"
    assert decide(found, 3 * found.p) == "not detected"


def test_a_method_that_changes_no_run_is_no_evidence_of_equivalence():
    a = draw(0, sd=0.01, mean=0.7)
    mostly = Sample.of(np.where(np.arange(a.n) < 0.6 * a.n, a.values, a.values + 0.001))
    found = equivalence({"t": [a, mostly]}, margin=0.02, unit="points")
    assert verdict_of(found) == "not applicable"
    assert "next to nothing" in found.note
    other = Sample.of(a.values + 0.001)
    assert verdict_of(equivalence({"t": [a, other]}, margin=0.02, unit="points")) == "supported"


def test_a_mean_over_tasks_tells_each_of_them():
    cells = {
        "up": [Sample.of([0.9, 0.8]), Sample.of([0.5, 0.6])],
        "down": [Sample.of([0.4, 0.5]), Sample.of([0.6, 0.5])],
    }
    assert "by task: up +30.0, down -10.0" in contrast(cells, (1, -1), interest=0.1, unit="points").note


def test_equivalence_agrees_with_the_toolkits_own_test():
    from stabilitybench.statistics import equivalence as oracle

    a, b = draw(0, sd=0.01, mean=0.7), draw(1, sd=0.02, mean=0.703)
    found = equivalence({"t": [a, b]}, margin=0.01, unit="points")
    assert found.p == pytest.approx(oracle(a.values, b.values, 0.01).test.p, rel=1e-9)


@CHECKED
@given(st.integers(0, 20), st.integers(0, 20))
def test_failures_on_one_task_are_fishers_test(a, b):
    found = failures({"t": [marked(a), marked(b)]}, interest=0.3)
    assert found.p == pytest.approx(stats.fisher_exact([[a, 20 - a], [b, 20 - b]]).pvalue, rel=1e-9)
    assert found.effect == pytest.approx((a - b) / 20)
    assert found.low <= found.effect <= found.high


def test_arms_that_learn_nothing_fail_by_chance_and_are_left_out():
    # one arm predicts a constant, which counts as failed; the other wavers about the guess, half of its runs below it
    constant = Sample.of(np.zeros(20), np.ones(20, bool), no_skill=0.0)
    wavering = Sample.of(np.tile([-0.05, 0.05], 10), np.tile([True, False], 10), no_skill=0.0)
    learning = Sample.of(draw(0, mean=0.5, sd=0.1).values, np.zeros(20, bool), no_skill=0.0)
    alone = failures({"t": [wavering, constant]})
    assert (alone.decided, alone.note) == ("not applicable", "left out, since neither arm learned anything: t")
    both = failures({"t": [wavering, constant], "u": [learning, constant]})
    one = failures({"u": [learning, constant]})
    assert (both.effect, both.p, both.low, both.high) == (one.effect, one.p, one.low, one.high)
    assert "neither arm learned anything: t; failed: 0 of 20 against 20 of 20" in both.note


def test_failures_that_were_not_published_are_not_guessed():
    with pytest.raises(UserError, match="failed runs were not published"):
        failures({"RTE": [Sample.summary(20, 0.6, 0.01)] * 2}, interest=0.3)


def test_spread_on_one_task_is_brown_forsythe_with_bonetts_interval():
    from stabilitybench.statistics import brown_forsythe, sd_ratio

    a, b = draw(0, sd=1.0), draw(1, sd=3.0)
    found = spread({"t": [a, b]}, interest=1.5)
    assert found.p == brown_forsythe(a.values, b.values).p
    assert (found.low, found.high) == (sd_ratio(a.values, b.values).low, sd_ratio(a.values, b.values).high)
    assert verdict_of(found) == "supported"
    assert "second over first" in found.note


def test_spread_over_tasks_is_symmetric_and_gains_power():
    cells = {str(k): [draw(2 * k, sd=1.0), draw(2 * k + 1, sd=1.6)] for k in range(3)}
    swapped = {task: pair[::-1] for task, pair in cells.items()}
    found, other = spread(cells, interest=1.5), spread(swapped, interest=1.5)
    assert found.effect == pytest.approx(1 / other.effect)
    assert found.p == pytest.approx(other.p, abs=0.02)  # other random permutations
    assert found.detectable > spread({"0": cells["0"]}, interest=1.5).detectable


def test_an_interval_is_withheld_where_runs_failed():
    values = np.random.default_rng(0).normal(0.6, 0.05, 20)
    failing = Sample.of(np.where(np.arange(20) < 4, 0.0, values), np.arange(20) < 4)
    found = spread({"t": [draw(1, sd=0.03), failing]}, interest=1.5)
    assert (found.low, found.high) == (None, None)
    assert "interval withheld" in found.note


def test_an_arm_that_collapsed_has_no_spread_to_compare():
    collapsed = Sample.of(np.r_[np.zeros(19), 0.3], np.arange(20) < 19)
    found = spread({"t": [draw(1, sd=0.03), collapsed]}, interest=1.5)
    assert verdict_of(found) == "not applicable"
    assert "left out" in found.note


def test_published_spreads_use_the_normal_theory_of_the_log_sd():
    pair = [Sample.summary(20, 0.7, 0.01), Sample.summary(20, 0.7, 0.02)]
    found = spread({"t": pair}, interest=1.5)
    z = math.log(2) / math.sqrt(2 / 38)
    assert found.p == pytest.approx(2 * stats.norm.sf(z), rel=1e-9)
    assert "published" in found.note


def test_differ_is_welchs_analysis_of_variance():
    from statsmodels.stats.oneway import anova_oneway

    arms = [draw(k, sd=1 + k / 3, mean=k / 2) for k in range(4)]
    found = differ({"t": arms}, interest=1.0, unit="")
    assert found.p == pytest.approx(anova_oneway([a.values for a in arms], use_var="unequal").pvalue)
    assert found.effect == pytest.approx(np.ptp([a.mean for a in arms]))


def test_best_of_needs_one_arm_that_is_better_or_all_that_are_worse():
    full = Sample.summary(20, 0.7, 0.01)
    worse, equal, better = (Sample.summary(20, m, 0.01) for m in (0.6, 0.7, 0.75))

    def verdict(*arms):
        found = best_of({"t": [*arms, full]}, interest=0.02, unit="points")
        return verdict_of(found)

    assert verdict(worse, better) == "supported"
    assert verdict(worse, equal) == "not detected"
    assert verdict(worse, worse) == "contradicted"
