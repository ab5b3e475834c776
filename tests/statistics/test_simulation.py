"""Size and coverage by simulation: the tables of the documentation, and the promises it makes of each method.

`python -m pytest -m slow tests/statistics/test_simulation.py -s` prints the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stabilitybench.statistics import (
    Estimate,
    SdRatio,
    bonett,
    brown_forsythe,
    cluster_bootstrap,
    distance_ratio,
    equivalence,
    fisher,
    iqr_ratio,
    levels,
    mad_ratio,
    median_centred_permutations,
    meta_analysis,
    paired_permutation,
    paired_sd_ratio,
    pitman_morgan,
    probability_of_improvement,
    risk_difference,
    sd_ratios,
    stochastic_dominance,
    stratified_bootstrap,
)
from stabilitybench.statistics.intervals import bonett_parts, bonett_se
from stabilitybench.statistics.sd_ratio_intervals import default_interval

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
SIZES = (10, 20, 50)
BLOCK = 200

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def failing(share: float) -> Draw:
    return lambda rng, shape: np.where(rng.random(shape) < share, -8.0, rng.standard_normal(shape))


CLEAN: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "Student t, 4 df": lambda rng, shape: rng.standard_t(4, shape),
    "gamma, shape 2": lambda rng, shape: rng.gamma(2.0, 1.0, shape),
}
SETTINGS: dict[str, Draw] = CLEAN | {"5 % failed": failing(0.05), "10 % failed": failing(0.10)}


def levene(a: np.ndarray, b: np.ndarray, centre: Callable) -> np.ndarray:
    """p-values of Levene's test, one per row; NaN where it is undefined."""
    distances = [np.abs(x - centre(x, axis=1, keepdims=True)) for x in (a, b)]
    n, m = a.shape[1], b.shape[1]
    means = [d.mean(axis=1) for d in distances]
    grand = (n * means[0] + m * means[1]) / (n + m)
    between = n * (means[0] - grand) ** 2 + m * (means[1] - grand) ** 2
    within = sum(((d - mean[:, None]) ** 2).sum(axis=1) for d, mean in zip(distances, means, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        return stats.f.sf((n + m - 2) * between / within, 1, n + m - 2)


def f_test(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a.var(axis=1, ddof=1) / b.var(axis=1, ddof=1)
    tail = stats.f.cdf(ratio, a.shape[1] - 1, b.shape[1] - 1)
    return 2 * np.minimum(tail, 1 - tail)


def bonett_p(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio, fourths = bonett_parts(a, b)
        return 2 * stats.norm.sf(np.abs(log_ratio) / bonett_se(-log_ratio, fourths, (a.shape[1], b.shape[1])))


def rejections(draw: Draw, n: int, m: int, rng: np.random.Generator, studies: int) -> dict[str, float]:
    """Share of studies of two equal arms in which each test rejects at 5 %."""
    counts = dict.fromkeys(("Brown-Forsythe", "permutation", "Bonett", "Levene with means", "F"), 0)
    for _ in range(studies // BLOCK):
        a, b = draw(rng, (BLOCK, n)), draw(rng, (BLOCK, m))
        p_values = (
            levene(a, b, np.median),
            # the studies of a block share their permutations, those of different blocks do not
            median_centred_permutations(a, b, rng, draws=999)["p"].to_numpy(),
            bonett_p(a, b),
            levene(a, b, np.mean),
            f_test(a, b),
        )
        for name, p in zip(counts, p_values, strict=True):
            if not (name == "Bonett" and n != m):
                counts[name] += int(np.count_nonzero(p <= 0.05))
    return {name: count / studies for name, count in counts.items()}


def coverage(draw: Draw, n: int, m: int, rng: np.random.Generator, studies: int) -> dict[str, float]:
    """Share of studies with a true ratio of 1/2 whose 95 % interval holds it."""
    counts = dict.fromkeys(("jackknife-t", "bonett", "bca", "percentile"), 0)
    for _ in range(studies // BLOCK):
        a, b = 0.5 * draw(rng, (BLOCK, n)), draw(rng, (BLOCK, m))
        for name in counts:
            found = sd_ratios(a, b, interval=name, rng=rng, resamples=999)
            counts[name] += int(np.count_nonzero((found["low"] <= 0.5) & (found["high"] >= 0.5)))
    return {name: count / studies for name, count in counts.items()}


def markdown(table: pd.DataFrame) -> str:
    """The table as the page shows it."""
    head = [*table.index.names, *table.columns]
    rows = [
        [*map(str, key), *(f"{x:.3f}" for x in row)] for key, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def assert_published(table: pd.DataFrame) -> None:
    """The page shows these numbers: another BLAS may turn a study or two, no more."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index(markdown(table).splitlines()[0])
    for key, row, line in zip(table.index, table.to_numpy(), lines[start + 2 :], strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[: len(key)] == [str(part) for part in key]
        assert [float(cell) for cell in cells[len(key) :]] == pytest.approx(row.tolist(), abs=0.0025)


def as_table(rows: dict[tuple[str, object], dict[str, float]], second: str) -> pd.DataFrame:
    return pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["scores", second]))


def test_the_formulas_in_bulk_are_those_of_the_public_functions() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(20, 12)), rng.gamma(2.0, size=(20, 12))
    assert levene(a, b, np.median) == pytest.approx([brown_forsythe(x, y).p for x, y in zip(a, b, strict=True)])
    assert bonett_p(a, b) == pytest.approx([bonett(x, y).p for x, y in zip(a, b, strict=True)])
    assert levene(a, b, np.mean) == pytest.approx(
        [stats.levene(x, y, center="mean").pvalue for x, y in zip(a, b, strict=True)]
    )


@pytest.mark.slow
def test_size_of_the_tests_of_spread() -> None:
    rng = np.random.default_rng(2011)
    rows = {(name, n): rejections(draw, n, n, rng, 10_000) for name, draw in SETTINGS.items() for n in SIZES}
    table = as_table(rows, "n")
    print("\n" + markdown(table))
    enough = table[table.index.get_level_values("n") >= 20]
    recommended = enough[["Brown-Forsythe", "permutation"]]
    assert ((recommended >= 0.02) & (recommended <= 0.065)).all(axis=None)
    assert (table[["Brown-Forsythe", "permutation"]] <= 0.065).all(axis=None)
    # what goes wrong elsewhere
    assert table.loc[("5 % failed", 20), "F"] > 0.4
    assert table.loc[("Student t, 4 df", 20), "F"] > 0.15
    assert table.loc[("10 % failed", 20), "Levene with means"] > 0.15
    assert table.loc[("5 % failed", 20), "Bonett"] > 0.065
    assert_published(table)


@pytest.mark.slow
def test_coverage_of_the_sd_ratio_intervals() -> None:
    rng = np.random.default_rng(2012)
    rows = {(name, n): coverage(draw, n, n, rng, 6000) for name, draw in SETTINGS.items() for n in (5, *SIZES)}
    table = as_table(rows, "n")
    print("\n" + markdown(table))
    clean = table.loc[list(CLEAN)]
    default = pd.Series({key: clean.loc[key, default_interval(key[1], key[1])] for key in clean.index})
    assert default.loc["normal"].between(0.93, 0.97).all()
    assert default.between(0.90, 0.97).all()
    # the default is the one of the four that strays least from 95 % over these shapes of scores, at each n
    for n in SIZES:
        astray = (clean.xs(n, level="n") - 0.95).abs().max()
        assert astray.idxmin() == default_interval(n, n)
    # why it is withheld where runs failed
    assert table.loc[("10 % failed", 20), "bonett"] < 0.91
    assert_published(table)


@pytest.mark.slow
def test_arms_of_unequal_size() -> None:
    rng = np.random.default_rng(2013)
    for name, draw in SETTINGS.items():
        for n, m in ((10, 20), (20, 10), (20, 50), (50, 20)):
            sizes = rejections(draw, n, m, rng, 4000)
            assert 0.02 <= sizes["Brown-Forsythe"] <= 0.065
            assert 0.02 <= sizes["permutation"] <= 0.07
            if name in CLEAN:
                found = sd_ratios(0.5 * draw(rng, (4000, n)), draw(rng, (4000, m)))
                assert 0.935 <= ((found["low"] <= 0.5) & (found["high"] >= 0.5)).mean() <= 0.97


def covered(intervals: Iterable[Estimate], truth: float) -> float:
    held = [found.low <= truth <= found.high for found in intervals if found.has_interval]
    assert len(held) > 100
    return float(np.mean(held))


@pytest.mark.slow
@pytest.mark.parametrize("setting", [*CLEAN, "10 % failed"])
def test_paired_tests_and_interval(setting: str) -> None:
    """Pairs that share half their variance; 1,000 studies of 20 pairs."""
    rng = np.random.default_rng(2014)
    draw, studies = SETTINGS[setting], 1000
    parts = [draw(rng, (studies, 20)) for _ in range(3)]
    a, b = parts[0] + parts[1], parts[0] + parts[2]
    morgan = np.mean([pitman_morgan(x, y).p <= 0.05 for x, y in zip(a, b, strict=True)])
    permuted = np.mean([paired_permutation(x, y, rng, 199).p <= 0.05 for x, y in zip(a, b, strict=True)])
    print(f"\npaired, {setting}: Pitman-Morgan {morgan:.3f}, permutation {permuted:.3f}")
    assert permuted <= 0.065
    if setting == "normal":
        assert 0.035 <= morgan <= 0.065
        held = covered((paired_sd_ratio(2 * x, y) for x, y in zip(a, b, strict=True)), 2.0)
        assert 0.93 <= held <= 0.97
    else:
        # the price of assuming normal pairs
        assert morgan > permuted


@pytest.mark.slow
def test_meta_analysis_covers_the_mean_ratio_and_a_new_task() -> None:
    rng = np.random.default_rng(2015)
    studies = 300
    for k, between in ((4, 0.0), (4, 0.2), (8, 0.2)):
        spread = np.exp(between * rng.standard_normal((studies, k + 1)))
        mean = new = 0
        for study in spread:
            arms = study[:k, None] * rng.standard_normal((k, 20))
            table = sd_ratios(arms, rng.standard_normal((k, 20)))
            ratios = {str(t): SdRatio(**row) for t, row in enumerate(table.to_dict("records"))}
            found = meta_analysis(ratios)
            mean += found.low <= 1 <= found.high
            new += found.prediction_low <= study[k] <= found.prediction_high
        print(f"\nmeta-analysis, {k} tasks, SD between {between}: mean {mean / studies:.3f}, new {new / studies:.3f}")
        assert 0.92 <= mean / studies <= 0.985
        # tasks that differ less than their SDs are uncertain often look alike: then a new one is promised too much
        assert new / studies >= (0.92 if k == 4 else 0.82)


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "floor"), [("normal", 0.92), ("Student t, 4 df", 0.92), ("gamma, shape 2", 0.89)])
def test_intervals_of_level(setting: str, floor: float) -> None:
    rng = np.random.default_rng(2016)
    draw, studies = SETTINGS[setting], 600
    reference = np.sort(draw(np.random.default_rng(1), (2_000_000,)))
    quarter = reference.size // 4
    truth = {"mean": reference.mean(), "median": np.median(reference), "iqm": reference[quarter:-quarter].mean()}
    tables = [levels(draw(rng, (20,))) for _ in range(studies)]
    for name, value in truth.items():
        share = np.mean([t.loc[name, "low"] <= value <= t.loc[name, "high"] for t in tables])
        print(f"\nlevel, {setting}: {name} {share:.3f}")
        assert floor <= share <= 0.98
    # P(X > Y + d) by simulation of its own
    shifted = draw(np.random.default_rng(2), (2_000_000,)) + 0.7
    beats = float((shifted > draw(np.random.default_rng(3), (2_000_000,))).mean())
    found = (probability_of_improvement(draw(rng, (20,)) + 0.7, draw(rng, (20,))) for _ in range(studies))
    assert 0.93 <= covered(found, beats) <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("setting", CLEAN)
def test_intervals_of_robust_ratios(setting: str) -> None:
    rng = np.random.default_rng(2018)
    arms = [(0.5 * SETTINGS[setting](rng, (20,)), SETTINGS[setting](rng, (20,))) for _ in range(400)]
    for ratio in (mad_ratio, iqr_ratio):
        share = covered((ratio(a, b, rng, resamples=299) for a, b in arms), 0.5)
        print(f"\n{ratio.__name__}, {setting}: {share:.3f}")
        # resamples of a quantile vary more than samples do: wide, and safe
        assert share >= 0.95
    share = covered((distance_ratio(a, b) for a, b in arms), 0.5)
    print(f"\ndistance_ratio, {setting}: {share:.3f}")
    assert 0.90 <= share <= 0.97


@pytest.mark.slow
def test_bootstraps_of_means_over_tasks_and_clusters() -> None:
    rng = np.random.default_rng(2019)
    tasks = clusters = 0
    labels = np.repeat(np.arange(20), 3)
    for _ in range(400):
        scores = {t: rng.normal(0, s, 20) for t, s in (("a", 1.0), ("b", 2.0), ("c", 1.0))}
        found = stratified_bootstrap(scores, "mean", rng, resamples=399)
        tasks += found.low <= 0 <= found.high
        shared = rng.normal(size=20)[labels] + rng.normal(size=60)
        found = cluster_bootstrap(shared, labels, "mean", rng, resamples=199)
        clusters += found.low <= 0 <= found.high
    print(f"\nstratified bootstrap {tasks / 400:.3f}, cluster bootstrap {clusters / 400:.3f}")
    assert 0.91 <= tasks / 400 <= 0.975
    assert 0.90 <= clusters / 400 <= 0.975


@pytest.mark.slow
def test_false_claims_of_equivalence_and_dominance() -> None:
    rng = np.random.default_rng(2017)
    equivalent = dominant = corrected = 0
    for _ in range(1000):
        a, b = rng.normal(0, 2, 20), rng.normal(0, 1, 20)
        equivalent += equivalence(a + 1.3, b, margin=1.3).equivalent
        a, b = rng.normal(0, 1, 20), rng.normal(0, 1, 20)
        dominant += stochastic_dominance(a, b, rng, resamples=199).dominant
        corrected += stochastic_dominance(a, b, rng, comparisons=10, resamples=199).dominant
    print(f"\nTOST at the margin {equivalent / 1000:.3f}; ASO of equals {dominant / 1000:.3f}, {corrected / 1000:.3f}")
    assert 0.03 <= equivalent / 1000 <= 0.065
    assert dominant / 1000 <= 0.065
    assert corrected <= dominant


def test_exact_tests_keep_their_size_and_the_difference_its_coverage() -> None:
    """Failure counts are few enough to list: no simulation, no error."""
    for n in SIZES:
        rejects = np.zeros((n + 1, n + 1), dtype=bool)
        for i, j in combinations(range(n + 1), 2):
            rejects[i, j] = rejects[j, i] = fisher(i, n, j, n).p <= 0.05
        for share in (0.05, 0.1, 0.3, 0.5):
            chance = stats.binom.pmf(np.arange(n + 1), n, share)
            assert (chance[:, None] * chance * rejects).sum() <= 0.05
    n, held = 20, 0.0
    first, second = (stats.binom.pmf(np.arange(n + 1), n, share) for share in (0.4, 0.1))
    for i, j in product(range(n + 1), repeat=2):
        found = risk_difference(i, n, j, n)
        held += first[i] * second[j] * (found.low <= 0.3 <= found.high)
    assert 0.93 <= held <= 0.98
