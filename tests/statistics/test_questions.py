"""The three questions: interval and test are one method, failed runs belong to the first, every shape is answered."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from stabilitybench.statistics import deviation_ratio, failure_contrast, paired_deviation_ratio, paired_failure_contrast
from stabilitybench.statistics.crossed_contrast import crossed_deviation_ratio, crossed_difference
from stabilitybench.statistics.deviation import log_deviation_ratios
from stabilitybench.statistics.pairing import independent, pairing
from stabilitybench.statistics.questions import (
    Answer,
    Runs,
    correlation,
    failure_question,
    level_question,
    outliers,
    spread_question,
)

APART = independent("for a test")


def runs(scores, failed=()) -> Runs:
    marks = np.zeros(len(scores), bool)
    marks[list(failed)] = True
    return Runs(np.asarray(scores, float), marks)


def pairs(n):
    seeds = [(k,) for k in range(n)]
    return pairing(seeds, seeds)


RNG = np.random.default_rng(11)
ARM, BASE = RNG.normal(0.72, 0.01, 20), RNG.normal(0.70, 0.03, 20)


def test_spread_is_the_deviation_ratio_of_runs_or_of_pairs():
    apart, paired = (spread_question(runs(ARM), runs(BASE), p) for p in (APART, pairs(20)))
    for found, expected in ((apart, deviation_ratio(ARM, BASE)), (paired, paired_deviation_ratio(ARM, BASE))):
        assert (found.estimate, found.low, found.high, found.p) == (
            expected.estimate, expected.low, expected.high, expected.p
        )  # fmt: skip
        assert (found.n_arm, found.n_baseline, found.among) == (20, 20, False)
        assert found.sd_ratio == pytest.approx(ARM.std(ddof=1) / BASE.std(ddof=1))
    assert (apart.paired, paired.paired) == (False, True)


def test_failed_runs_do_not_belong_to_spread():
    arm, base = ARM.copy(), BASE.copy()
    arm[[3, 4]] = 0.2
    base[[4, 9]] = 0.1
    found = spread_question(runs(arm, [3, 4]), runs(base, [4, 9]), pairs(20))
    kept = [k for k in range(20) if k not in (3, 4, 9)]
    assert found.paired
    assert found.among
    assert found.p == paired_deviation_ratio(ARM[kept], BASE[kept]).p
    assert (found.n_arm, found.n_baseline) == (17, 17)
    # four more failed runs of the arm: 13 pairs are fewer than 80 % of the 18 runs that did not fail in the baseline
    few = spread_question(runs(arm, [3, 4, 10, 11, 12, 13]), runs(base, [4, 9]), pairs(20))
    kept = [k for k in range(20) if k not in (3, 4, 10, 11, 12, 13)]
    assert not few.paired
    assert few.p == deviation_ratio(ARM[kept], np.delete(base, [4, 9])).p
    assert (few.n_arm, few.n_baseline) == (14, 18)


@pytest.mark.parametrize(("failed", "paired"), [(4, True), (5, False)])
def test_80_percent_of_the_runs_that_did_not_fail_is_the_border(failed, paired):
    assert spread_question(runs(ARM, range(failed)), runs(BASE), pairs(20)).paired is paired


def test_level_is_student_over_pairs_or_welch_failed_runs_included():
    arm = runs(np.where(np.arange(20) < 2, 0.3, ARM), [0, 1])
    apart, paired = (level_question(arm, runs(BASE), p) for p in (APART, pairs(20)))
    oracles = stats.ttest_ind(arm.scores, BASE, equal_var=False), stats.ttest_rel(arm.scores, BASE)
    for found, oracle in zip((apart, paired), oracles, strict=True):
        limits = oracle.confidence_interval(0.95)
        assert (found.p, found.low, found.high) == pytest.approx((oracle.pvalue, limits.low, limits.high))
        assert found.estimate == pytest.approx(arm.scores.mean() - BASE.mean())
        assert found.df == pytest.approx(oracle.df)


def test_failures_are_compared_exactly():
    arm, base = runs(ARM, range(3)), runs(BASE, range(2, 14))
    apart, paired = (failure_question(arm, base, p) for p in (APART, pairs(20)))
    assert apart.p == failure_contrast(3, 20, 12, 20).p
    expected = paired_failure_contrast(arm.failed, base.failed)
    assert (paired.p, paired.estimate, paired.low, paired.high) == (
        expected.p, expected.odds_ratio, expected.low, expected.high
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arm", "base", "made", "note"),
    [
        ((), (), APART, "no run failed"),
        (range(20), range(20), APART, "every run failed"),
        ((), (), pairs(20), "no run failed"),
        ((3, 5), (3, 5), pairs(20), "both runs of every pair fared alike"),
        (range(20), range(20), pairs(20), "every run failed"),
    ],
)
def test_failures_that_tell_nothing_leave_the_family(arm, base, made, note):
    found = failure_question(runs(ARM, arm), runs(BASE, base), made)
    assert (found.p, found.low, found.high, found.note) == (None, None, None, note)


def test_interval_and_test_agree_at_every_level():
    rng = np.random.default_rng(5)
    for k in range(300):
        n, level = int(rng.integers(7, 25)), float(rng.choice([0.9, 0.95, 0.99]))
        sd = float(rng.choice([0.5, 1, 2]))
        arm, base = rng.standard_t(3, n) * sd + rng.normal(0, 0.7), rng.normal(size=n)
        sides = runs(arm, np.flatnonzero(rng.random(n) < 0.2)), runs(base, np.flatnonzero(rng.random(n) < 0.4))
        made = pairs(n) if k % 2 else APART
        for ask, null in ((failure_question, 1.0), (spread_question, 1.0), (level_question, 0.0)):
            found = ask(*sides, made, level)
            if found.p is not None:
                assert found.low is not None
                assert found.high is not None
                assert (found.p < 1 - level) == (not found.low <= null <= found.high), (ask, found)


def test_swapped_arms_give_the_inverse():
    for made in (APART, pairs(20)):
        one, two = (spread_question(runs(a, [1]), runs(b, [1]), made) for a, b in ((ARM, BASE), (BASE, ARM)))
        assert (one.estimate * two.estimate, one.low * two.high) == pytest.approx((1, 1))
        one, two = (level_question(runs(a), runs(b), made) for a, b in ((ARM, BASE), (BASE, ARM)))
        assert (one.estimate, one.low, one.p) == pytest.approx((-two.estimate, -two.high, two.p))


def test_crossed_runs_are_compared_over_their_streams():
    cells = [(i, o) for i, o in product(range(6), range(5))]
    made = pairing(cells, cells, ("init", "order"))
    arm, base = RNG.normal(0.7, 0.01, 30), RNG.normal(0.7, 0.03, 30)
    streams = {"init": [c[0] for c in cells], "order": [c[1] for c in cells]}
    spread, level = (ask(runs(arm), runs(base), made) for ask in (spread_question, level_question))
    assert spread.p == crossed_deviation_ratio(arm, base, streams).p
    assert level.p == crossed_difference(arm, base, streams).p
    assert spread.df == level.df == 4
    # a failed run drops its pair, however few remain
    failed = range(12)
    kept = {name: values[12:] for name, values in streams.items()}
    found = spread_question(runs(arm, failed), runs(base), made)
    assert found.paired
    assert found.estimate == crossed_deviation_ratio(arm[12:], base[12:], kept).estimate


EMPTY = np.array([])
FLAT = np.full(20, 0.7)


@pytest.mark.parametrize("made", [APART, pairs(20)])
@pytest.mark.parametrize(("arm", "base"), [(FLAT, FLAT), (FLAT, BASE), (ARM, FLAT), (FLAT + 0.1, FLAT), (ARM, ARM)])
def test_equal_runs_have_a_note_and_no_number_that_is_none(arm, base, made):
    for ask in (failure_question, spread_question, level_question):
        found = ask(runs(arm), runs(base), made)
        assert isinstance(found, Answer)
        assert (found.p is None) == bool(found.note)
        for value in (found.estimate, found.low, found.high, found.p):
            assert value is None or math.isfinite(value)


def test_few_runs_have_no_interval():
    for n in (1, 2, 3):
        for made in (APART, pairs(n)):
            found = level_question(runs(ARM[:n]), runs(BASE[:n]), made)
            assert found.estimate == pytest.approx(ARM[:n].mean() - BASE[:n].mean())
            assert (found.p, found.low) == (None, None)
            assert spread_question(runs(ARM[:n]), runs(BASE[:n]), made).p is None
    assert level_question(runs(EMPTY), runs(BASE), APART).note == "an arm has no finished run"
    assert failure_question(runs(EMPTY), runs(BASE), APART).note == "an arm has no finished run"
    assert spread_question(runs(ARM[:6]), runs(BASE), APART).p is None
    assert spread_question(runs(ARM[:7]), runs(BASE), APART).p is not None


def test_correlation_is_that_of_the_pairs():
    shared = RNG.normal(size=20)
    assert correlation(runs(shared), runs(2 * shared + ARM), pairs(20)) == pytest.approx(
        np.corrcoef(shared, 2 * shared + ARM)[0, 1]
    )
    assert correlation(runs(shared), runs(FLAT), pairs(20)) is None
    assert correlation(runs(ARM), runs(BASE), APART) is None


def test_outliers_are_named_by_where_the_worst_run_lies():
    even = np.linspace(0.6, 0.8, 21)
    close = 0.7 + (even - 0.7) / 3
    assert outliers(close, even, 1 / 3) == ""
    assert outliers(np.r_[close[1:], 0.55], even, 0.5) == "worse"
    assert outliers(np.r_[close[:-1], 1.4], even, 0.7) == "larger"  # far above, so that its SD is the larger one
    # a lower level is no outlier
    assert outliers(close - 0.3, even, 1 / 3) == ""
    assert outliers(even, np.r_[close[:-1], 1.4], 1.4) == "milder"
    assert outliers(even, close, 3.0) == ""
    assert outliers(even, even, 1.0) == outliers(even, even, None) == ""


def test_the_word_of_outliers_is_rare_where_there_are_none_and_common_where_they_are_seen():
    rng = np.random.default_rng(8)
    said = {}
    for name, n in (("alike", 20), ("half", 20), ("rare bad runs", 50)):
        base = rng.normal(size=(1000, n))
        arm = rng.normal(size=(1000, n)) * (0.5 if name == "half" else 1.0)
        if name == "rare bad runs":  # a lognormal left tail, with 1.25 times the SD of the baseline
            arm = -1.25 * np.exp(arm) / math.sqrt((math.e - 1) * math.e)
        found = log_deviation_ratios(arm, base)
        closer = np.flatnonzero((found.p() < 0.05) & (found.log < 0))
        words = [outliers(arm[k], base[k], math.exp(found.log[k])) for k in closer]
        said[name] = len(closer), sum(word == "worse" for word in words)
    assert said["alike"][1] <= 5
    assert said["half"][1] <= 0.04 * said["half"][0]
    assert said["rare bad runs"][1] >= 0.6 * said["rare bad runs"][0]
