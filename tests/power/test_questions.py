"""Powers of spread and level: every simulated study judged as in a report, closed forms, and what must hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.power import simulated_studies
from stabilitybench.power.questions import (
    Look,
    level_power,
    level_reach,
    one_look,
    spread_power,
    spread_reach,
)
from stabilitybench.power.simulated_studies import Conditions, simulated, studies_of
from stabilitybench.statistics import deviation_ratio, paired_deviation_ratio

COUNT = 50
PILOT = (0.61, 0.70, 0.71, 0.72, 0.72, 0.73, 0.74, 0.80)
CONDITIONS = {
    "pairs": Conditions(0.6),
    "independent": Conditions(None),
    "coarse": Conditions(0.3, rows=138, sd=1.0),
    "heavy tails": Conditions(None, "t3"),
    "failures in pairs": Conditions(0.6, failures=(0.05, 0.15)),
    "failures, independent": Conditions(None, failures=(0.2, 0.1)),
    "pilot": Conditions(0.0, PILOT),
    "everything": Conditions(0.8, "contaminated", 1.5, 277, (0.1, 0.1), 15.0),
}
LOOKS = {
    "one": one_look(16, 0.05),
    "strict": one_look(15, 0.0125),
    "two": (Look(9, 9, 0.03), Look(18, 18, 0.03)),
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few studies that all can be judged one by one."""
    monkeypatch.setattr(simulated_studies, "_STUDIES", ((1_000, COUNT),))


