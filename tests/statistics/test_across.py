"""Across tasks: meta-analysis, bootstraps over tasks and clusters, ranks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from stabilitybench.errors import UserError
from stabilitybench.statistics import (
    SdRatio,
    cluster_bootstrap,
    deviation_ratio,
    iqm,
    meta_analysis,
    paired_deviation_ratio,
    ranks,
    sd_ratio,
    stratified_bootstrap,
)


def ratio(log: float, se: float) -> SdRatio:
    return SdRatio(math.exp(log), math.exp(log - 2 * se), math.exp(log + 2 * se), "given", "", se)


effects = st.lists(st.tuples(st.floats(-2, 2), st.floats(0.05, 1)), min_size=3, max_size=7)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(effects)
def test_meta_analysis_by_its_formulas(rows: list[tuple[float, float]]) -> None:
    found = meta_analysis({str(i): ratio(*row) for i, row in enumerate(rows)})
    y, v = np.array(rows).T
    v, k = v**2, len(y)

    def spread(tau2: float) -> float:
        weights = 1 / (v + tau2)
        return float((weights * (y - (weights * y).sum() / weights.sum()) ** 2).sum()) - (k - 1)

    tau2 = 0.0 if spread(0.0) <= 0 else brentq(spread, 0.0, 100.0, xtol=1e-12)
    weights = 1 / (v + tau2)
    centre = (weights * y).sum() / weights.sum()
    se = math.sqrt((weights * (y - centre) ** 2).sum() / ((k - 1) * weights.sum()))
    assert found.tau2 == pytest.approx(tau2, abs=1e-4)
    assert math.log(found.estimate) == pytest.approx(centre, abs=1e-4)
    assert math.log(found.high / found.estimate) == pytest.approx(stats.t.ppf(0.975, k - 1) * se, rel=1e-2, abs=1e-6)
    assert found.q == pytest.approx(spread(0.0) + k - 1, rel=1e-6, abs=1e-9)
    assert 0 <= found.i2 < 1
    assert 0 <= found.p <= 1
    assert found.prediction_low <= found.low <= found.estimate <= found.high <= found.prediction_high
    assert found.tasks["weight"].sum() == pytest.approx(1)


@pytest.mark.parametrize("paired", [False, True])
def test_meta_analysis_of_deviation_ratios_by_dersimonian_and_laird_where_tasks_agree(paired: bool) -> None:
    """Without heterogeneity the mean is the one weighted by precision, whichever estimate of tau one takes."""
    rng = np.random.default_rng(5)
    of = paired_deviation_ratio if paired else deviation_ratio
    ratios = {t: of(rng.normal(size=30), 2 * rng.normal(size=30)) for t in "abcd"} | {"few": of([1, 2, 4], [1, 3, 9])}
    found = meta_analysis(ratios)
    logs = np.log([ratios[t].estimate for t in "abcd"])
    weights = np.array([ratios[t].log_se for t in "abcd"]) ** -2.0
    q = float((weights * (logs - np.average(logs, weights=weights)) ** 2).sum())
    assert q < 3  # tasks agree better than chance has it
    assert (found.q, found.tau2) == (pytest.approx(q), 0)
    assert math.log(found.estimate) == pytest.approx(np.average(logs, weights=weights))
    se = math.sqrt(q / 3 / weights.sum())
    assert math.log(found.high / found.low) == pytest.approx(2 * stats.t.ppf(0.975, 3) * se)
    assert found.tasks.loc["few", "note"] == "no interval: the arm has 3 of the 7 runs needed"
    assert found.tasks.loc["few", "weight"] == 0


def test_meta_analysis_of_inverse_ratios_is_the_inverse() -> None:
    rows = [(0.3, 0.2), (-0.1, 0.3), (0.8, 0.25), (0.5, 0.1)]
    one = meta_analysis({str(i): ratio(*row) for i, row in enumerate(rows)})
    two = meta_analysis({str(i): ratio(-row[0], row[1]) for i, row in enumerate(reversed(rows))})
    assert (one.estimate, one.low, one.prediction_low) == pytest.approx(
        (1 / two.estimate, 1 / two.high, 1 / two.prediction_high), rel=1e-6
    )
    assert (one.p, one.tau2, one.i2) == pytest.approx((two.p, two.tau2, two.i2), rel=1e-6)


def test_equal_ratios_differ_by_nothing() -> None:
    found = meta_analysis({t: ratio(0.5, 0.2) for t in "abc"})
    assert (found.tau2, found.i2) == pytest.approx((0, 0), abs=1e-9)
    assert found.estimate == pytest.approx(math.exp(0.5))


def test_a_task_without_an_interval_leaves_visibly() -> None:
    withheld = SdRatio(0.4, None, None, "given", "withheld: failed runs", None)
    found = meta_analysis({"a": ratio(0.1, 0.2), "b": withheld, "c": ratio(0.3, 0.2), "d": ratio(0.2, 0.2)})
    assert found.tasks.loc["b", "weight"] == 0
    assert found.tasks.loc["b", "note"] == "withheld: failed runs"
    assert found.tasks["weight"].sum() == pytest.approx(1)
    few = meta_analysis({"a": ratio(0.1, 0.2), "b": withheld, "c": ratio(0.3, 0.2)})
    assert few.estimate is None
    assert few.note == "no summary: 2 of the 3 tasks needed have a ratio with an interval"
    assert list(few.tasks.index) == ["a", "b", "c"]
    assert meta_analysis({}).note.startswith("no summary: 0 of the 3")
    constant = sd_ratio([0.5] * 5, [0.1, 0.2, 0.4, 0.3, 0.6])
    assert meta_analysis({"a": constant}).tasks.loc["a", "note"] == constant.note


def test_stratified_bootstrap_of_the_mean_has_its_standard_error() -> None:
    rng = np.random.default_rng(0)
    scores = {"a": rng.normal(0.7, 0.1, 40), "b": rng.normal(0.5, 0.02, 30)}
    found = stratified_bootstrap(scores, "mean", rng, resamples=20_000)
    se = math.sqrt(sum(x.var() / x.size for x in scores.values())) / 2
    assert found.estimate == pytest.approx(np.mean([x.mean() for x in scores.values()]))
    assert (found.high - found.low) / (2 * 1.96 * se) == pytest.approx(1, abs=0.03)
    wide = stratified_bootstrap(scores, "mean", rng, resamples=20_000, resample_tasks=True)
    assert wide.high - wide.low > 3 * (found.high - found.low)
    assert wide.method.startswith("two-stage")


def test_named_statistics_are_the_ones_they_name() -> None:
    rng = np.random.default_rng(0)
    scores = rng.gamma(2.0, size=13)
    expected = {"mean": scores.mean(), "median": np.median(scores), "iqm": iqm(scores), "sd": scores.std(ddof=1)}
    for name, value in expected.items():
        assert stratified_bootstrap({"a": scores}, name, rng, resamples=99).estimate == pytest.approx(value)
    own = stratified_bootstrap({"a": scores}, lambda rows: rows.max(axis=1), rng, resamples=99)
    assert own.high == scores.max()


def test_clusters_are_drawn_whole() -> None:
    rng = np.random.default_rng(1)
    effect = rng.normal(0, 1, 12)
    labels = np.repeat(np.arange(12), 5)
    scores = effect[labels] + 0.1 * rng.normal(size=60)
    found = cluster_bootstrap(scores, labels, "mean", rng)
    naive = stratified_bootstrap({"all": scores}, "mean", rng)
    assert (found.high - found.low) / (naive.high - naive.low) == pytest.approx(math.sqrt(5), rel=0.2)
    # singletons are the ordinary bootstrap
    single = cluster_bootstrap(scores, np.arange(60), "mean", np.random.default_rng(2))
    assert (single.low, single.high) == pytest.approx((naive.low, naive.high), abs=0.06)
    shuffled = rng.permutation(60)
    again = cluster_bootstrap(scores[shuffled], labels[shuffled], "mean", np.random.default_rng(2))
    assert again.estimate == pytest.approx(found.estimate)


def frame(cells: dict[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(
        [(t, a, x) for (t, a), scores in cells.items() for x in scores], columns=["task", "arm", "score"]
    )


def test_ranks_say_how_sure_they_are() -> None:
    rng = np.random.default_rng(3)
    spread = {"calm": 1.0, "same": 1.0, "wild": 6.0}
    cells = {(t, a): s * rng.normal(size=20) for t in ("rte", "cola", "mrpc") for a, s in spread.items()}
    table = ranks(frame(cells), "sd", rng, lower_is_better=True)
    assert table.index[-1] == "wild"
    assert table.loc["wild", ["rank", "low", "high", "first"]].tolist() == [3, 3, 3, 0]
    assert table["first"].sum() == pytest.approx(1)
    assert table["rank"].sum() == pytest.approx(6)
    assert table.loc["calm", "low"] < 1.5 < table.loc["calm", "high"]
    upside = ranks(frame(cells), "sd", np.random.default_rng(0), lower_is_better=False)
    assert upside.loc["wild", "rank"] == 1


def test_equal_arms_share_their_rank() -> None:
    cells = {(t, a): np.array([0.1, 0.2, 0.4]) for t in ("x", "y") for a in ("one", "two")}
    table = ranks(frame(cells), "mean", np.random.default_rng(0), lower_is_better=False)
    assert table["rank"].tolist() == [1.5, 1.5]
    assert table["first"].tolist() == pytest.approx([0.5, 0.5], abs=0.05)


def test_what_cannot_be_bootstrapped_is_refused() -> None:
    rng = np.random.default_rng(0)
    good = {"a": [0.1, 0.2, 0.3]}
    with pytest.raises(UserError, match=r'statistic = "mode": must be one of mean, median, iqm, sd, or a function'):
        stratified_bootstrap(good, "mode", rng)
    with pytest.raises(UserError, match=r"must give one number per row"):
        stratified_bootstrap(good, lambda rows: rows, rng)
    with pytest.raises(UserError, match=r"the statistic is not finite"):
        stratified_bootstrap(good, lambda rows: np.full(len(rows), np.nan), rng)
    with pytest.raises(UserError, match=r"task a: 1 scores: a bootstrap needs at least 2"):
        stratified_bootstrap({"a": [0.1]}, "mean", rng)
    with pytest.raises(UserError, match=r"no tasks"):
        stratified_bootstrap({}, "mean", rng)
    with pytest.raises(UserError, match=r"3 scores with 2 labels"):
        cluster_bootstrap(good["a"], [1, 2], "mean", rng)
    with pytest.raises(UserError, match=r"at least 2 clusters"):
        cluster_bootstrap(good["a"], [1, 1, 1], "mean", rng)
    with pytest.raises(UserError, match=r"column arm: must be in the table"):
        ranks(pd.DataFrame({"task": ["a"], "score": [1.0]}), "sd", rng, lower_is_better=True)
    with pytest.raises(UserError, match=r"1 arm: ranks need at least 2"):
        ranks(frame({("a", "x"): np.array([0.1, 0.2])}), "sd", rng, lower_is_better=True)
    hole = frame({("a", "x"): np.ones(2), ("a", "y"): np.ones(2), ("b", "x"): np.ones(2)})
    with pytest.raises(UserError, match=r'arm "y": has no runs on task "b"'):
        ranks(hole, "sd", rng, lower_is_better=True)
