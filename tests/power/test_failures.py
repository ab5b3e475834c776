"""Power of the exact test of failures: every table judged as the report judges it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.power.failures import MOST_ENUMERATED, failure_power, failure_reach, p_table
from stabilitybench.power.questions import Look, one_look
from stabilitybench.statistics import failure_contrast, paired_failure_contrast


def paired_p(only_arm: int, only_baseline: int, n: int) -> float:
    arm = np.arange(n) < only_arm
    baseline = (np.arange(n) >= only_arm) & (np.arange(n) < only_arm + only_baseline)
    return paired_failure_contrast(arm, baseline).p


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 5), (8, 3), (10, 12)])
def test_the_table_of_independent_arms_is_that_of_the_report(n: int, m: int) -> None:
    table = p_table((n, m))
    for a, b in itertools.product(range(n + 1), range(m + 1)):
        assert table[a, b] == pytest.approx(failure_contrast(a, n, b, m).p, abs=1e-12)


@pytest.mark.parametrize("n", [1, 6, 11])
def test_the_table_of_pairs_is_that_of_the_report(n: int) -> None:
    table = p_table((n,))
    for b, c in itertools.product(range(n + 1), repeat=2):
        assert table[b, c] == pytest.approx(paired_p(b, c, n) if b + c <= n else 1.0, abs=1e-12)


@pytest.mark.parametrize(("p", "q"), [(0.6, 0.1), (0.0, 0.5), (1.0, 0.2)])
def test_power_of_independent_arms_by_hand(p: float, q: float) -> None:
    power = sum(
        stats.binom.pmf(a, 7, p) * stats.binom.pmf(b, 6, q)
        for a, b in itertools.product(range(8), range(7))
        if failure_contrast(a, 7, b, 6).p < 0.05 and (a / 7 - b / 6) * (p - q) > 0
    )
    assert failure_power(p, q, (Look(7, 6, 0.05),), paired=False) == pytest.approx(power)


@pytest.mark.parametrize(("p", "q"), [(0.8, 0.1), (0.0, 0.9), (1.0, 0.0)])
def test_power_of_pairs_by_hand(p: float, q: float) -> None:
    """Each of the pairs is one of four kinds, whichever comes first."""
    n, cells = 8, (p * (1 - q), q * (1 - p))
    power = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c <= n and paired_p(b, c, n) < 0.05 and (b - c) * (p - q) > 0:
            ways = math.factorial(n) / math.factorial(b) / math.factorial(c) / math.factorial(n - b - c)
            power += ways * cells[0] ** b * cells[1] ** c * (1 - sum(cells)) ** (n - b - c)
    assert failure_power(p, q, one_look(n, 0.05)) == pytest.approx(power)


@pytest.mark.parametrize("paired", [True, False])
def test_looks_are_counted_once_each_by_simulation(paired: bool) -> None:
    """Any look of the same runs; 40,000 studies, standard error 0.25 points."""
    looks, rates = (Look(8, 8, 0.03), Look(14, 14, 0.03), Look(20, 20, 0.04)), (0.1, 0.45)
    rng = np.random.default_rng(5)
    arm, baseline = (rng.random((40_000, 20)) < rate for rate in rates)
    shown = np.zeros(len(arm), dtype=bool)
    for look in looks:
        first, second = arm[:, : look.arm], baseline[:, : look.arm]
        if paired:
            first, second = first & ~second, second & ~first
        a, b = first.sum(axis=1), second.sum(axis=1)
        shown |= (p_table((look.arm,) if paired else (look.arm,) * 2)[a, b] < look.level) & (a < b)
    assert failure_power(*rates, looks, paired) == pytest.approx(shown.mean(), abs=0.01)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(2, 30), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_power_is_symmetric_bounded_and_small_without_a_difference(n: int, p: float, q: float, paired: bool) -> None:
    look = one_look(n, 0.05)
    power = failure_power(p, q, look, paired)
    assert 0 <= power <= 1
    assert failure_power(1 - p, 1 - q, look, paired) == pytest.approx(power, abs=1e-9)
    if p != q:
        assert failure_power(q, p, look, paired) == pytest.approx(power, abs=1e-9)
    assert failure_power(p, p, look, paired) <= 0.05 + 1e-3  # its rates are a grid


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("p", "q"), [(0.05, 0.13), (0.4, 0.55), (0.02, 0.09)])
def test_the_approximation_takes_over_where_it_is_close(p: float, q: float, paired: bool) -> None:
    before, after = (failure_power(p, q, one_look(MOST_ENUMERATED + k, 0.05), paired) for k in (0, 1))
    assert after == pytest.approx(before, abs=0.035)


@pytest.mark.parametrize("paired", [True, False])
def test_rates_that_are_reached_have_the_power_asked_for(paired: bool) -> None:
    look = one_look(25, 0.025)
    found = failure_reach(0.3, look, paired)
    assert found.below is None or failure_power(found.below, 0.3, look, paired) >= 0.8
    assert failure_power(found.above, 0.3, look, paired) >= 0.8 > failure_power(found.above - 2e-4, 0.3, look, paired)
    assert failure_reach(0.0, look, paired).below is None
    assert failure_reach(0.5, one_look(3, 0.05), paired) == (None, None)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: failure_power(1.2, 0.1, one_look(10, 0.05)), r"rate_arm = 1.2: must be a rate between 0 and 1"),
        (lambda: failure_power(0.2, 0.1, one_look(0, 0.05)), r"at least 1 run"),
        (lambda: failure_power(0.2, 0.1, (Look(10, 12, 0.05),)), r"pairs need as many runs"),
    ],
)
def test_impossible_questions_get_one_sentence(call, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call()
