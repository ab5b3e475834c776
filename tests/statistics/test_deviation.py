"""The deviation ratio against its definition, and interval and test against each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics import DeviationRatio, deviation_ratio, paired_deviation_ratio
from stabilitybench.statistics.deviation import log_deviation_ratios, paired_log_deviation_ratios

Ratio = Callable[..., DeviationRatio]
BOTH = pytest.mark.parametrize("ratio", [deviation_ratio, paired_deviation_ratio])
LEVELS = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@st.composite
def arms(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two arms of 7 to 30 runs, on a grid of test rows or not."""
    n = draw(st.integers(7, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ratio = draw(st.sampled_from([0.2, 0.5, 1.0, 3.0]))
    x, y = ratio * rng.standard_t(3, n), rng.standard_normal(n)
    rows = draw(st.sampled_from([0, 5, 50]))
    return (np.round(rows * x) / rows, np.round(rows * y) / rows) if rows else (x, y)


def distances(scores: np.ndarray) -> list[float]:
    """Distances to the median; with an odd number of runs without the median's own."""
    found = sorted(abs(x - np.median(scores)) for x in scores)
    return found[1:] if len(found) % 2 else found


@pytest.mark.parametrize(("n", "m"), [(7, 7), (8, 8), (12, 31), (30, 9)])
def test_independent_arms_by_the_definition(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.gamma(2.0, size=n), rng.normal(size=m)
    found = deviation_ratio(a, b)
    assert found.estimate == pytest.approx(sum(distances(a)) / (n - 1) / (sum(distances(b)) / (m - 1)))
    # Welch's t of distances that are divided by their mean, apart from the centre, which is the log ratio
    relative = [np.array(distances(x)) / np.mean(distances(x)) for x in (a, b)]
    welch = stats.ttest_ind(*relative, equal_var=False)
    half = welch.confidence_interval(0.95).high
    assert found.df == pytest.approx(welch.df)
    assert math.log(found.high / found.estimate) == pytest.approx(half)
    assert math.log(found.estimate / found.low) == pytest.approx(half)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(math.log(found.estimate)) / found.log_se, found.df))
    assert (found.n_arm, found.n_baseline, found.note) == (n, m, "")


@pytest.mark.parametrize("n", [7, 8, 21, 30])
def test_pairs_by_the_definition(n: int) -> None:
    rng = np.random.default_rng(n)
    a = rng.gamma(2.0, size=n)
    b = a + rng.normal(size=n)
    found = paired_deviation_ratio(a, b)
    d, e = (np.abs(x - np.median(x)) for x in (a, b))
    u, m = d / d.mean() - e / e.mean(), 2 * (n // 2)
    half = stats.t.ppf(0.975, m - 1) * math.sqrt((u**2).sum() / ((m - 1) * m))
    assert found.estimate == pytest.approx(d.mean() / e.mean())
    assert (found.low, found.high) == pytest.approx((found.estimate / math.exp(half), found.estimate * math.exp(half)))
    if n % 2 == 0:
        assert found.log_se == pytest.approx(stats.sem(u))
    assert found.df == m - 1


@BOTH
@given(scores=arms(), level=LEVELS)
@settings(deadline=None)
def test_interval_and_test_say_the_same(ratio: Ratio, scores: tuple[np.ndarray, np.ndarray], level: float) -> None:
    found = ratio(*scores, level)
    if found.p is None:
        assert found.note
        assert found.low is found.high is found.df is found.log_se is None
    else:
        assert (found.p < 1 - level) == (not found.low <= 1 <= found.high)
        assert found.low <= found.estimate <= found.high


@BOTH
@given(scores=arms(), shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_unit_origin_direction_and_order_do_not_matter(
    ratio: Ratio, scores: tuple[np.ndarray, np.ndarray], shift: float, scale: float
) -> None:
    a, b = scores
    found = ratio(a, b)
    if found.p is None:
        return
    order = np.random.default_rng(0).permutation(a.size)
    for other in (ratio(shift + scale * a, scale * b - shift), ratio(-a, -b), ratio(a[order], b[order])):
        assert (other.estimate, other.low, other.p) == pytest.approx((found.estimate, found.low, found.p), rel=1e-6)
    swapped = ratio(b, a)
    assert (swapped.low, swapped.high, swapped.p) == pytest.approx((1 / found.high, 1 / found.low, found.p))


def test_many_comparisons_at_once_are_those_one_by_one() -> None:
    rng = np.random.default_rng(0)
    a, b = np.round(20 * rng.normal(size=(2, 40, 9))) / 20
    for many, one in ((log_deviation_ratios, deviation_ratio), (paired_log_deviation_ratios, paired_deviation_ratio)):
        found = many(a, b)
        low, high = found.limits()
        alone = [one(x, y) for x, y in zip(a, b, strict=True)]
        assert np.exp(low) == pytest.approx([x.low for x in alone])
        assert np.exp(high) == pytest.approx([x.high for x in alone])
        assert found.p() == pytest.approx([x.p for x in alone])


SPREAD = [1.0, 2.0, 4.0, 3.0, 7.0, 9.0, 5.5, 2.5]


@BOTH
@pytest.mark.parametrize(
    ("arm", "baseline", "estimate", "note"),
    [
        (SPREAD, SPREAD, False, "identical runs: both arms hold the same scores, run by run"),
        ([0.7] * 8, [0.7] * 8, False, "identical runs: both arms hold the same scores, run by run"),
        ([0.7] * 8, SPREAD, False, "no ratio: the arm has no spread (all scores equal)"),
        (SPREAD, [0.7] * 8, False, "no ratio: the baseline has no spread (all scores equal)"),
        ([0.7] * 8, [0.6] * 8, False, "no ratio: both arms have no spread (all scores equal)"),
        (SPREAD[:6], SPREAD[2:], True, "no interval: the arm has 6 of the 7 runs needed"),
        (SPREAD[:2], SPREAD[2:4], False, "no ratio: the arm has 2 of the 3 runs needed"),
        (
            [71 / 138, 72 / 138] * 4,
            SPREAD,
            True,
            "no interval: the arm has 1 of the 3 distinct distances to the median needed",
        ),
        (
            SPREAD,
            [0.1, 0.2, 0.3, 0.2, 0.2, 0.3, 0.2, 0.2],
            True,
            "no interval: the baseline has 2 of the 3 distinct distances to the median needed",
        ),
    ],
)
def test_where_there_is_no_answer(ratio: Ratio, arm: list, baseline: list, estimate: bool, note: str) -> None:
    found = ratio(arm, baseline[: len(arm)])
    assert found.note == note
    assert (found.estimate is not None) == estimate
    assert found.low is found.high is found.p is found.df is found.log_se is None


def test_distances_in_one_proportion_have_no_paired_interval() -> None:
    found = paired_deviation_ratio(SPREAD, [3 * x + 1 for x in SPREAD])
    assert found.estimate == pytest.approx(1 / 3)
    assert (found.p, found.note) == (None, "no interval: the distances of all pairs are in one proportion")


@BOTH
def test_what_is_refused(ratio: Ratio) -> None:
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        ratio(SPREAD, SPREAD, 1.0)
    with pytest.raises(UserError, match="finite"):
        ratio([*SPREAD, math.nan], [*SPREAD, 1.0])
    with pytest.raises(UserError, match="pairs need as many of each"):
        paired_deviation_ratio(SPREAD, SPREAD[1:])
