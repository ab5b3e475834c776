"""What could have been seen, and the seeds that a named effect takes: against simulated and enumerated powers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.comparison import detectable
from stabilitybench.comparison.detectable import (
    detectable_difference,
    detectable_rate,
    detectable_ratio,
    seeds_for_failures,
    seeds_for_level,
    seeds_for_spread,
)
from stabilitybench.power.failures import failure_power
from stabilitybench.power.questions import Look, one_look, spread_power
from stabilitybench.power.simulated_studies import Conditions
from stabilitybench.statistics.deviation import log_deviation_ratios, paired_log_deviation_ratios


@pytest.mark.parametrize("rho", [None, -0.3, 0.0, 0.55, 0.93])
@pytest.mark.parametrize(("n", "tests"), [(9, 1), (20, 1), (30, 12)])
def test_a_detectable_ratio_is_shown_in_80_of_100_studies(n: int, tests: int, rho: float | None) -> None:
    """By normal scores of another stream: 6,000 studies, standard error half a point."""
    found = detectable_ratio(n, n, tests, rho)
    assert found is not None
    assert found.below is not None
    assert found.above is not None
    rng = np.random.default_rng(n)
    z, own = rng.standard_normal((2, 6_000, n))
    arm = (rho or 0.0) * z + math.sqrt(1 - (rho or 0.0) ** 2) * own
    seen = (log_deviation_ratios if rho is None else paired_log_deviation_ratios)(arm, z)
    for ratio in (found.below, found.above):
        log = seen.log + math.log(ratio)
        p = 2 * stats.t.sf(np.abs(log) / seen.se, seen.df)
        shown = (p < 0.05 / tests) & (np.sign(log) == np.sign(math.log(ratio)))
        assert shown.mean() == pytest.approx(0.8, abs=0.025)


def test_correlated_pairs_show_more_and_larger_families_less() -> None:
    above = [detectable_ratio(20, 20, 1, rho).above for rho in (0.0, 0.5, 0.9)]
    assert above == sorted(above, reverse=True)
    assert detectable_ratio(20, 20, 50).above > detectable_ratio(20, 20, 1).above
    assert detectable_ratio(20, 20, 1, 1.0) == detectable_ratio(20, 20, 1, 0.995)
    assert detectable_ratio(5, 20, 1).above is None
    assert detectable_ratio(20_000, 20, 1) is None
    assert detectable_rate(2_000, 20, 0.0, 1) is None


def test_a_report_of_many_arms_simulates_few_of_them() -> None:
    """500 arms with their own correlations share some dozens of simulations."""
    detectable._ratio.cache_clear()
    for rho in np.linspace(-0.2, 0.95, 500):
        detectable_ratio(8, 8, 500, float(rho))
    assert detectable._ratio.cache_info().misses < 50


@pytest.mark.parametrize("rho", [None, 0.0, 0.6, 0.9])
@pytest.mark.parametrize(("ratio", "tests"), [(1.5, 1), (2.0, 4), (1.25, 1), (0.5, 20)])
def test_the_closed_form_of_seeds_has_the_power_asked_for(ratio: float, tests: int, rho: float | None) -> None:
    n = seeds_for_spread(ratio, tests, rho)
    assert n is not None
    assert spread_power(ratio, one_look(n, 0.05 / tests), Conditions(rho)) == pytest.approx(0.815, abs=0.06)
    assert seeds_for_spread(1 / ratio, tests, rho) == n


def test_effects_that_no_number_of_seeds_shows() -> None:
    assert seeds_for_spread(1.001, 1) is None
    assert seeds_for_level(1e-6, 1.0, 1) is None
    assert seeds_for_failures(0.5, 0.4999, 1) is None


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 40))
def test_a_detectable_rate_is_what_the_exact_power_says(failed: int, tests: int, n: int) -> None:
    look = Look(n, 20, 0.05 / (tests + 1))
    found = detectable_rate(n, 20, failed / 20, tests + 1)
    assert found is not None
    if found.above is not None:
        assert failure_power(found.above, failed / 20, (look,), paired=False) >= 0.8
        assert failure_power(found.above - 2e-4, failed / 20, (look,), paired=False) < 0.8


@pytest.mark.parametrize("paired", [True, False])
def test_the_seeds_that_failures_take_have_the_power(paired: bool) -> None:
    n = seeds_for_failures(0.1, 0.4, 3, paired)
    assert n is not None
    assert all(failure_power(0.1, 0.4, one_look(k, 0.05 / 3), paired) >= 0.8 for k in range(n, n + 6))
    assert failure_power(0.1, 0.4, one_look(n - 1, 0.05 / 3), paired) < 0.8


@pytest.mark.parametrize("tests", [1, 10])
def test_differences_of_means_are_those_of_the_noncentral_t(tests: int) -> None:
    reach, critical = detectable_difference(0.5, 14.0, tests), stats.t.isf(0.025 / tests, 14)
    assert stats.nct.sf(critical, 14, reach / 0.5) == pytest.approx(0.8)
    n = seeds_for_level(1.0, 2.0, tests)
    assert n is not None
    powers = [stats.nct.sf(stats.t.isf(0.025 / tests, k - 1), k - 1, math.sqrt(k) / 2) for k in (n - 1, n)]
    assert powers[0] < 0.8 <= powers[1]
