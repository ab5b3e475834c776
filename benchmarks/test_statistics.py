"""Resampling by matrix products beside scipy: 10,000 resamples of 100 comparisons of 20 + 20 scores.

scipy runs vectorised over a few comparisons at a time, in batches that fit the memory: the faster of the ways it
offers.  Its time for the few is scaled to 100.  The answers are compared before the times.
"""

import statistics
import time

import numpy as np
import pytest
from scipy import stats

from stabilitybench.statistics import median_centred_permutations, sd_ratios

COMPARISONS, RUNS, RESAMPLES, ROUNDS = 100, 20, 10_000, 5
# comparisons that scipy is timed on
FEW = 10


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return rng.normal(size=(COMPARISONS, RUNS)), rng.standard_t(5, size=(COMPARISONS, RUNS))


def log_sd_ratio(a, b, axis):
    return np.log(a.var(axis=axis) / b.var(axis=axis)) / 2


def log_ratio_about_0(a, b, axis):
    return np.abs(np.log((a**2).sum(axis=axis) / (b**2).sum(axis=axis)))


def compare(benchmark, ours, theirs):
    """Time both in turn; theirs is scaled from FEW comparisons."""
    times = {ours: [], theirs: []}

    def one_round():
        for work in (ours, theirs):
            start = time.process_time()
            work()
            times[work].append(time.process_time() - start)

    benchmark.pedantic(one_round, rounds=ROUNDS)
    fast = times[ours]
    slow = [t * COMPARISONS / FEW for t in times[theirs]]
    ratio = statistics.median(b / a for a, b in zip(fast, slow, strict=True))
    benchmark.extra_info.update(
        ours_seconds=statistics.median(fast), scipy_seconds=statistics.median(slow), scipy_over_ours=ratio
    )
    print(f"\nours {statistics.median(fast):.3f} s, scipy {statistics.median(slow):.2f} s, ratio {ratio:.1f}")


def test_bca_beside_scipy(benchmark, scores):
    a, b = scores

    def ours():
        return sd_ratios(a, b, interval="bca", rng=np.random.default_rng(1), resamples=RESAMPLES)

    def theirs():
        return stats.bootstrap(
            (a[:FEW], b[:FEW]), log_sd_ratio, axis=1, method="BCa", n_resamples=RESAMPLES, vectorized=True, batch=1000,
            rng=np.random.default_rng(2),
        ).confidence_interval  # fmt: skip

    table, found = ours(), theirs()
    np.testing.assert_allclose(np.log(table["low"][:FEW]), found.low, atol=0.06)
    np.testing.assert_allclose(np.log(table["high"][:FEW]), found.high, atol=0.06)
    compare(benchmark, ours, theirs)


def test_permutations_beside_scipy(benchmark, scores):
    a, b = (x - np.median(x, axis=1, keepdims=True) for x in scores)

    def ours():
        return median_centred_permutations(a, b, np.random.default_rng(1), draws=RESAMPLES - 1)

    def theirs():
        return stats.permutation_test(
            (a[:FEW], b[:FEW]), log_ratio_about_0, axis=1, n_resamples=RESAMPLES - 1, vectorized=True, batch=1000,
            alternative="greater", rng=np.random.default_rng(2),
        )  # fmt: skip

    table, found = ours(), theirs()
    np.testing.assert_allclose(table["statistic"][:FEW], found.statistic)
    np.testing.assert_allclose(table["p"][:FEW], found.pvalue, atol=0.025)
    compare(benchmark, ours, theirs)
