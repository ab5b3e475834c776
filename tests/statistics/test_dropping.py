"""Early dropping against the list of all subsets, closed forms and properties."""

from __future__ import annotations

import doctest
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    dropping_cost,
    dropping_plans,
    early_dropping,
    expected_best,
    failure_auc,
    plain_best,
)

READINGS = st.integers(0, 4)  # few values, so that ties are common


def listed(early: list[float], final: list[float], score: list[float], started: int, dropped: int) -> float:
    """The mean over every subset, as the definition says it."""
    found = []
    for subset in combinations(range(len(early)), started):
        finishers = sorted(subset, key=lambda i: (early[i], i))[dropped:]
        found.append(score[max(finishers, key=lambda i: (final[i], -i))])
    return float(np.mean(found))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(st.tuples(READINGS, READINGS, st.floats(0, 1)), min_size=2, max_size=7), st.data())
def test_it_is_the_mean_over_all_subsets(runs: list[tuple[int, int, float]], data: st.DataObject) -> None:
    early, final, score = ([float(run[k]) for run in runs] for k in range(3))
    started = data.draw(st.integers(1, len(runs)))
    dropped = data.draw(st.integers(0, started - 1))
    expected = listed(early, final, score, started, dropped)
    assert early_dropping(early, final, started, dropped, score) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("started", [1, 4, 20])
def test_without_dropping_it_is_the_expected_best(started: int) -> None:
    final = np.random.default_rng(0).normal(size=20)
    found = early_dropping(final[::-1], final, started, 0)
    assert found == pytest.approx(float(expected_best(final, [started])[0]), abs=1e-12)


def test_a_perfect_reading_loses_nothing_and_an_inverted_one_keeps_the_worst() -> None:
    final = np.random.default_rng(0).normal(size=20)
    assert early_dropping(final, final, 10, 9) == pytest.approx(float(expected_best(final, [10])[0]))
    assert early_dropping(-final, final, 10, 9) == pytest.approx(-float(expected_best(-final, [10])[0]))


def test_many_runs_are_counted_exactly() -> None:
    final = np.arange(400.0)
    expected = float(expected_best(final, [200])[0])
    assert early_dropping(final, final, 200, 150) == pytest.approx(expected, rel=1e-10)


def test_a_plan_costs_what_it_runs() -> None:
    assert dropping_cost(20, 10, 0.4) == 14
    assert dropping_cost(7, 0, 0.4) == 7


def test_plans_stay_in_the_budget_and_use_it() -> None:
    rng = np.random.default_rng(3)
    final = rng.normal(size=15)
    readings = {f: final + rng.normal(size=15) / f for f in (0.2, 0.6)}
    plans = dropping_plans(readings, final, budget=5.5)
    assert (plans["cost"] <= 5.5).all()
    assert (plans["expected"].diff().dropna() <= 0).all()
    assert plans["fraction"].isna().sum() == 1
    assert plans.loc[plans["fraction"].isna(), "expected"].item() == pytest.approx(plain_best(final, 5))
    for row in plans.dropna().to_dict("records"):
        assert early_dropping(readings[row["fraction"]], final, row["started"], row["dropped"]) == row["expected"]
        # one run fewer dropped would not fit
        assert dropping_cost(row["started"], row["dropped"] - 1, row["fraction"]) > 5.5
    # every number of starts that some plan can pay for is there: at 0.2, s - k (1 - 0.2) <= 5.5 with k = s - 1
    assert set(plans.loc[plans["fraction"] == 0.2, "started"]) == set(range(6, 16))


def test_between_whole_budgets_the_expected_best_is_interpolated() -> None:
    final = [0.1, 0.4, 0.2, 0.9]
    one, two = expected_best(final, [1, 2])
    assert plain_best(final, 1.25) == pytest.approx(0.75 * one + 0.25 * two)
    assert plain_best(final, 4) == 0.9


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(READINGS, st.booleans()), min_size=2, max_size=25))
def test_the_auc_is_the_mann_whitney_statistic(runs: list[tuple[int, bool]]) -> None:
    early, failed = np.array([float(r[0]) for r in runs]), np.array([r[1] for r in runs])
    found = failure_auc(early, failed)
    if failed.all() or not failed.any():
        assert found.estimate is None
        assert "run failed" in found.note
        return
    u = stats.mannwhitneyu(early[~failed], early[failed]).statistic
    assert found.estimate == pytest.approx(u / (failed.sum() * (~failed).sum()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: early_dropping([1.0, 2.0], [1.0], 1, 0), "2 early readings, 1 finals"),
        (lambda: early_dropping([1.0, 2.0], [1.0, 2.0], 3, 0), "started = 3: must be at most the 2 runs"),
        (lambda: early_dropping([1.0, 2.0], [1.0, 2.0], 2, 2), "dropped = 2: must be at least 0 and below started = 2"),
        (lambda: early_dropping([1.0, math.nan], [1.0, 2.0], 2, 1), "early: score 2 of 2 is nan"),
        (lambda: early_dropping(np.zeros(1001), np.zeros(1001), 2, 1), "1001 runs: must be at most 1000"),
        (lambda: dropping_cost(2, 1, 1.0), "fraction = 1: must lie between 0 and 1"),
        (lambda: dropping_plans({0.0: [1.0, 2.0]}, [1.0, 2.0], 1), "fraction = 0:"),
        (lambda: dropping_plans({}, [1.0, 2.0], 0.5), "budget = 0.5: must be at least 1 run"),
        (lambda: plain_best([1.0, 2.0], 3), "budget = 3: must lie between 1 and the 2 runs"),
        (lambda: failure_auc([1.0, 2.0], [True]), "failed: 1 flags for 2 early readings"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


def test_the_examples_of_the_page() -> None:
    page = Path(__file__).parents[2] / "docs" / "seed-selection.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried > 10) == (0, True)


@pytest.mark.slow
def test_it_is_free_of_bias_for_readings_that_tell_something() -> None:
    """The mean over many studies of 20 runs is what a strategy brings when it is really carried out."""
    rng = np.random.default_rng(11)
    correlation, started, dropped = 0.6, 8, 5

    def draw(*size: int) -> tuple[np.ndarray, np.ndarray]:
        early = rng.normal(size=size)
        return early, correlation * early + math.sqrt(1 - correlation**2) * rng.normal(size=size)

    early, final = draw(400_000, started)
    alive = np.take_along_axis(final, early.argsort(axis=1)[:, dropped:], axis=1)
    truth, error = alive.max(axis=1).mean(), alive.max(axis=1).std() / math.sqrt(400_000)
    found = np.array([early_dropping(*draw(20), started, dropped) for _ in range(4000)])
    assert abs(found.mean() - truth) < 4 * math.hypot(error, found.std() / math.sqrt(len(found)))
    # fewer finish: less than the best of 8 normal scores, more than the best of 3
    assert 0.8463 < found.mean() < 1.4236
