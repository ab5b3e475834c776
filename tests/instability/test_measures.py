"""The measures of one group of runs, their bootstrap, and their agreement."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.instability import (
    bootstrap_measures,
    fleiss_kappa,
    instability_measures,
    jensen_shannon,
    measure_agreement,
    pairwise_disagreement,
)
from stabilitybench.statistics import sd


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.7, 0.7, 0.7], (int(rng.integers(4, 9)), 25))
    predictions = probabilities.argmax(axis=2)
    return (predictions == 1).mean(axis=1), predictions, probabilities


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 10**6))
def test_the_measures_are_those_of_their_own_functions(seed: int) -> None:
    scores, predictions, probabilities = draw(seed)
    found = instability_measures(scores, predictions, probabilities)
    assert found.to_dict() == pytest.approx(
        {
            "sd": sd(scores),
            "disagreement": pairwise_disagreement(predictions),
            "one_minus_kappa": 1 - fleiss_kappa(predictions),
            "jsd": jensen_shannon(probabilities),
        }
    )


def test_equal_runs_have_no_instability_and_one_class_has_no_kappa() -> None:
    found = instability_measures([0.5] * 4, np.tile([0, 1, 1], (4, 1)))
    assert found.tolist() == [0, 0, 0]
    found = instability_measures([0.5] * 4, np.ones((4, 3), dtype=int))
    assert found[["sd", "disagreement"]].tolist() == [0, 0]
    assert math.isnan(found["one_minus_kappa"])


def test_the_bootstrap_is_the_resampled_measure_and_never_sets_a_run_against_its_copy() -> None:
    """Four runs that differ everywhere: every sample finds full disagreement, whatever runs it holds twice."""
    predictions = np.arange(4)[:, None] * np.ones((4, 6), dtype=int)
    table = bootstrap_measures([0.1, 0.2, 0.3, 0.4], predictions, np.random.default_rng(0), draws=300)
    assert table.shape == (300, 3)
    assert table["disagreement"].to_numpy() == pytest.approx(1.0)
    assert 0 < table["sd"].min() < table["sd"].max() <= sd([0.1, 0.1, 0.4, 0.4]) + 1e-12


def test_the_bootstrap_centres_on_the_measure() -> None:
    scores, predictions, probabilities = draw(5)
    table = bootstrap_measures(scores, predictions, np.random.default_rng(1), probabilities, draws=4000)
    found = instability_measures(scores, predictions, probabilities)
    for name in ("disagreement", "jsd"):
        assert table[name].mean() == pytest.approx(found[name], rel=0.02)


def test_agreement_of_measures_by_hand() -> None:
    table = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [2.0, 4, 6, 8], "c": [4.0, 3, 2, 1], "d": [1.0, 1, 1, 1]})
    found = measure_agreement(table).set_index(["first", "second"])
    assert found.loc[("a", "b"), "correlation"] == pytest.approx(1)
    assert found.loc[("a", "c"), "correlation"] == pytest.approx(-1)
    assert math.isnan(found.loc[("a", "d"), "correlation"])
    assert found.loc[("a", "d"), "note"] == "d does not vary"
    table.loc[:1, "b"] = np.nan
    few = measure_agreement(table, "kendall").set_index(["first", "second"]).loc[("a", "b")]
    assert (few["n"], few["note"]) == (2, "2 rows, fewer than 3")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: instability_measures([0.5, 0.6], [[0, 1]] * 3), r"disagreement: 3 runs beside 2 scores"),
        (lambda: instability_measures([0.5, math.nan], [[0, 1]] * 2), r"scores: score 2 of 2 is nan"),
        (lambda: bootstrap_measures([0.5] * 3, [[0, 1]] * 3, np.random.default_rng(0)), r"3 runs; needs at least 4"),
        (lambda: bootstrap_measures([0.5] * 4, [[0]] * 4, np.random.default_rng(0), draws=0), r"draws = 0"),
        (lambda: measure_agreement(pd.DataFrame({"a": [1.0]})), r"1 column; needs at least 2"),
        (lambda: measure_agreement(pd.DataFrame({"a": [1.0], "b": [1.0]}), "cosine"), r'method = "cosine"'),
    ],
)
def test_what_cannot_be_measured_gets_one_sentence(call, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call()
