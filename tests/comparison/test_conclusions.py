"""What is said to readers without statistics: true to the tests, with the number of seeds that would tell more."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from stabilitybench.comparison import Comparison, compare, print_comparison
from stabilitybench.comparison.detectable import (
    detectable_rate,
    detectable_ratio,
    seeds_for_failure_rates,
    seeds_for_sd_ratio,
)
from stabilitybench.statistics.failure_power import fisher_power, minimal_detectable_rate, seeds_for_rates
from stabilitybench.statistics.power import brown_forsythe_power, minimal_detectable_ratio, seeds_for_ratio
from support.score_frames import NO_SKILL, study_frames

RNG = np.random.default_rng(21)
WIDE, NARROW = RNG.normal(0.8, 0.03, 20), RNG.normal(0.82, 0.006, 20)
MIDDLE = 0.8 + (WIDE - WIDE.mean()) * 0.8


def compared(**arms: np.ndarray) -> Comparison:
    scores, _ = study_frames({("rte", arm): values for arm, values in arms.items()}, evaluations=1)
    return compare(scores, next(iter(arms)))


def told(comparison: Comparison, arm: str) -> str:
    cell = next(c for c in comparison.cells if c.arm == arm)
    return cell.conclusion


def failing(count: int, n: int = 20) -> np.ndarray:
    return np.where(np.arange(n) < count, NO_SKILL, np.resize(WIDE, n))


def test_a_claim_is_told_with_its_numbers() -> None:
    assert told(compared(plain=WIDE, reinit=NARROW), "reinit") == "spreads less: SD 0.4 against 3.7 points"
    assert told(compared(plain=NARROW, worse=WIDE), "worse").startswith("spreads more: SD ")
    assert told(compared(plain=failing(20), fixed=failing(0)), "fixed") == "fails less often: 0 of 20 against 20 of 20"
    assert told(compared(plain=failing(1), worse=failing(16)), "worse") == "fails more often: 16 of 20 against 1 of 20"


def test_seeds_needed_are_those_of_the_size_seen() -> None:
    text = told(compared(plain=WIDE, other=MIDDLE), "other")
    match = re.fullmatch(
        r"20 seeds cannot tell: an SD ratio of the size seen, 0\.80, would need about (\d+) per arm", text
    )
    assert match, text
    assert int(match[1]) == pytest.approx(seeds_for_ratio(0.8), rel=0.05)
    text = told(compared(plain=failing(5), other=failing(2)), "other")
    match = re.fullmatch(
        r"20 seeds cannot tell: failure rates of the size seen, 10 % and 25 %, would need about (\d+) per arm", text
    )
    assert match, text
    assert int(match[1]) == pytest.approx(seeds_for_rates(0.1, 0.25), rel=0.1)


def test_more_arms_need_more_seeds_for_the_same_effect() -> None:
    alone = told(compared(plain=WIDE, other=MIDDLE), "other")
    among = told(compared(plain=WIDE, other=MIDDLE, **{f"arm{i}": WIDE[::-1] for i in range(9)}), "other")
    one, ten = (int(re.search(r"about (\d+)", text)[1]) for text in (alone, among))  # type: ignore[index]
    assert 1.4 < ten / one < 3


def test_what_no_number_of_seeds_shows_is_said() -> None:
    nearly = 0.8 + (WIDE - WIDE.mean()) * 0.999
    assert told(compared(plain=WIDE, other=nearly), "other") == (
        "20 seeds cannot tell: an SD ratio of the size seen, 1.00, would need more than 10,000 per arm"
    )
    assert told(compared(plain=failing(3), other=failing(3)), "other").startswith(
        "fails as often as the baseline, 3 of 20 against 3 of 20; 20 seeds would show a rate ≥ "
    )
    assert told(compared(plain=failing(20), other=failing(20)), "other").startswith("every run failed, 20 of 20")


def test_unequal_numbers_of_runs_and_too_few_are_named() -> None:
    assert told(compared(plain=WIDE, other=MIDDLE[:12]), "other").startswith("12 and 20 seeds cannot tell")
    assert told(compared(plain=WIDE, other=MIDDLE[:2]), "other") == (
        "too few runs to tell: 2 here and 20 in the baseline; each needs 3"
    )
    assert told(compared(plain=WIDE, other=WIDE), "plain") == ""


def test_a_large_effect_that_was_missed_is_not_promised_to_fewer_seeds() -> None:
    # one score far out makes the SDs differ and the test, rightly, unsure
    outlying = np.where(np.arange(20) == 0, 0.99, NARROW)
    text = told(compared(plain=NARROW, other=outlying), "other")
    assert text.endswith("per arm and did not here"), text


def test_constant_arms_have_no_ratio_and_still_a_sentence() -> None:
    flat = np.full(20, 0.8)
    assert told(compared(plain=flat, other=flat), "other") == "spread cannot be compared: both arms are constant"
    assert told(compared(plain=flat, other=WIDE), "other").startswith("every run of the baseline scores 80.0: see")
    assert told(compared(plain=WIDE, other=flat), "other").startswith("every run of this arm scores 80.0: see")


def test_nothing_is_said_of_observed_power() -> None:
    for arms in ((WIDE, MIDDLE), (failing(5), failing(2)), (failing(3), failing(3)), (WIDE, NARROW)):
        text = told(compared(plain=arms[0], other=arms[1]), "other")
        assert "power" not in text
        assert "cannot tell" not in text or "of the size seen" in text


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 40))
def test_a_detectable_rate_is_what_the_exact_power_says(failed: int, tests: int, n: int) -> None:
    level = 0.05 / (tests + 1)
    found = detectable_rate(n, 20, failed, tests + 1)
    assert found == minimal_detectable_rate(n, 20, failed / 20, level)
    if found is not None and found.above is not None:
        assert fisher_power(found.above, failed / 20, n, 20, level) >= 0.8


def test_detectable_effects_stand_beside_the_tests_and_only_there() -> None:
    few = MIDDLE[:2]
    frame = compared(plain=WIDE, other=MIDDLE, few=few).to_frame().set_index("arm")
    # two arms have a Fisher test; one of them has too few runs for a test of spread
    found, rate = minimal_detectable_ratio(20, 20, 0.05), minimal_detectable_rate(20, 20, 0.0, 0.025)
    assert frame.loc["other", "detectable_ratio_above"] == found.above
    assert frame.loc["other", "detectable_ratio_below"] == found.below
    assert frame.loc["other", "detectable_rate_above"] == rate.above
    assert math.isnan(frame.loc["few", "brown_forsythe_p"])
    assert math.isnan(frame.loc["few", "detectable_ratio_above"])
    assert frame.loc["plain", ["detectable_ratio_above", "detectable_rate_above"]].isna().all()


def test_detectable_ratios_need_more_in_a_larger_family() -> None:
    one, many = detectable_ratio(20, 20, 1), detectable_ratio(20, 20, 50)
    assert one is not None
    assert many is not None
    assert many.above > one.above > 2  # type: ignore[operator]
    assert detectable_ratio(20_000, 20, 1) is None
    assert detectable_rate(2_000, 20, 0, 1) is None


@pytest.mark.parametrize(("ratio", "level"), [(0.75, 0.05), (2.0, 0.05), (0.5, 0.01), (5.0, 0.05), (1.2, 0.005)])
def test_the_quick_number_of_seeds_has_the_power_asked_for(ratio: float, level: float) -> None:
    n = seeds_for_sd_ratio(ratio, level)
    assert n is not None
    assert brown_forsythe_power(ratio, n, n, level) == pytest.approx(0.8, abs=0.03 if n > 15 else 0.1)
    assert seeds_for_sd_ratio(1 / ratio, level) == n


@pytest.mark.parametrize(
    ("one", "two", "error"), [(0.5, 0.05, 0), (0.0, 0.3, 0), (1.0, 0.5, 0), (0.1, 0.25, 0.1), (0.6, 0.75, 0.05)]
)
def test_the_closed_form_takes_over_where_it_agrees_with_the_enumeration(one: float, two: float, error: float) -> None:
    assert seeds_for_failure_rates(one, two, 0.05) == pytest.approx(seeds_for_rates(one, two), rel=error)


def test_the_terminal_shows_conclusion_and_detectable_effect() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    print_comparison(compared(plain=WIDE, other=MIDDLE), console)
    text = console.export_text()
    assert "20 seeds cannot tell: an SD ratio of the size seen, 0.80, would need about" in text
    assert re.search(r"\(detectable: SD ratio ≤ 0\.4\d or ≥ 2\.\d+\)", text)
    assert "an effect of exactly the size seen" in " ".join(text.split())
