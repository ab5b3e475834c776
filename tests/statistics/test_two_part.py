"""Failure and spread apart, and the variance taken to pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.statistics import brown_forsythe, fisher, mixture, sd, sd_ratio, two_part, wilson

runs = st.lists(st.tuples(st.integers(0, 139), st.booleans()), min_size=2, max_size=15).map(
    lambda rows: (np.array([score for score, _ in rows]) / 139, np.array([failed for _, failed in rows]))
)


@settings(deadline=None, derandomize=True)
@given(runs, st.floats(-5, 5))
def test_the_parts_add_up_to_the_variance(arm: tuple[np.ndarray, np.ndarray], shift: float) -> None:
    scores, failed = arm
    found = mixture(scores, failed)
    assert found.total == pytest.approx(sd(scores) ** 2, abs=1e-14)
    assert found.between + found.within_failed + found.within_kept == pytest.approx(found.total, abs=1e-14)
    assert min(found.between, found.within_failed, found.within_kept) >= 0
    moved = mixture(scores + shift, failed)
    assert moved.between == pytest.approx(found.between, abs=1e-12)
    if found.failure_share is not None:
        assert 0 <= found.failure_share <= 1
    if not failed.any():
        assert (found.between, found.within_failed) == (0, 0)


def test_mixture_by_hand() -> None:
    found = mixture([0.0, 2.0, 9.0, 11.0], [True, True, False, False])
    # group means 1 and 10, two runs each: between (2 * 2 / 4) 81 / 3, within 2 / 3 each
    assert (found.between, found.within_failed, found.within_kept) == pytest.approx((27, 2 / 3, 2 / 3))
    assert found.failure_share == pytest.approx(83 / 85)
    assert found.driver == "failures"


def test_one_collapsed_run_makes_the_sd_and_rare_ones_need_not() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal(0.7, 0.01, 19)
    assert mixture([*good, 0.5], [False] * 19 + [True]).driver == "failures"
    assert mixture([*good, 0.68], [False] * 19 + [True]).driver == "spread"
    assert mixture([0.5, 0.5], [True, True]).driver == "nothing"
    assert mixture([0.5], [True]).total is None


def test_two_parts_are_the_single_answers() -> None:
    rng = np.random.default_rng(1)
    arm, base = rng.normal(0.72, 0.01, 20), rng.normal(0.70, 0.03, 20)
    failed = np.arange(20) < 5
    base[failed] = 0.5
    found = two_part(arm, np.zeros(20, bool), base, failed)
    assert (found.failure, found.baseline_failure) == (wilson(0, 20), wilson(5, 20))
    assert found.fisher == fisher(0, 20, 5, 20)
    assert found.difference.estimate == -0.25
    assert found.ratio == sd_ratio(arm, base[~failed])
    assert found.brown_forsythe == brown_forsythe(arm, base[~failed])
    assert (found.mixture.driver, found.baseline_mixture.driver) == ("spread", "failures")


def test_few_runs_that_did_not_fail_are_not_compared() -> None:
    rng = np.random.default_rng(2)
    scores, failed = rng.normal(size=20), np.arange(20) < 12
    found = two_part(scores, failed, scores, np.zeros(20, bool))
    note = "the arm has 8 runs that did not fail, fewer than 10"
    assert (found.ratio.estimate, found.ratio.note) == (None, f"no ratio: {note}")
    assert found.distance.note == f"no ratio: {note}"
    assert found.brown_forsythe.reason == note
    assert found.fisher.p < 0.001


def test_empty_arms_have_no_answer_and_wrong_marks_are_refused() -> None:
    found = two_part([], [], [0.1, 0.2], [False, False])
    assert found.failure.rate is None
    assert found.difference.note == "no difference: an arm has no finished run"
    assert found.mixture.driver == "nothing"
    with pytest.raises(UserError, match="failed: 1 marks for 2 scores"):
        mixture([0.1, 0.2], [True])
    assert mixture([0.1, 0.2, 0.4], [0, 1, 0]) == mixture([0.1, 0.2, 0.4], [False, True, False])
    with pytest.raises(UserError, match=r"failed: \[\"no\", \"yes\"\]: must be true or false"):
        mixture([0.1, 0.2], ["no", "yes"])
