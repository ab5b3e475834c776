"""Bands of the expected best of m runs: against Kolmogorov's distribution and integrals, and coverage by simulation.

`python -m pytest -m slow tests/statistics/test_bands.py -s` prints the table of the documentation.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import expected_best, expected_best_bands
from stabilitybench.statistics.bands import _all_within, _local_limits
from support.published import assert_published


@pytest.mark.parametrize("n", [1, 2, 7, 30, 100])
def test_chances_by_the_distribution_of_kolmogorov(n: int) -> None:
    i = np.arange(1, n + 1)
    for gap in (0.6 / math.sqrt(n), 1.0 / math.sqrt(n), 1.5 / math.sqrt(n)):
        if gap > 0.5 / n:
            limits = np.clip(i / n - gap, 0, 1), np.clip((i - 1) / n + gap, 0, 1)
            assert _all_within(*limits) == pytest.approx(stats.kstwo.cdf(gap, n), abs=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_all_limits_hold_with_their_level(level: float) -> None:
    for n in (1, 2, 10, 40):
        low, high = _local_limits(n, level)
        assert _all_within(low, high) == pytest.approx(level, abs=1e-6)
        assert low == pytest.approx(1 - high[::-1])
        tails = stats.beta.cdf(low, np.arange(1, n + 1), np.arange(n, 0, -1))
        assert tails == pytest.approx(np.full(n, tails[0]))
    assert _local_limits(1, level)[0][0] == pytest.approx((1 - level) / 2)


def test_limits_are_integrals_of_the_band() -> None:
    x = np.sort(np.random.default_rng(0).uniform(0.2, 0.9, 12))
    low, high = _local_limits(12, 0.9)
    grid = np.linspace(0, 1, 200_001)
    place = np.searchsorted(x, grid, side="right")
    largest, smallest = np.append(high, 1.0)[place], np.append(0.0, low)[place]
    found = expected_best_bands(x, [1, 3, 12], (0, 1), 0.9)
    for m, row in found.iterrows():
        assert row["low"] == pytest.approx(1 - np.trapezoid(largest**m, grid), abs=1e-4)
        assert row["high"] == pytest.approx(1 - np.trapezoid(smallest**m, grid), abs=1e-4)
    assert found["estimate"].tolist() == pytest.approx(expected_best(x, [1, 3, 12]).tolist())


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=10), st.sampled_from([0.8, 0.95]))
def test_bands_hold_the_estimate_and_rise_with_m(scores: list[int], level: float) -> None:
    found = expected_best_bands(scores, range(1, len(scores) + 1), (0, 20), level)
    assert (found["low"] <= found["estimate"]).all()
    assert (found["estimate"] <= found["high"]).all()
    assert found["low"].is_monotonic_increasing
    assert found["high"].max() <= 20 + 1e-9
    assert (found["note"] == "").all()
    # an unknown bound opens its own side and leaves the other
    above = expected_best_bands(scores, [1], (0, None), level)
    assert above["low"].iloc[0] == pytest.approx(found["low"].iloc[0])
    assert (above["high"].iloc[0], above["note"].iloc[0]) == (math.inf, "open above: no bound is given")
    below = expected_best_bands(scores, [1], (None, 20), level)
    assert below["high"].iloc[0] == pytest.approx(found["high"].iloc[0])
    assert (below["low"].iloc[0], below["note"].iloc[0]) == (-math.inf, "open below: no bound is given")
    both = expected_best_bands(scores, [1], (None, None), level)
    assert both["note"].iloc[0] == "open below and above: no bounds are given"


def test_what_is_refused() -> None:
    scores = [0.5, 0.6, 0.7]
    for bounds in (1.0, (0,), (0, math.nan), ("a", 1)):
        with pytest.raises(UserError, match="bounds"):
            expected_best_bands(scores, [1], bounds)
    with pytest.raises(UserError, match=r"the scores go from 0\.5 to 0\.7: must lie within bounds"):
        expected_best_bands(scores, [1], (0.6, 1))
    with pytest.raises(UserError, match="level"):
        expected_best_bands(scores, [1], (0, 1), 95)
    with pytest.raises(UserError, match="budgets"):
        expected_best_bands(scores, [4], (0, 1))
    with pytest.raises(UserError, match="needs at least 1"):
        expected_best_bands([], [1], (0, 1))


STUDIES = 250
POPULATION = 2**16


@pytest.mark.slow
def test_coverage_at_all_numbers_of_runs_at_once() -> None:
    rng = np.random.default_rng(2501)
    good = np.clip(rng.normal(0.7, 0.02, POPULATION), 0, 1)
    shapes = {
        "accuracy, 138 items": rng.binomial(138, good) / 138,
        "10 % at 0.5": np.where(rng.random(POPULATION) < 0.1, 0.5, good),
        "uniform": rng.random(POPULATION),
        "half at the highest score": np.where(rng.random(POPULATION) < 0.5, 1.0, good),
    }
    rows: list[list[object]] = []
    for name, scores in shapes.items():
        ordered, place = np.sort(scores), np.arange(POPULATION + 1) / POPULATION
        row: list[object] = [name]
        for n in (10, 20, 50):
            budgets = np.arange(1, n + 1)
            truth = np.array([np.diff(place**m) @ ordered for m in budgets])
            held = 0
            for _ in range(STUDIES):
                band = expected_best_bands(rng.choice(scores, n), budgets, (0, 1))
                held += bool(((band["low"] <= truth + 1e-12) & (truth <= band["high"] + 1e-12)).all())
            share = held / STUDIES
            assert share >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / STUDIES), (name, n)
            row.append(share)
        rows.append(row)
    assert_published(["scores", "n = 10", "n = 20", "n = 50"], rows)
