"""Disagreement of runs: published hand examples, scipy and statsmodels as oracles, and invariances."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from stabilitybench.errors import UserError
from stabilitybench.instability import (
    churn,
    consistency,
    correct_consistency,
    disagreement_matrix,
    fleiss_kappa,
    jensen_shannon,
    jensen_shannon_matrix,
    pairwise_disagreement,
)

# Three runs on four examples.  Pairs differ on 1, 2 and 1 of 4 examples.
RUNS = [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]

# 10 subjects rated by 14 raters in 5 categories, the worked example of Fleiss' kappa on Wikipedia: 0.210
COUNTS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]

seeds = st.integers(0, 10**6)


def draw(seed: int, classes: int = 3) -> np.ndarray:
    """Draw the predictions of 2 to 8 runs that mostly agree; ties and single classes come by themselves."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rng.integers(1, 30))
    runs = np.tile(truth, (rng.integers(2, 9), 1))
    noise = rng.random(runs.shape) < rng.choice([0.0, 0.1, 0.5])
    return np.where(noise, rng.integers(0, classes, runs.shape), runs)


def test_three_runs_by_hand() -> None:
    assert disagreement_matrix(RUNS).tolist() == [[0, 0.25, 0.5], [0.25, 0, 0.25], [0.5, 0.25, 0]]
    assert pairwise_disagreement(RUNS) == pytest.approx(1 / 3)
    assert consistency(RUNS) == pytest.approx(2 / 3)
    # both right on 3, 2 and 2 of 4 examples
    assert correct_consistency(RUNS, [0, 1, 1, 0]) == pytest.approx((3 + 2 + 2) / 12)
    # agreement of pairs 1, 1/3, 1/3, 1: mean 2/3; shares of the classes 9/12 and 3/12
    chance = (9 / 12) ** 2 + (3 / 12) ** 2
    assert fleiss_kappa(RUNS) == pytest.approx((2 / 3 - chance) / (1 - chance))
    table = churn(RUNS, [0, 1, 1, 0])
    assert table["churn"].tolist() == pytest.approx([0, 2 / 3, 2 / 3, 0])
    assert table["majority"].tolist() == [0, 1, 0, 0]
    assert table["majority_share"].tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1])
    assert table["right"].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 1])


def test_the_textbook_example_of_fleiss_kappa() -> None:
    raters = np.array([np.repeat(np.arange(5), row) for row in COUNTS]).T
    assert fleiss_kappa(raters) == pytest.approx(0.210, abs=0.0005)


def test_kappa_is_undefined_where_every_run_predicts_one_class() -> None:
    assert fleiss_kappa([[1, 1, 1], [1, 1, 1]]) is None
    assert fleiss_kappa([[0, 1, 1], [0, 1, 1]]) == pytest.approx(1.0)


def test_runs_that_score_alike_can_disagree_on_every_example() -> None:
    labels = [0, 1, 0, 1]
    runs = [[0, 0, 0, 0], [1, 1, 1, 1]]
    assert [np.mean(np.array(run) == labels) for run in runs] == [0.5, 0.5]
    assert pairwise_disagreement(runs) == 1.0
    assert fleiss_kappa(runs) == pytest.approx(-1.0)
    assert correct_consistency(runs, labels) == 0.0


def test_jensen_shannon_by_hand() -> None:
    """Sure and opposite: ln 2.  A half against certainty: ln 2 - (3/4 ln 3 - ... ) by the definition."""
    assert jensen_shannon([[[1.0, 0.0]], [[0.0, 1.0]]]) == pytest.approx(math.log(2))
    mixed = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert jensen_shannon([[[1.0, 0.0]], [[0.5, 0.5]]]) == pytest.approx(mixed - math.log(2) / 2)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seeds)
def test_jensen_shannon_is_the_squared_distance_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.5] * int(rng.integers(2, 5)), (int(rng.integers(2, 6)), int(rng.integers(1, 8))))
    p[0, 0] = np.eye(p.shape[2])[0]  # certainty: 0 log 0 counts as 0
    expected = [np.mean(jensenshannon(p[i], p[j], axis=1) ** 2) for i, j in combinations(range(len(p)), 2)]
    assert jensen_shannon(p) == pytest.approx(np.mean(expected), abs=1e-9)
    matrix = jensen_shannon_matrix(p)
    assert np.array_equal(matrix, matrix.T)
    assert np.all((matrix >= 0) & (matrix <= math.log(2)))
    assert np.all(np.diag(matrix) == 0)
    order = rng.permutation(p.shape[1])
    assert jensen_shannon(p[::-1][:, order][..., ::-1]) == pytest.approx(jensen_shannon(p), abs=1e-12)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(seeds)
