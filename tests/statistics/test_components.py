"""Variance components: hand examples, statsmodels as oracle, and simulations of bias and coverage."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import variance_components
from stabilitybench.statistics.components import _unbalanced

# Davies & Goldsmith (1972), Statistical Methods in Research and Production: yield of dyestuff, 6 batches of 5
DYESTUFF = [
    [1545, 1440, 1440, 1520, 1580],
    [1540, 1555, 1490, 1560, 1495],
    [1595, 1550, 1605, 1510, 1560],
    [1445, 1440, 1595, 1465, 1545],
    [1595, 1630, 1515, 1635, 1625],
    [1520, 1455, 1450, 1480, 1445],
]


def crossed(rng: np.random.Generator, sizes: dict[str, int], sds: dict[str, float], repeats: int = 1) -> pd.DataFrame:
    """Draw scores of a crossed design; an interaction is named "a:b"."""
    grid = pd.MultiIndex.from_product([range(n) for n in sizes.values()], names=list(sizes)).to_frame(index=False)
    runs = pd.concat([grid] * repeats, ignore_index=True)
    score = rng.normal(0.7, sds["residual"], len(runs))
    for term, sd in sds.items():
        if term != "residual":
            place = runs.groupby(term.split(":")).ngroup().to_numpy()
            score += rng.normal(0, sd, place.max() + 1)[place]
    return runs.assign(score=score)


def by_name(table: pd.DataFrame, column: str = "variance") -> dict[str, float]:
    return dict(zip(table["component"], table[column], strict=True))


def test_two_crossed_factors_by_hand() -> None:
    """Scores 1 2 / 4 5 / 6 9: mean squares 18 (init, 2 df), 25/6 (order, 1 df), 2/3 (residual, 2 df)."""
    runs = pd.DataFrame({"init": [0, 0, 1, 1, 2, 2], "order": [0, 1] * 3, "score": [1, 2, 4, 5, 6, 9]})
    table = variance_components(runs, ["init", "order"])
    assert by_name(table) == pytest.approx({"init": (18 - 2 / 3) / 2, "order": (25 / 6 - 2 / 3) / 3, "residual": 2 / 3})
    assert table["df"].tolist() == [2, 1, 2]
    assert table["share"].sum() == pytest.approx(1)
    assert "init:order" in table["note"].iloc[2]
    low, high = table[["low", "high"]].iloc[2]
    assert (low, high) == pytest.approx((2 * 2 / 3 / stats.chi2.ppf(0.975, 2), 2 * 2 / 3 / stats.chi2.ppf(0.025, 2)))


def test_the_dyestuff_example_of_the_textbooks() -> None:
    """One factor, five runs of each level: 1764.05 between batches and 2451.25 within."""
    runs = pd.DataFrame([(b, y) for b, row in enumerate(DYESTUFF) for y in row], columns=["batch", "score"])
    assert by_name(variance_components(runs, ["batch"])) == pytest.approx({"batch": 1764.05, "residual": 2451.25})
    reml = _unbalanced(runs["score"].to_numpy(float), {"batch": runs["batch"].to_numpy()}, 0.95)
    assert [row["variance"] for row in reml] == pytest.approx([1764.05, 2451.25], rel=1e-3)


@pytest.mark.parametrize("repeats", [1, 2])
def test_balanced_estimates_from_the_mean_squares_of_statsmodels(repeats: int) -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    sds = {"init": 0.02, "order": 0.01, "init:order": 0.01, "residual": 0.005}
    runs = crossed(np.random.default_rng(0), {"init": 4, "order": 3, "dropout": 2}, sds, repeats)
    model = "score ~ C(init) * C(order) * C(dropout)"
    if repeats == 1:  # the highest interaction takes all that is left
        model += " - C(init):C(order):C(dropout)"
    squares = anova_lm(ols(model, runs).fit())["mean_sq"]
    squares.index = [i.replace("C(", "").replace(")", "") for i in squares.index]
    top = squares["Residual"] if repeats == 1 else squares["init:order:dropout"]
    expected = {
        "init": (squares["init"] - squares["init:order"] - squares["init:dropout"] + top) / (6 * repeats),
        "order": (squares["order"] - squares["init:order"] - squares["order:dropout"] + top) / (8 * repeats),
        "init:order": (squares["init:order"] - top) / (2 * repeats),
        "residual": squares["Residual"],
    }
    if repeats == 2:
        expected["init:order:dropout"] = (top - squares["Residual"]) / 2
    table = variance_components(runs, ["init", "order", "dropout"])
    found = by_name(table, "estimate")
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    negative = table["estimate"] < 0
    assert (table.loc[negative, "variance"] == 0).all()
    assert table.loc[negative, "note"].str.contains("negative estimate, set to 0").all()
    assert not table.loc[~negative, "note"].str.contains("negative").any()


def test_reml_of_a_balanced_design_is_anova_where_no_estimate_is_negative() -> None:
    sds = {"init": 0.02, "order": 0.03, "init:order": 0.02, "residual": 0.01}
    runs = crossed(np.random.default_rng(2), {"init": 6, "order": 5}, sds, repeats=2)
    table = variance_components(runs, ["init", "order"])
    assert (table["estimate"] > 0).all()
    codes = {name: runs[name].to_numpy() for name in ("init", "order")}
    reml = {row["component"]: row["variance"] for row in _unbalanced(runs["score"].to_numpy(), codes, 0.95)}
    assert reml == pytest.approx(by_name(table), rel=2e-3)


def test_a_design_with_missing_runs_goes_to_reml() -> None:
    sds = {"init": 0.03, "order": 0.01, "residual": 0.005}
    runs = crossed(np.random.default_rng(4), {"init": 8, "order": 6}, sds).drop(index=[0, 7, 20, 33])
    table = variance_components(runs, ["init", "order"])
    assert set(table["method"]) == {"REML mixed model, modified-large-sample interval with harmonic means"}
    assert table["component"].tolist() == ["init", "order", "residual"]
    assert "init:order" in table["note"].iloc[2]
    found = np.sqrt(list(by_name(table).values()))
    assert found == pytest.approx([0.03, 0.01, 0.005], rel=0.6)
    assert ((table["low"] < table["variance"]) & (table["variance"] < table["high"])).all()


def test_reml_gives_an_upper_limit_where_a_variance_is_estimated_as_0() -> None:
    sds = {"init": 0.03, "residual": 0.02}
    for seed in range(10):
        runs = crossed(np.random.default_rng(seed), {"init": 5, "order": 4}, sds).drop(index=[3])
        table = variance_components(runs, ["init", "order"])
        order = table.set_index("component").loc["order"]
        if order["variance"] == 0:
            assert order["low"] == 0 < order["high"]
            return
    pytest.fail("no draw met the limit")


def test_a_factor_with_one_level_is_left_out_and_said() -> None:
    runs = crossed(np.random.default_rng(0), {"init": 3, "order": 3}, {"init": 0.1, "residual": 0.1}).assign(dropout=7)
    table = variance_components(runs, ["init", "order", "dropout"])
    plain = variance_components(runs, ["init", "order"])
    last = table.iloc[-1]
    assert (last["component"], last["note"]) == ("dropout", "left out: it has one level")
    assert math.isnan(last["variance"])
    pd.testing.assert_frame_equal(table.iloc[:-1].astype(plain.dtypes), plain)


def test_equal_scores_have_no_components_and_no_interval() -> None:
    runs = crossed(np.random.default_rng(0), {"init": 3, "order": 3}, {"init": 0.1, "residual": 0.1}).assign(score=0.1)
    table = variance_components(runs, ["init", "order"])
    assert (table["variance"] == 0).all()
    assert (table["note"] == "all scores are equal").all()
    assert table["low"].isna().all()


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 10**6), st.floats(-5, 5), st.sampled_from([0.01, 3.0, 100.0]))
def test_shift_scale_names_of_levels_and_order_of_rows_do_not_matter(seed: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    sds = {"init": 1.0, "order": 0.5, "init:order": 0.3, "residual": 0.2}
    runs = crossed(rng, {"init": 3, "order": 4}, sds, repeats=int(rng.integers(1, 3)))
    one = variance_components(runs, ["init", "order"])
    other = runs.sample(frac=1, random_state=seed % 1000).assign(
        score=lambda r: shift + scale * r["score"], init=lambda r: r["init"].map({0: "b", 1: "c", 2: "a"})
    )
    two = variance_components(other, ["init", "order"])
    numbers = ["variance", "estimate", "low", "high"]
    expected = one[numbers].to_numpy() * scale**2
    assert two[numbers].to_numpy() == pytest.approx(expected, rel=1e-5, abs=1e-8 * scale**2)
    assert two["share"].to_numpy() == pytest.approx(one["share"].to_numpy(), abs=1e-6)
    assert (one["low"] <= one["variance"] + 1e-12).all()
    assert (one["variance"] >= 0).all()


@pytest.mark.parametrize(
    ("change", "factors", "said"),
    [
        (lambda r: r, ["init", "seed"], r'factors = "seed": runs has no such column; there are init, order, score'),
        (lambda r: r, "init", r'factors = "init": must be a list'),
        (lambda r: r, ["init", "init"], r"a name stands twice"),
        (lambda r: r, [], r"none given\): none of them varies"),
        (lambda r: r.assign(order=0), ["order"], r"order\): none of them varies; needs at least one with 2 levels"),
        (lambda r: r.assign(order=r["init"]), ["init", "order"], r'factors "init" and "order": vary together'),
        (lambda r: r.assign(order=range(9)), ["init", "order"], r'factor "order": differs in every run'),
        (lambda r: r.assign(init=range(9), order=range(9)), ["init", "order"], r"vary together"),
        (lambda r: r.assign(score=math.nan), ["init"], r'column "score": score 1 of 9 is nan'),
        (lambda r: r.assign(score="good"), ["init"], r"scores must be numbers"),
        (lambda r: r.assign(init=[math.nan] + [1] * 8), ["init"], r'column "init": row 1 is empty'),
        (lambda r: r.iloc[:0], ["init"], r"none of them varies"),
    ],
)
def test_designs_that_cannot_be_split_get_one_sentence(change, factors, said: str) -> None:
    runs = crossed(np.random.default_rng(0), {"init": 3, "order": 3}, {"init": 0.1, "residual": 0.1})
    with pytest.raises(UserError, match=said):
        variance_components(change(runs), factors)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "sds", "repeats"),
    [
        ({"init": 5, "order": 5}, {"init": 2.0, "order": 1.0, "residual": 1.0}, 1),
        ({"init": 5, "order": 5, "dropout": 2}, {"init": 1.5, "order": 1.0, "init:order": 1.0, "residual": 1.0}, 1),
        ({"init": 4, "order": 6}, {"init": 1.0, "order": 0.3, "init:order": 1.0, "residual": 1.0}, 2),
    ],
)
def test_balanced_estimates_are_unbiased_and_intervals_cover(sizes, sds, repeats: int) -> None:
    rng = np.random.default_rng(8)
    studies = 500
    tables = [variance_components(crossed(rng, sizes, sds, repeats), list(sizes)) for _ in range(studies)]
    for place, name in enumerate(tables[0]["component"]):
        true = sds.get(name, 0.0) ** 2
        estimates = np.array([t["estimate"].iloc[place] for t in tables])
        covered = np.mean([t["low"].iloc[place] <= true <= t["high"].iloc[place] for t in tables])
        print(f"{sizes} {name}: true {true:.2f}, mean estimate {estimates.mean():.3f}, coverage {covered:.3f}")
        assert abs(estimates.mean() - true) < 4 * estimates.std() / math.sqrt(studies)
        assert covered >= 0.92


@pytest.mark.slow
def test_reml_estimates_and_intervals_with_missing_runs() -> None:
    """REML cannot be negative, so it is biased upwards a little; intervals of main effects cover."""
    rng = np.random.default_rng(9)
    sds = {"init": 1.5, "order": 1.0, "residual": 1.0}
    tables = []
    for _ in range(250):
        runs = crossed(rng, {"init": 6, "order": 6}, sds)
        tables.append(variance_components(runs.drop(index=rng.choice(36, 6, replace=False)), ["init", "order"]))
    for place, name in enumerate(("init", "order", "residual")):
        true = sds[name] ** 2
        estimates = np.array([t["variance"].iloc[place] for t in tables])
        covered = np.mean([t["low"].iloc[place] <= true <= t["high"].iloc[place] for t in tables])
        print(f"REML {name}: true {true:.2f}, mean estimate {estimates.mean():.3f}, coverage {covered:.3f}")
        assert estimates.mean() == pytest.approx(true, rel=0.15)
        assert covered >= 0.9
