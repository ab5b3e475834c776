"""The comparison of failures: exact size, the tests it refines, and an interval that never disagrees."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import failure_contrast, fisher, paired_failure_contrast

RATES = np.linspace(0, 1, 401)


def pairs(only_arm: int, only_baseline: int, alike: int) -> tuple[np.ndarray, np.ndarray]:
    arm = np.repeat([True, False, False], [only_arm, only_baseline, alike])
    return arm, np.repeat([False, True, False], [only_arm, only_baseline, alike])


@pytest.mark.parametrize("n", [5, 8, 17, 20])
def test_size_of_independent_arms_at_every_rate(n: int) -> None:
    rejects = np.array([[failure_contrast(i, n, j, n).p < 0.05 for j in range(n + 1)] for i in range(n + 1)])
    chance = stats.binom.pmf(np.arange(n + 1), n, RATES[:, None])
    assert np.einsum("ri,ij,rj->r", chance, rejects.astype(float), chance).max() <= 0.0501


@pytest.mark.parametrize(("n", "m"), [(5, 20), (10, 30)])
def test_size_of_unequal_arms_at_every_rate(n: int, m: int) -> None:
    rejects = np.array([[failure_contrast(i, n, j, m).p < 0.05 for j in range(m + 1)] for i in range(n + 1)])
    first, second = (stats.binom.pmf(np.arange(k + 1), k, RATES[:, None]) for k in (n, m))
    assert np.einsum("ri,ij,rj->r", first, rejects.astype(float), second).max() <= 0.0501


@pytest.mark.parametrize("n", [8, 16, 24])
def test_size_of_pairs_at_every_rate(n: int) -> None:
    size = np.zeros(RATES.size)
    for differ in range(n + 1):
        chance = stats.binom.pmf(np.arange(differ + 1), differ, 0.5)
        found = [paired_failure_contrast(*pairs(k, differ - k, n - differ)).p < 0.05 for k in range(differ + 1)]
        size += stats.binom.pmf(differ, n, RATES) * chance[found].sum()
    assert size.max() <= 0.0501


def test_it_rejects_wherever_fishers_test_does() -> None:
    power = {"exact": 0.0, "Fisher": 0.0}
    first, second = (stats.binom.pmf(np.arange(21), 20, rate) for rate in (0.05, 0.4))
    for i, j in product(range(21), repeat=2):
        mine, theirs = failure_contrast(i, 20, j, 20).p < 0.05, fisher(i, 20, j, 20).p < 0.05
        assert mine or not theirs
        power["exact"] += first[i] * second[j] * mine
        power["Fisher"] += first[i] * second[j] * theirs
    assert power["Fisher"] == pytest.approx(0.72, abs=0.01)
    assert power["exact"] > 0.80


def test_it_rejects_the_tables_that_boschloos_test_rejects() -> None:
    for i, j in product(range(6), repeat=2):
        theirs = stats.boschloo_exact([[i, 5 - i], [j, 5 - j]], n=128).pvalue
        assert (failure_contrast(i, 5, j, 5).p < 0.05) == (theirs < 0.05)


@given(n=st.integers(1, 20), m=st.integers(1, 20), level=st.sampled_from([0.8, 0.9, 0.95, 0.99]), data=st.data())
@settings(deadline=None, max_examples=60)
def test_interval_and_test_say_the_same(n: int, m: int, level: float, data: st.DataObject) -> None:
    i, j = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    found = failure_contrast(i, n, j, m, level)
    assert (found.p < 1 - level) == (not found.low <= 1 <= found.high)
    assert found.odds_ratio is None or found.low <= found.odds_ratio <= found.high
    swapped = failure_contrast(j, m, i, n, level)
    assert swapped.p == pytest.approx(found.p)
    assert (swapped.low == 0) == math.isinf(found.high)
    assert swapped.high == pytest.approx(1 / found.low if found.low else math.inf)


@given(
    counts=st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(0, 15)),
    level=st.sampled_from([0.8, 0.9, 0.95, 0.99]),
)
@settings(deadline=None, max_examples=60)
def test_interval_and_test_of_pairs_say_the_same(counts: tuple[int, int, int], level: float) -> None:
    found = paired_failure_contrast(*pairs(*counts), level)
    assert found.counts == counts[:2]
    assert (found.p < 1 - level) == (not found.low <= 1 <= found.high)
    assert found.odds_ratio is None or found.low <= found.odds_ratio <= found.high


def test_limits_are_the_odds_ratios_with_that_mid_p_tail() -> None:
    """The conditional interval, by scipy's non-central hypergeometric and binomial distributions."""
    found = failure_contrast(3, 20, 9, 20)
    lower = stats.nchypergeom_fisher(40, 20, 12, found.low)
    upper = stats.nchypergeom_fisher(40, 20, 12, found.high)
    tails = lower.sf(3) + lower.pmf(3) / 2, upper.cdf(2) + upper.pmf(3) / 2
    assert tails[0] == pytest.approx(tails[1])
    assert 0.02 < tails[0] < 0.035
    found = paired_failure_contrast(*pairs(3, 9, 8))
    shares = found.low / (1 + found.low), found.high / (1 + found.high)
    tails = (
        stats.binom.sf(3, 12, shares[0]) + stats.binom.pmf(3, 12, shares[0]) / 2,
        stats.binom.cdf(2, 12, shares[1]) + stats.binom.pmf(3, 12, shares[1]) / 2,
    )
    assert tails[0] == pytest.approx(tails[1])


def test_what_says_nothing_and_what_is_refused() -> None:
    for found in (
        failure_contrast(0, 20, 0, 20),
        failure_contrast(20, 20, 20, 20),
        paired_failure_contrast(*pairs(0, 0, 5)),
    ):
        assert (found.odds_ratio, found.low, found.high, found.p) == (None, 0.0, math.inf, 1.0)
    assert failure_contrast(0, 0, 3, 20).p == 1.0
    with pytest.raises(UserError, match="0 <= failed <= n"):
        failure_contrast(3, 2, 0, 2)
    with pytest.raises(UserError, match="one per pair"):
        paired_failure_contrast([True, False], [True])
    with pytest.raises(UserError, match="True or False"):
        paired_failure_contrast([1, 0], [0, 1])
