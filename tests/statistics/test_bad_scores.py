"""Every function that takes scores answers bad ones with one sentence, and never reads or sets a global generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest

from stabilitybench import statistics
from stabilitybench.errors import UserError

GOOD = [0.1, 0.5, 0.2, 0.9, 0.4, 0.6, 0.3]
OTHER = [0.2, 0.3, 0.8, 0.1, 0.7, 0.5, 0.4]


def seeded() -> np.random.Generator:
    return np.random.default_rng(0)


ONE_ARM: dict[str, Callable] = {
    "sd": statistics.sd,
    "iqm": statistics.iqm,
    "levels": statistics.levels,
    "expected_best": partial(statistics.expected_best, budgets=[2]),
    "mixture": lambda x: statistics.mixture(x, [False] * 7),
    "stratified_bootstrap": lambda x: statistics.stratified_bootstrap({"a": x}, "mean", seeded()),
    "cluster_bootstrap": lambda x: statistics.cluster_bootstrap(x, list("aabbccd"), "mean", seeded()),
    "ranks": lambda x: statistics.ranks(
        pd.DataFrame({"task": "t", "arm": ["a"] * 7 + ["b"] * 7, "score": [*x, *GOOD]}),
        "sd",
        seeded(),
        lower_is_better=True,
    ),
}
TWO_ARMS: dict[str, Callable] = {
    "sd_ratio": statistics.sd_ratio,
    "bca": lambda a, b: statistics.sd_ratio(a, b, interval="bca", rng=seeded(), resamples=99),
    "sd_ratios": lambda a, b: statistics.sd_ratios([a], [b]),
    "brown_forsythe": statistics.brown_forsythe,
    "bonett": statistics.bonett,
    "median_centred_permutation": lambda a, b: statistics.median_centred_permutation(a, b, seeded()),
    "median_centred_permutations": lambda a, b: statistics.median_centred_permutations([a], [b], seeded()),
    "mad_ratio": lambda a, b: statistics.mad_ratio(a, b, seeded()),
    "iqr_ratio": lambda a, b: statistics.iqr_ratio(a, b, seeded()),
    "distance_ratio": statistics.distance_ratio,
    "paired_spread": lambda a, b: statistics.paired_spread(a, b, seeded()),
    "paired_permutation": lambda a, b: statistics.paired_permutation(a, b, seeded()),
    "paired_sd_ratio": statistics.paired_sd_ratio,
    "pitman_morgan": statistics.pitman_morgan,
    "two_part": lambda a, b: statistics.two_part(a, [False] * 7, b, [False] * 7),
    "probability_of_improvement": statistics.probability_of_improvement,
    "stochastic_dominance": lambda a, b: statistics.stochastic_dominance(a, b, seeded()),
    "equivalence": lambda a, b: statistics.equivalence(a, b, 0.1),
}
CALLS: dict[str, Callable] = ONE_ARM | {
    f"{name}, {side}": (partial(call, GOOD) if side == "baseline" else partial(lambda c, x: c(x, OTHER), call))
    for name, call in TWO_ARMS.items()
    for side in ("arm", "baseline")
}


@pytest.mark.parametrize(
    "call",
    [statistics.sd, lambda x: statistics.brown_forsythe(x, GOOD), lambda x: statistics.sd_ratios(x[None], [GOOD])],
)
def test_masked_scores_are_not_counted_behind_the_users_back(call: Callable) -> None:
    with pytest.raises(UserError, match="holds masked scores"):
        call(np.ma.masked_greater([*GOOD[:6], 99.0], 90.0))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ([*GOOD[:6], math.nan], r"score 7 of 7 is nan: scores must be finite"),
        ([math.inf, *GOOD[:6]], r"score 1 of 7 is inf: scores must be finite"),
        ([*GOOD[:6], -1e305], r"score 7 of 7 is -1e\+305: too large to square"),
        ([*GOOD[:6], "good"], r"scores must be numbers"),
    ],
)
def test_bad_scores_get_one_sentence(call: Callable, bad: list, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        call(bad)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_good_scores_get_an_answer_without_global_draws(call: Callable) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global stream must stay untouched
    first, second = call(OTHER), call(OTHER)
    assert str(first) == str(second)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("rng", [None, 7])
def test_what_is_no_generator_is_refused(rng: object) -> None:
    for call in (
        statistics.median_centred_permutation,
        statistics.mad_ratio,
        statistics.iqr_ratio,
        statistics.paired_permutation,
        statistics.paired_spread,
        statistics.stochastic_dominance,
    ):
        with pytest.raises(UserError, match=rf"rng = {rng}: must be a random generator"):
            call(GOOD, OTHER, rng)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_tiny_and_equal_arms_are_explained(n: int) -> None:
    for scores in (GOOD[:n], [0.5] * n):
        for found in (
            statistics.sd_ratio(scores, scores),
            statistics.distance_ratio(scores, scores),
            statistics.mad_ratio(scores, scores, seeded()),
            statistics.iqr_ratio(scores, scores, seeded()),
            statistics.paired_sd_ratio(scores, scores),
            statistics.probability_of_improvement(scores, scores),
        ):
            assert found.has_interval == (not found.note)
            assert all(x is None or math.isfinite(x) for x in (found.estimate, found.low, found.high))
        for test in (
            statistics.brown_forsythe(scores, scores),
            statistics.bonett(scores, scores),
            statistics.median_centred_permutation(scores, scores, seeded()),
            statistics.pitman_morgan(scores, scores),
            statistics.paired_permutation(scores, scores, seeded()),
        ):
            assert test.defined == (test.p is not None) == (not test.reason)
