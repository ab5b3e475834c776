"""Two arms over crossed designs: against the analysis of variance and statsmodels, and coverage by simulation.

`python -m pytest -m slow tests/statistics/test_crossed_contrast.py -s` prints the table of the documentation.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import crossed_deviation_ratio, crossed_difference, mean_squares, paired_deviation_ratio
from stabilitybench.statistics.crossed_contrast import clustered_variance
from stabilitybench.statistics.deviation import deviations, paired_log_deviation_ratios
from support.published import assert_published

STUDIES = 3000
INIT, ORDER = np.divmod(np.arange(30), 6)
CROSSED = {"init": INIT, "order": ORDER}


def scores(seed: int = 0, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) + rng.normal(size=5)[INIT[:n]], 2 * rng.normal(size=n)


def test_one_stream_is_the_t_test_of_its_means() -> None:
    a, b = scores()
    found = crossed_difference(a, b, {"init": INIT})
    outcome = stats.ttest_1samp((a - b).reshape(5, 6).mean(axis=1), 0.0)
    assert (found.p, found.df) == pytest.approx((outcome.pvalue, 4))
    assert (found.low, found.high) == pytest.approx(tuple(outcome.confidence_interval()))


def test_two_streams_by_the_analysis_of_variance() -> None:
    for seed in range(20):
        a, b = scores(seed)
        gaps = (a - b).reshape(5, 6)
        found, squares = crossed_difference(a, b, CROSSED), mean_squares(gaps)
        parts = squares.rows.value / 30, squares.columns.value / 30
        expected = max(sum(parts) - gaps.var(ddof=1) / 30, *parts)
        assert (found.estimate, found.se**2, found.df) == pytest.approx((gaps.mean(), expected, 4))


def test_three_streams_by_inclusion_and_exclusion() -> None:
    rng = np.random.default_rng(0)
    u = rng.normal(size=(1, 60))
    u -= u.mean()
    codes = [rng.integers(0, 5, 60) for _ in range(3)]

    def part(*chosen: int) -> float:
        groups: dict[tuple, float] = {}
        for i in range(60):
            key = tuple(codes[s][i] for s in chosen)
            groups[key] = groups.get(key, 0.0) + u[0, i]
        return len(groups) / (len(groups) - 1) * sum(x**2 for x in groups.values()) / 60**2

    one = [part(s) for s in range(3)]
    total = sum(one) - part(0, 1) - part(0, 2) - part(1, 2) + part(0, 1, 2)
    assert clustered_variance(u, codes)[0] == pytest.approx(max(total, *one))


def test_streams_that_vary_together_are_pairs() -> None:
    a, b = scores()
    found = crossed_difference(a, b, {"init": np.arange(30), "order": np.arange(30)})
    assert (found.p, found.df) == pytest.approx((stats.ttest_rel(a, b).pvalue, 29))
    spread, pairs = (
        crossed_deviation_ratio(a, b, {"seed": np.arange(30)}),
        paired_deviation_ratio(a, b),
    )
    assert (spread.estimate, spread.log_se, spread.df) == pytest.approx((pairs.estimate, pairs.log_se, pairs.df))


def test_interval_and_test_say_the_same_with_pairs_missing() -> None:
    for seed in range(100):
        a, b = scores(seed)
        kept = np.random.default_rng(seed).permutation(30)[:26]
        streams = {name: codes[kept] for name, codes in CROSSED.items()}
        level = (0.5, 0.9, 0.95)[seed % 3]
        for found, null in (
            (crossed_difference(a[kept], b[kept], streams, level), 0),
            (crossed_deviation_ratio(a[kept], b[kept], streams, level), 1),
        ):
            assert found.note == ""
            assert (found.p < 1 - level) == (not found.low <= null <= found.high)


def test_order_and_names_of_seeds_do_not_matter() -> None:
    a, b = scores()
    mixed = np.random.default_rng(1).permutation(30)
    named = {"init": [f"seed {i}" for i in INIT[mixed]], "order": 100 - ORDER[mixed]}
    one, other = crossed_deviation_ratio(a, b, CROSSED), crossed_deviation_ratio(a[mixed], b[mixed], named)
    assert (one.low, one.high, one.p) == pytest.approx((other.low, other.high, other.p))
    swapped = crossed_deviation_ratio(b, a, CROSSED)
    assert (swapped.low, swapped.high) == pytest.approx((1 / one.high, 1 / one.low))


def test_a_stream_of_few_values_is_averaged_over() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 2, 30))
    streams = {name: np.tile(codes, 2) for name, codes in CROSSED.items()} | {"dropout": np.repeat([0, 1], 30)}
    found = crossed_difference(a.ravel(), b.ravel(), streams)
    averaged = crossed_difference(a.mean(axis=0), b.mean(axis=0), CROSSED)
    assert (found.estimate, found.se, found.df) == pytest.approx((averaged.estimate, averaged.se, averaged.df))
    assert found.method == "clustered t on mean difference, over init and order, for these values of dropout"
    spread = crossed_deviation_ratio(a.ravel(), b.ravel(), streams)
    assert spread.estimate == paired_deviation_ratio(a.ravel(), b.ravel()).estimate
    assert spread.df == 4
    assert spread.method.endswith("over init and order, for these values of dropout")


def test_where_there_is_no_answer() -> None:
    a, b = scores()
    few = {"init": np.arange(30) % 4, "order": np.arange(30) % 3}
    for found in (crossed_difference(a, b, few), crossed_deviation_ratio(a, b, few)):
        assert found.note == "no interval: no stream has the 5 values needed (init has 4, order has 3)"
        assert found.p is found.low is None
        assert found.estimate is not None
    assert crossed_difference(b + 0.1, b, CROSSED).note == "no interval: the differences do not vary from seed to seed"
    assert crossed_difference([], [], {"init": []}).note == "no difference: there are no pairs"
    assert crossed_deviation_ratio(a, a, CROSSED).note.startswith("identical runs")
    assert crossed_deviation_ratio(a, 0 * a, CROSSED).note == "no ratio: the baseline has no spread (all scores equal)"


def test_what_is_refused() -> None:
    a, b = scores()
    with pytest.raises(UserError, match='stream "init": 29 seeds for 30 pairs'):
        crossed_difference(a, b, {"init": INIT[1:]})
    with pytest.raises(UserError, match='stream "order": seed 3 is empty'):
        crossed_deviation_ratio(a, b, {"order": [0.0, 1.0, math.nan, *range(27)]})
    with pytest.raises(UserError, match="streams"):
        crossed_difference(a, b, [INIT])
    with pytest.raises(UserError, match="level"):
        crossed_difference(a, b, CROSSED, 1.0)
    with pytest.raises(UserError, match="finite"):
        crossed_deviation_ratio([math.nan, *a[1:]], b, CROSSED)


SHAPES = {
    "normal": lambda z: z,
    "Student t, 3 df": lambda z: stats.t.ppf(stats.norm.cdf(z), 3),
    "lognormal, 0.5": lambda z: -np.exp(0.5 * z),
}


def covered(
    rng: np.random.Generator, size: tuple[int, int], share: tuple[float, float], dropped: int, repeats: int
) -> list[float]:
    """Coverage for level, and for the spread of each shape, of arms whose seeds correlate by .5.

    Runs of one init and order, with dropout seeds of their own, share half of what is left.
    """
    init, order = (np.tile(codes.ravel(), repeats)[dropped:] for codes in np.indices(size))
    z = np.zeros((2, STUDIES, init.size))
    rest = (1 - sum(share)) / 2
    for part, count, at in (
        (share[0], size[0], init),
        (share[1], size[1], order),
        (rest, size[0] * size[1], init * size[1] + order),
        (rest, init.size, np.arange(init.size)),
    ):
        common, own = rng.standard_normal((STUDIES, count)), rng.standard_normal((2, STUDIES, count))
        z += math.sqrt(part) * (math.sqrt(0.5) * common + math.sqrt(0.5) * own)[..., at]
    critical = float(stats.t.ppf(0.975, min(size) - 1))
    gaps = z[0] - z[1]
    means = gaps.mean(axis=1)
    se = np.sqrt(clustered_variance(gaps - means[:, None], [init, order]))
    found = [np.mean(np.abs(means) <= critical * se)]
    for shape in SHAPES.values():
        first, second = shape(z[0]), shape(z[1])
        u = deviations(first).relative - deviations(second).relative
        log = paired_log_deviation_ratios(first, second).log
        found.append(np.mean(np.abs(log) <= critical * np.sqrt(clustered_variance(u, [init, order]))))
    return found


@pytest.mark.slow
def test_coverage_of_crossed_designs() -> None:
    rng = np.random.default_rng(2201)
    rows: list[list[object]] = []
    for size, dropped, repeats in (((5, 5), 0, 1), ((5, 5), 3, 1), ((5, 5), 0, 2), ((5, 10), 0, 1), ((10, 10), 0, 1)):
        for share in ((0.0, 0.0), (0.25, 0.0), (0.0, 0.25), (0.25, 0.25)):
            found = covered(rng, size, share, dropped, repeats)
            assert min(found) >= 0.92 - 3 * math.sqrt(0.92 * 0.08 / STUDIES), (size, share)
            design = f"{size[0]} x {size[1]}" + (f", {dropped} missing" if dropped else "")
            design += f" x {repeats} of dropout" if repeats > 1 else ""
            rows.append([design, *(f"{x:g}" for x in share), *map(float, found)])
    assert_published(
        ["init x order", "share of init", "of order", "level", *(f"spread, {name}" for name in SHAPES)], rows
    )
