"""Failure rates and their comparison."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from stabilitybench.errors import UserError
from stabilitybench.statistics import fisher, risk_difference, wilson


@pytest.mark.parametrize(("failed", "n"), [(1, 20), (16, 20), (5, 50), (19, 20)])
def test_wilson_inverts_the_score_test(failed: int, n: int) -> None:
    z = stats.norm.ppf(0.975)

    def distance(p: float) -> float:
        return abs(failed / n - p) - z * math.sqrt(p * (1 - p) / n)

    found = wilson(failed, n)
    assert found.low == pytest.approx(brentq(distance, 1e-9, failed / n))
    assert found.high == pytest.approx(brentq(distance, failed / n, 1 - 1e-9))


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_inside_and_holds_the_rate(counts: tuple[int, int]) -> None:
    failed, n = counts
    found = wilson(failed, n)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    mirrored = wilson(n - failed, n)
    assert found.low == pytest.approx(1 - mirrored.high)


def test_no_runs_no_rate() -> None:
    found = wilson(0, 0)
    assert (found.rate, found.low, found.high) == (None, None, None)
    assert fisher(0, 0, 3, 10).reason == "an arm has no finished run"


def test_fisher_by_hand() -> None:
    # 0 of 5 against 5 of 5: two of the C(10, 5) tables are as extreme
    assert fisher(0, 5, 5, 5).p == pytest.approx(2 / math.comb(10, 5))
    assert fisher(0, 20, 0, 20).p == 1
    assert fisher(0, 20, 0, 20).statistic is None
    # 16 of 20 against 1 of 20: as many as 16 of the 17 failures, or all, on either side
    tail = math.comb(20, 16) * math.comb(20, 1) + math.comb(20, 17)
    assert fisher(16, 20, 1, 20).p == pytest.approx(2 * tail / math.comb(40, 17))


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 12), st.integers(0, 12))
def test_fisher_does_not_care_which_arm_comes_first(a: int, b: int) -> None:
    assert fisher(a, 12, b, 15).p == pytest.approx(fisher(b, 15, a, 12).p)
    assert 0 <= fisher(a, 12, b, 15).p <= 1


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Newcombe 1998, table II, method 10
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ],
)
def test_risk_difference_of_the_published_examples(counts: tuple[int, ...], expected: tuple[float, float]) -> None:
    found = risk_difference(*counts)
    assert (found.low, found.high) == pytest.approx(expected, abs=5e-5)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(0, 12), st.integers(0, 15))
def test_risk_difference_stays_inside_and_turns_with_the_arms(a: int, b: int) -> None:
    found, turned = risk_difference(a, 12, b, 15), risk_difference(b, 15, a, 12)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    assert (found.low, found.estimate) == pytest.approx((-turned.high, -turned.estimate))


def test_no_runs_no_difference() -> None:
    assert risk_difference(0, 0, 1, 5).note == "no difference: an arm has no finished run"
    with pytest.raises(UserError, match="level = 95"):
        risk_difference(1, 5, 1, 5, level=95)


@pytest.mark.parametrize(("failed", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(failed: int, n: int) -> None:
    with pytest.raises(UserError, match=r"must satisfy 0 <= failed <= n"):
        wilson(failed, n)
    with pytest.raises(UserError, match=r"must satisfy 0 <= failed_b <= n_b"):
        fisher(1, 5, failed, n)
