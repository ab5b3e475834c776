"""What is said to readers without statistics: true to the tests, with the number of seeds that would tell more."""

from __future__ import annotations

import io
import math
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from stabilitybench.comparison import Comparison, compare, print_comparison
from stabilitybench.comparison.detectable import (
    detectable_difference,
    detectable_rate,
    detectable_ratio,
    seeds_for_failures,
    seeds_for_spread,
)
from support.score_frames import NO_SKILL, study_frames

RNG = np.random.default_rng(21)
WIDE, NARROW, OTHER = (RNG.normal(0.8, sd, 20) for sd in (0.03, 0.006, 0.04))


def compared(**arms: np.ndarray) -> Comparison:
    scores, _ = study_frames({("rte", arm): values for arm, values in arms.items()}, evaluations=1)
    return compare(scores, next(iter(arms)))


def told(comparison: Comparison, arm: str) -> str:
    cell = next(c for c in comparison.cells if c.arm == arm)
    return cell.conclusion


def failing(count: int, n: int = 20) -> np.ndarray:
    return np.where(np.arange(n) < count, NO_SKILL, np.resize(WIDE, n))


def test_a_claim_is_told_with_its_numbers() -> None:
    text = told(compared(plain=WIDE, reinit=NARROW + 0.03), "reinit")
    assert re.fullmatch(
        r"No run failed\. Runs lie closer together: 0\.1\d times as far from their median on average\. "
        r"Scores are higher by 2\.\d points on average\.",
        text,
    )
    assert "Runs lie farther apart: " in told(compared(plain=NARROW, worse=WIDE), "worse")
    fixed = told(compared(plain=failing(20), fixed=failing(0)), "fixed")
    assert fixed.startswith(
        "Fails less often: 0 of 20 against 20 of 20. How far the runs that did not fail scatter cannot"
    )
    worse = told(compared(plain=failing(1), worse=failing(16)), "worse")
    assert worse.startswith("Fails more often: 16 of 20 against 1 of 20. ")


def test_what_could_have_been_seen_stands_where_nothing_is_shown() -> None:
    comparison = compared(plain=WIDE, other=OTHER)
    against = comparison.cells[1].against
    assert against is not None
    found = detectable_ratio(20, 20, 1, against.correlation)
    assert found is not None
    assert (
        f"they would have shown a ratio ≤ {found.below:.2f} or ≥ {found.above:.2f}, and a factor of 1.5 takes about "
        in told(comparison, "other")
    )
    seen = 100 * (against.detectable_difference or 0.0)
    assert f"not told apart; a difference of {seen:.1f} points would have been" in told(comparison, "other")
    text = told(compared(plain=failing(5), other=np.r_[failing(2)[10:], failing(2)[:10]]), "other")
    rate = detectable_rate(20, 20, 0.25, 1, paired=True)
    assert rate is not None
    assert rate.above is not None
    assert (
        f"failures apart, 2 of 20 against 5 of 20; they would have shown a rate ≥ {math.ceil(100 * rate.above)} %"
        in text
    )


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.floats(0.4, 1.6), st.floats(-0.05, 0.05), st.integers(0, 5))
def test_nothing_follows_from_the_effect_seen_but_the_effect(ratio: float, shift: float, failed: int) -> None:
    # observed power would give other numbers of seeds for other effects seen
    arm = np.where(np.arange(20) < failed, NO_SKILL, 0.8 + shift + ratio * (OTHER - OTHER.mean()))
    comparison = compared(plain=WIDE, other=arm)
    text, against = told(comparison, "other"), comparison.cells[1].against
    assert against is not None
    needed = re.findall(r"a factor of 1.5 takes about ([\d,]+) per arm", text)
    correlation = against.correlation if against.spread.paired else None
    assert needed in ([], [f"{seeds_for_spread(1.5, 1, correlation)}"])
    needed = re.findall(r"10 % against 40 % take about ([\d,]+) per arm", text)
    assert needed in ([], [f"{seeds_for_failures(0.1, 0.4, 1, paired=True)}"])
    assert "power" not in text
    assert "would need" not in text


def test_unequal_numbers_of_runs_and_too_few_are_named() -> None:
    text = told(compared(plain=WIDE, other=OTHER[:12]), "other")
    assert "12 and 20 seeds do not tell the spreads apart" in text
    text = told(compared(plain=np.array([0.7, 0.71, 0.72]), other=np.array([0.81, 0.8, 0.83])), "other")
    assert text == (
        "No run failed. How far runs scatter cannot be told: 3 and 3 are too few. Scores are higher by 10.3 points on "
        "average (3 of 3 above all 3 of the baseline, by chance in 1 of 20)."
    )
    assert told(compared(plain=WIDE, other=WIDE), "plain") == ""
    assert told(compared(plain=WIDE, other=WIDE), "other") == "Both arms are the same runs: nothing changed."
    assert told(compared(plain=np.full(3, np.nan), other=WIDE[:3]), "other").startswith("Nothing can be told: 3 runs")


def test_every_shape_has_a_sentence() -> None:
    flat = np.full(20, 0.8)
    for plain in (flat, WIDE, failing(20), failing(3)):
        for other in (flat, flat - 0.1, WIDE, failing(20), failing(3), failing(18)):
            text = told(compared(plain=plain, other=other), "other")
            assert re.fullmatch(r"([A-Z0-9]([^.]|\.\d)*\. ?)+", text), text
            assert not re.search(r"\b(nan|inf|None)\b", text), text


def test_detectable_effects_stand_beside_the_tests_and_only_there() -> None:
    comparison = compared(plain=failing(3), other=OTHER, few=OTHER[:2])
    frame = comparison.to_frame().set_index("arm")
    # two arms have a test of failures; one of them has too few runs for a test of spread
    against = next(c.against for c in comparison.cells if c.arm == "other")
    found, rate = detectable_ratio(17, 17, 1, against.correlation), detectable_rate(20, 20, 0.15, 2, paired=True)
    level = against.level
    assert frame.loc["other", "detectable_difference"] == detectable_difference(level.se, level.df, level.tests)
    assert frame.loc["other", "detectable_ratio_above"] == found.above
    assert frame.loc["other", "detectable_ratio_below"] == found.below
    assert frame.loc["other", "detectable_rate_above"] == rate.above
    assert math.isnan(frame.loc["few", "deviation_p"])
    assert math.isnan(frame.loc["few", "detectable_ratio_above"])
    nothing = frame.loc["plain", ["detectable_ratio_above", "detectable_rate_above", "detectable_difference"]]
    assert nothing.isna().all()


def test_the_terminal_shows_what_could_have_been_seen() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    print_comparison(compared(plain=WIDE, other=OTHER), console)
    text = console.export_text()
    assert re.search(r"would have shown ratios ≤ 0\.4\d or ≥ 2\.\d+\n", re.sub(" +\n", "\n", text))
    assert re.search(r"would have shown differences ≥ \d\.\d points", text)
