"""Ensembles of seeds against closed forms, the list of all partitions, and simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.statistics import seed_ensembles


def linear(mean: np.ndarray) -> float:
    return float(mean[:, 0].mean())


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_one_run_is_the_run_alone(n: int, seed: int) -> None:
    outputs = np.random.default_rng(seed).normal(size=(n, 5, 2))
    found = seed_ensembles(outputs, linear, 1, rng(), partitions=3)
    assert found.mean == pytest.approx(found.single_mean)
    assert found.sd == pytest.approx(found.single_sd)
    assert found.single_sd == pytest.approx(np.std([linear(run) for run in outputs], ddof=1))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_all_runs_make_one_ensemble_without_a_spread(n: int, seed: int) -> None:
    outputs = np.random.default_rng(seed).normal(size=(n, 5, 2))
    found = seed_ensembles(outputs, linear, n, rng(), partitions=2)
    assert (found.groups, found.sd) == (1, None)
    assert found.mean == pytest.approx(linear(outputs.mean(axis=0)))


@pytest.mark.parametrize("size", [2, 3])
def test_a_linear_score_has_the_variance_of_the_runs_over_the_size(size: int) -> None:
    outputs = np.random.default_rng(0).normal(size=(20, 30, 2))
    found = seed_ensembles(outputs, linear, size, rng(), partitions=4000)
    assert found.sd == pytest.approx(found.single_sd / math.sqrt(size), rel=0.02)
    assert found.mean == pytest.approx(found.single_mean, abs=1e-3)


def test_it_tends_to_the_mean_over_all_groups() -> None:
    data = np.random.default_rng(1)
    labels, outputs = data.integers(0, 2, 60), data.normal(size=(6, 60, 2))

    def accuracy(mean: np.ndarray) -> float:
        return float((mean.argmax(axis=1) == labels).mean())

    groups = [accuracy(outputs[list(g)].mean(axis=0)) for g in combinations(range(6), 3)]
    found = seed_ensembles(outputs, accuracy, 3, rng(), partitions=3000)
    assert found.mean == pytest.approx(np.mean(groups), abs=2e-3)
    # groups of a partition are a group and what it leaves
    halves = [
        (accuracy(outputs[list(g)].mean(axis=0)), accuracy(outputs[[i for i in range(6) if i not in g]].mean(axis=0)))
        for g in combinations(range(6), 3)
    ]
    assert found.sd == pytest.approx(np.sqrt(np.var(halves, axis=1, ddof=1).mean()), rel=0.03)


def test_the_same_generator_gives_the_same_numbers() -> None:
    outputs = np.random.default_rng(0).normal(size=(7, 30, 2))
    assert seed_ensembles(outputs, linear, 2, rng()) == seed_ensembles(outputs, linear, 2, rng())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": np.zeros((3, 4))}, r"outputs of shape \(3, 4\)"),
        ({"outputs": np.full((3, 4, 2), np.nan)}, "must be finite numbers"),
        ({"size": 4}, "size = 4: must be from 1 to the 3 runs"),
        ({"size": 1.5}, "size = 1.5"),
        ({"rng": 3}, "rng = 3: must be a random generator"),
        ({"partitions": 0}, "partitions = 0: must be at least 1"),
        ({"score": lambda mean: math.nan}, "score: score 1 of 3 is nan"),
    ],
)
def test_bad_input_is_told_in_a_sentence(changes: dict, message: str) -> None:
    given = {"outputs": np.zeros((3, 4, 2)), "score": linear, "size": 2, "rng": rng(), **changes}
    with pytest.raises(UserError, match=message):
        seed_ensembles(**given)


@pytest.mark.slow
def test_the_spread_of_ensembles_is_free_of_bias() -> None:
    """Against ensembles that really were trained apart: accuracy of noisy votes, 20 recorded runs, groups of 3."""
    data = np.random.default_rng(9)
    truth = np.linspace(-0.5, 1.5, 80)  # how surely each row is got right

    def accuracy(mean: np.ndarray) -> float:
        return float((mean[:, 0] > 0).mean())

    def runs(*shape: int) -> np.ndarray:
        common = data.normal(size=(*shape, 1))  # a seed that is bad is bad everywhere
        return (truth + common + data.normal(size=(*shape, 80)))[..., None]

    apart = (runs(60_000, 3).mean(axis=1)[..., 0] > 0).mean(axis=1)
    found = [seed_ensembles(runs(20), accuracy, 3, data, partitions=10) for _ in range(1500)]
    variances = np.array([f.sd**2 for f in found])
    assert abs(variances.mean() - apart.var()) < 4 * variances.std() / math.sqrt(len(found)) + 0.01 * apart.var()
    means = np.array([f.mean for f in found])
    assert abs(means.mean() - apart.mean()) < 4 * means.std() / math.sqrt(len(found))