def spread_is_shown(arm, baseline, arm_failed, baseline_failed, level: float, paired: bool, closer: bool) -> bool:
    """Judge one study of spread, by the rules of the report in plain words."""
    first, second = arm[~arm_failed], baseline[~baseline_failed]
    both = ~arm_failed & ~baseline_failed if paired else None
    if both is not None and both.sum() >= 0.8 * max(len(first), len(second)):
        found = paired_deviation_ratio(arm[both], baseline[both])
    else:
        found = deviation_ratio(first, second)
    return found.p is not None and found.p < level and (found.estimate < 1) == closer


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("looks", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("conditions", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("ratio", [0.45, 1.7])
def test_every_simulated_study_of_spread_is_judged_as_in_a_report(ratio, conditions, looks) -> None:
    last = looks[-1].arm
    drawn = simulated(ratio, (last, last), conditions, COUNT)
    shown = [
        any(
            spread_is_shown(*(x[: look.arm] for x in study), look.level, conditions.paired, ratio < 1) for look in looks
        )
        for study in zip(*drawn, strict=True)
    ]
    assert spread_power(ratio, looks, conditions) == pytest.approx(np.mean(shown), abs=1e-12)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("looks", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("conditions", CONDITIONS.values(), ids=CONDITIONS)
def test_every_simulated_study_of_level_is_judged_as_in_a_report(conditions, looks) -> None:
    last, points = looks[-1].arm, -1.5
    rate, other = conditions.failures
    drawn = simulated(1.0, (last, last), conditions, COUNT)
    # failed runs lie so many points below, and the others so high that the means differ by what is asked for
    shift = (points + (rate - other) * conditions.drop) / (1 - rate)
    arm = np.where(drawn.arm_failed, -conditions.drop, drawn.arm + shift)
    baseline = np.where(drawn.baseline_failed, -conditions.drop, drawn.baseline)
    test = stats.ttest_rel if conditions.paired else lambda a, b: stats.ttest_ind(a, b, equal_var=False)
    shown = [
        any((found := test(a[: look.arm], b[: look.arm])).pvalue < look.level and found.statistic < 0 for look in looks)
        for a, b in zip(arm, baseline, strict=True)
    ]
    assert level_power(points, looks, conditions) == pytest.approx(np.mean(shown), abs=1e-12)


@pytest.mark.parametrize(
    ("rho", "df", "scale"), [(None, 38, math.sqrt(2)), (0.0, 19, math.sqrt(2)), (0.8, 19, math.sqrt(0.4))]
)
def test_level_of_normal_scores_has_the_power_of_the_noncentral_t(rho, df, scale) -> None:
    noncentral = stats.nct.sf(stats.t.isf(0.025, df), df, 1.2 / (1.5 * scale / math.sqrt(20)))
    assert level_power(1.2, one_look(20, 0.05), Conditions(rho, sd=1.5)) == pytest.approx(noncentral, abs=0.015)


def test_powers_of_spread_that_were_simulated_elsewhere() -> None:
    """Half-widths of the 95 % interval for normal scores, by code written apart: factors 2.0, 1.67 and 1.36."""
    for n, width in ((12, 2.0), (20, 1.67), (50, 1.36)):
        assert spread_power(width, one_look(n, 0.05), Conditions(None)) == pytest.approx(0.5, abs=0.03)


def test_the_conditions_are_what_they_say() -> None:
    for conditions in CONDITIONS.values():
        drawn = simulated(0.5, (40, 40), conditions, studies_of(40))
        grid = (100 / conditions.rows) ** 2 / 6 if conditions.rows else 0.0  # with where it lies drawn anew each time
        assert drawn.baseline.var() == pytest.approx(conditions.sd**2 + grid, rel=0.08)
        assert drawn.arm.var() == pytest.approx(conditions.sd**2 / 4 + grid, rel=0.08)
        assert abs(drawn.baseline.mean()) < 0.02 * conditions.sd
        assert (drawn.arm_failed.mean(), drawn.baseline_failed.mean()) == pytest.approx(conditions.failures, abs=0.003)
        seen = np.corrcoef(drawn.arm.ravel(), drawn.baseline.ravel())[0, 1]
        assert seen == pytest.approx(conditions.correlation or 0.0, abs=0.09)
        if conditions.rows is not None:
            items = drawn.arm * conditions.rows / 100
            assert np.abs(items - np.rint(items)).max() < 1e-9


def test_contaminated_scores_have_the_tails_of_their_mixture() -> None:
    x = simulated(1.0, (50, 50), Conditions(None, "contaminated", sd=1.0), 10_000).arm.ravel() * math.sqrt(
        0.95 + 0.05 * 25
    )
    for far in (1, 2, 4, 8):
        truth = 2 * (0.95 * stats.norm.sf(far) + 0.05 * stats.norm.sf(far / 5))
        assert np.mean(np.abs(x) > far) == pytest.approx(truth, rel=0.02)


def test_a_smaller_study_is_the_beginning_of_a_larger_one_and_no_global_stream_is_touched() -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global stream must stay untouched
    for conditions in CONDITIONS.values():
        short, long = (simulated(1.0, (n, n), conditions, 50) for n in (8, 13))
        assert all(np.array_equal(a, b[:, :8]) for a, b in zip(short, long, strict=True))
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("conditions", [CONDITIONS[k] for k in ("pairs", "independent", "failures in pairs")])
def test_what_is_reached_has_the_power_asked_for(conditions: Conditions) -> None:
    looks = one_look(16, 0.02)
    found, level = spread_reach(looks, conditions, 0.7), level_reach(looks, conditions, 0.7)
    assert found.below < 1 < found.above
    for ratio, nearer in ((found.below, found.below * 1.01), (found.above, found.above / 1.01)):
        assert spread_power(ratio, looks, conditions) >= 0.7 > spread_power(nearer, looks, conditions)
    assert level_power(level, looks, conditions) >= 0.7 > level_power(level / 1.01, looks, conditions)


def test_scores_so_coarse_that_nothing_is_left_to_test() -> None:
    """An SD of one point on 138 rows: an arm that scatters a third as much has one or two scores."""
    coarse = Conditions(0.0, sd=1.0, rows=138)
    assert (
        spread_power(0.33, one_look(20, 0.05), coarse)
        < 0.1
        < 0.9
        < spread_power(0.33, one_look(20, 0.05), Conditions())
    )
    found = spread_reach(one_look(20, 0.05), coarse)
    assert found.below is None
    assert found.above == pytest.approx(spread_reach(one_look(20, 0.05), Conditions()).above, rel=0.08)


def test_pairs_help_level_and_spread_as_they_correlate_and_tails_and_failures_cost() -> None:
    looks = one_look(20, 0.05)
    powers = [spread_power(0.6, looks, Conditions(rho)) for rho in (0.0, 0.5, 0.9)]
    assert powers == sorted(powers)
    assert powers[-1] > 0.95
    levels = [level_power(1.0, looks, Conditions(rho)) for rho in (-0.5, 0.0, 0.5, 0.9)]
    assert levels == sorted(levels)
    plain = spread_power(0.5, looks, Conditions())
    for worse in (Conditions(shape="t3"), Conditions(shape="contaminated"), Conditions(failures=(0.2, 0.2))):
        assert spread_power(0.5, looks, worse) < plain - 0.1


def test_looks_cost_power_at_the_same_error_and_early_ones_are_counted() -> None:
    once = spread_power(0.5, one_look(20, 0.05), Conditions())
    twice = spread_power(0.5, (Look(10, 10, 0.0294), Look(20, 20, 0.0294)), Conditions())
    last = spread_power(0.5, one_look(20, 0.0294), Conditions())
    assert last < twice < once


@pytest.mark.parametrize("n", [2, 6])
def test_too_few_runs_show_nothing_of_spread(n: int) -> None:
    assert spread_power(50.0, one_look(n, 0.05), Conditions(0.99)) == 0
    assert spread_reach(one_look(n, 0.05), Conditions()) == (None, None)


def test_level_needs_four_runs_and_an_arm_that_does_not_always_fail() -> None:
    assert level_power(90.0, one_look(3, 0.05), Conditions()) == 0
    assert level_power(90.0, one_look(4, 0.05), Conditions()) > 0.9
    assert level_power(5.0, one_look(20, 0.05), Conditions(failures=(1.0, 0.0))) == 0
    assert level_reach(one_look(3, 0.05), Conditions()) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: spread_power(0.0, one_look(20, 0.05), Conditions()), r"ratio = 0.0: must be a number above 0"),
        (lambda: spread_power(0.5, one_look(2000, 0.05), Conditions()), r"n = 2000: must lie between 1 and 1000"),
        (lambda: spread_power(0.5, one_look(20, 5), Conditions()), r"level = 5: must lie between 0 and 1"),
        (lambda: level_power(math.nan, one_look(20, 0.05), Conditions()), r"points = nan"),
        (lambda: Conditions(1.0), r"correlation = 1: must lie between -1 and 1"),
        (lambda: Conditions(shape="uniform"), r'shape = "uniform": must be normal, t3, contaminated, or the scores'),
        (lambda: Conditions(shape=(0.5, 0.5)), r"pilot: 2 scores without spread"),
        (lambda: Conditions(sd=0.0), r"sd = 0: must lie above 0"),
        (lambda: Conditions(rows=1), r"rows = 1: must be at least 2"),
        (lambda: Conditions(failures=(0.1, 2.0)), r"failures = 2: must be a rate"),
        (lambda: Conditions(drop=-1.0), r"drop = -1: must lie between 0 and 100"),
    ],
)
def test_impossible_questions_get_one_sentence(call, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call()
