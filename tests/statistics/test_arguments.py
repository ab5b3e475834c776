"""Every function says which argument is bad, and what it may be, in one sentence and without a warning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stabilitybench import statistics
from support.bad_arguments import Fresh, mistakes

A, B = [0.1, 0.5, 0.2, 0.9, 0.4, 0.6, 0.3], [0.2, 0.3, 0.8, 0.1, 0.7, 0.5, 0.4]
FAILED, ALSO = [True, False, False, True, False, False, True], [False, False, True, False, False, False, True]
RNG = Fresh(lambda: np.random.default_rng(0))
ARMS = {"arm": A, "baseline": B}
COUNTS = {"failed_a": 1, "n_a": 8, "failed_b": 4, "n_b": 9}
DRAWN = {"rng": RNG, "level": 0.9, "resamples": 99}
FEW = {"rng": RNG, "draws": 99}
NORMAL = np.random.default_rng(0).normal(size=(6, 5, 2))
CROSSED = pd.DataFrame(
    [(i, j, A[i] + B[j] * (1 + i * j)) for i in range(4) for j in range(4)], columns=["init", "order", "score"]
)
#: A good call of each.
CALLS: dict[str, dict[str, object]] = {
    "adjust": {"tests": {"a": statistics.TestResult.of(1, 0.01)}, "method": "holm"},
    "benjamini_hochberg": {"p_values": {"a": 0.1, "b": None}},
    "bonett": ARMS,
    "brown_forsythe": ARMS,
    "chance_of_best": {"reached": 2, "n": 5, "runs": 3},
    "cluster_bootstrap": {"scores": A, "clusters": list("aabbccd"), "statistic": "mean"} | DRAWN,
    "deviation_ratio": ARMS | {"level": 0.9},
    "distance_ratio": ARMS | {"level": 0.9},
    "dropping_cost": {"started": 4, "dropped": 2, "fraction": 0.5},
    "dropping_plans": {"readings": {0.5: A}, "final": B, "budget": 2, "score": A},
    "early_dropping": {"early": A, "final": B, "started": 4, "dropped": 2, "score": A},
    "equivalence": ARMS | {"margin": 0.1, "alpha": 0.05},
    "failure_auc": {"early": A, "failed": FAILED, "level": 0.9},
    "failure_contrast": {"failed_arm": 1, "n_arm": 8, "failed_baseline": 4, "n_baseline": 9, "level": 0.9},
    "fisher": COUNTS,
    "holm": {"p_values": {"a": 0.1}},
    "iqm": {"scores": A},
    "iqr_ratio": ARMS | DRAWN,
    "levels": {"scores": A, "level": 0.9},
    "mad_ratio": ARMS | DRAWN,
    "mean_excess": {"gaps": A},
    "median_centred_permutation": ARMS | FEW,
    "median_centred_permutations": {"arms": [A], "baselines": [B]} | FEW,
    "meta_analysis": {"ratios": {name: statistics.sd_ratio(A, B) for name in "abc"}, "level": 0.9},
    "mixture": {"scores": A, "failed": FAILED},
    "paired_deviation_ratio": ARMS | {"level": 0.9},
    "paired_permutation": ARMS | FEW,
    "paired_sd_ratio": ARMS | {"level": 0.9},
    "paired_spread": ARMS | FEW | {"level": 0.9},
    "pitman_morgan": ARMS,
    "plain_best": {"final": A, "budget": 2},
    "probability_of_improvement": ARMS | {"level": 0.9},
    "rank_correlation": {"first": A, "second": B},
    "ranks": {
        "scores": pd.DataFrame({"task": "t", "arm": ["a"] * 7 + ["b"] * 7, "score": A + B}),
        "statistic": "sd",
        "lower_is_better": True,
    }
    | DRAWN,
    "risk_difference": COUNTS | {"level": 0.9},
    "sd": {"scores": A},
    "sd_ratio": ARMS | {"interval": "bca"} | DRAWN,
    "sd_ratios": {"arms": [A], "baselines": [B], "interval": "bca"} | DRAWN,
    "seed_ensembles": {"outputs": NORMAL, "score": lambda x: float(x.mean()), "size": 2, "rng": RNG, "partitions": 3},
    "sign_test": {"up": 3, "down": 1},
    "stochastic_dominance": ARMS | DRAWN | {"comparisons": 2},
    "stratified_bootstrap": {"tasks": {"a": A, "b": B}, "statistic": "mean", "resample_tasks": False} | DRAWN,
    "stratified_fisher": {"tables": [(1, 10, 4, 12), (0, 8, 3, 9)]},
    "stratified_risk_difference": {"tables": [(1, 10, 4, 12), (0, 8, 3, 9)]},
    "stratified_spread_permutation": {"pairs": [(A, B)]} | FEW,
    "two_part": {"arm": A, "arm_failed": FAILED, "baseline": B, "baseline_failed": ALSO, "level": 0.9},
    "variance_components": {"runs": CROSSED, "factors": ["init", "order"], "score": "score", "level": 0.9},
    "welch_anova": {"arms": [A, B]},
    "welch_contrast": {"n": [[4, 5]], "mean": [[0.1, 0.2]], "sd": [[0.1, 0.1]], "weights": [1, -1]},
    "wilson": {"failed": 1, "n": 9, "level": 0.9},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_argument_is_named(name: str) -> None:
    assert mistakes(getattr(statistics, name), CALLS[name]) == []


TINY = np.array([5e-324, 1e-323, 5e-324, 2e-323, 1.5e-323])


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-160, 1e90])
def test_the_unit_of_the_scores_changes_no_answer(scale: float) -> None:
    a, b = np.array([0.1, 0.5, 0.25, 0.9, 0.4]), np.array([0.2, 0.3, 0.8, 0.1, 0.7])
    near = {"rel": 1e-9, "abs": 0}
    assert statistics.mean_excess(a * scale).above == pytest.approx(statistics.mean_excess(a).above, **near)
    here, there = statistics.equivalence(a * scale, b * scale, 0.4 * scale), statistics.equivalence(a, b, 0.4)
    assert here.test.p == pytest.approx(there.test.p, **near)
    assert here.low == pytest.approx(there.low * scale, rel=1e-9, abs=0)


def test_the_smallest_numbers_have_an_answer() -> None:
    assert 0 < statistics.mean_excess(TINY).below < 1
    assert statistics.equivalence(TINY, TINY[::-1], 0.1).equivalent
    assert statistics.rank_correlation(TINY, TINY**1).estimate == 1.0