def test_order_of_runs_order_of_examples_and_names_of_classes_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    runs = draw(seed)
    other = np.array(["yes", "no", "maybe"])[rng.permutation(3)][runs]
    other = other[rng.permutation(len(runs))][:, rng.permutation(runs.shape[1])]
    assert pairwise_disagreement(other) == pytest.approx(pairwise_disagreement(runs), abs=1e-12)
    one, two = fleiss_kappa(runs), fleiss_kappa(other)
    assert two == (None if one is None else pytest.approx(one, abs=1e-12))
    assert sorted(churn(other)["churn"]) == pytest.approx(sorted(churn(runs)["churn"]))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(seeds)
def test_bounds_and_what_the_measures_owe_each_other(seed: int) -> None:
    runs = draw(seed)
    labels = draw(seed + 1)[0][: runs.shape[1]]
    labels = np.resize(labels, runs.shape[1])
    disagreement = pairwise_disagreement(runs)
    direct = np.mean([np.mean(a != b) for a, b in combinations(runs, 2)])
    assert disagreement == pytest.approx(direct, abs=1e-12)
    assert churn(runs)["churn"].mean() == pytest.approx(disagreement, abs=1e-12)
    assert churn(runs)["churn"].between(0, 1).all()
    kappa = fleiss_kappa(runs)
    assert kappa is None or -1 <= kappa <= 1 + 1e-12
    both = correct_consistency(runs, labels)
    assert 0 <= both <= min(consistency(runs), np.mean(runs == labels)) + 1e-12


def test_classes_may_be_texts_of_any_kind() -> None:
    names = pd.DataFrame({"one": ["no", "yes", "yes", "no"], "two": ["no", "yes", "no", "no"]})
    assert pairwise_disagreement(names.to_numpy(dtype=object).T) == 0.25
    assert correct_consistency(names.T, pd.Series(["no", "yes", "yes", "yes"])) == 0.5
    assert pairwise_disagreement(np.array([[True, False], [True, True]])) == 0.5


def test_runs_that_are_equal_agree_fully() -> None:
    runs = np.tile([0, 1, 2, 1], (5, 1))
    assert pairwise_disagreement(runs) == 0.0
    assert consistency(runs) == 1.0
    assert fleiss_kappa(runs) == pytest.approx(1.0)
    assert (churn(runs)["churn"] == 0).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: pairwise_disagreement([[0, 1, 1]]),
            r"shape \(1, 3\): must be \[runs, examples\] with at least 2 runs",
        ),
        (lambda: pairwise_disagreement([[], []]), r"shape \(2, 0\)"),
        (lambda: pairwise_disagreement([0, 1]), r"shape \(2,\)"),
        (lambda: pairwise_disagreement([[0, 1], [0]]), r"runs of different length"),
        (lambda: fleiss_kappa([[0.0, math.nan], [0.0, 1.0]]), r"run 1, example 2 is nan: must be a class"),
        (lambda: churn([[0.0, math.inf], [0.0, 1.0]]), r"run 1, example 2 is inf"),
        (lambda: churn([[0.0, 1.0], [0.25, 1.0]]), r"run 2, example 1 is 0.25: must be a class, a whole number"),
        (lambda: churn(np.array([["a", None], ["b", "c"]], dtype=object)), r"object values: must be class labels"),
        (lambda: churn([[0, 1], [1, 1]], [0]), r"labels: shape \(1,\): must be one label for each of the 2 examples"),
        (lambda: correct_consistency([[0, 1], [1, 1]], ["a", "b"]), r"must be of one kind"),
        (lambda: jensen_shannon([[[0.5, 0.5]]]), r"shape \(1, 1, 2\)"),
        (lambda: jensen_shannon([[0.5, 0.5]]), r"shape \(1, 2\)"),
        (
            lambda: jensen_shannon([[[2.0, -1.0]], [[0.5, 0.5]]]),
            r"run 1, example 1 is \[2.0, -1.0\]: must be",
        ),
        (lambda: jensen_shannon([[[0.5, 0.5]], [[0.5, math.nan]]]), r"run 2, example 1 is \[0.5, nan\]"),
        (lambda: jensen_shannon([[[3.0, 1.0]], [[2.0, 5.0]]]), r"and sum to 1"),
        (lambda: jensen_shannon([[["a", "b"]], [["c", "d"]]]), r"must be numbers of shape"),
    ],
)
def test_what_is_no_prediction_gets_one_sentence(call, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call()
