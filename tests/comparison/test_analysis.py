"""Arms against the baseline, in numbers and in words."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from stabilitybench.comparison import Comparison, compare, print_comparison
from stabilitybench.errors import UserError
from stabilitybench.statistics import deviation_ratio, paired_deviation_ratio, sd_ratio
from support.score_frames import NO_SKILL, quickstart, study_frames

RNG = np.random.default_rng(21)
WIDE, NARROW, OTHER = RNG.normal(0.8, 0.03, 20), RNG.normal(0.82, 0.006, 20), RNG.normal(0.8, 0.03, 20)
HALF_FAILED = np.where(np.arange(20) < 12, NO_SKILL, WIDE)


def comparison_of(**arms: np.ndarray) -> Comparison:
    scores, _ = study_frames({("rte", arm): values for arm, values in arms.items()})
    return compare(scores, next(iter(arms)))


def said(comparison: Comparison, arm: str) -> str:
    cell = next(c for c in comparison.cells if c.arm == arm)
    assert cell.verdict is not None
    return cell.verdict.text


def test_numbers_are_those_of_the_scores() -> None:
    row = comparison_of(plain=WIDE, reinit=NARROW).to_frame().set_index("arm").loc["reinit"]
    expected = sd_ratio(NARROW, WIDE)
    assert row["mean"] == pytest.approx(NARROW.mean())
    assert row["sd"] == pytest.approx(NARROW.std(ddof=1))
    assert row["median"] == pytest.approx(np.median(NARROW))
    assert (row["min"], row["max"]) == (NARROW.min(), NARROW.max())
    assert (row["sd_ratio"], row["sd_ratio_low"], row["sd_ratio_high"]) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )
    assert row["brown_forsythe_p"] == pytest.approx(stats.levene(NARROW, WIDE, center="median").pvalue)
    spread = paired_deviation_ratio(NARROW, WIDE)
    names = [f"deviation_{key}" for key in ("ratio", "ratio_low", "ratio_high", "p", "holm")]
    assert row[names].tolist() == [spread.estimate, spread.low, spread.high, spread.p, spread.p]
    level = stats.ttest_rel(NARROW, WIDE)
    limits = level.confidence_interval(0.95)
    assert row["level_difference"] == pytest.approx((NARROW - WIDE).mean())
    assert (row["level_low"], row["level_high"]) == pytest.approx((limits.low, limits.high))
    assert (row["level_p"], row["level_holm"]) == pytest.approx((level.pvalue, level.pvalue))
    assert (row["pairing"], row["pairs"], row["dropped"]) == ("paired", 20, 0)
    assert row["correlation"] == pytest.approx(np.corrcoef(NARROW, WIDE)[0, 1])
    assert (row["n"], row["planned"], row["failed"]) == (20, 20, 0)


def test_direction_is_stated() -> None:
    narrow = said(comparison_of(plain=WIDE, reinit=NARROW + 0.02), "reinit")
    assert narrow.startswith("no run failed; closer together: 0.")
    assert re.search(r"; higher by 3\.\d points \[\d\.\d, \d\.\d\], p = ", narrow)
    wide = said(comparison_of(plain=NARROW + 0.02, reinit=WIDE), "reinit")
    assert wide.startswith("no run failed; farther apart: ")
    assert "; lower by 3." in wide
    assert "; no difference in spread shown: " in said(comparison_of(plain=WIDE, other=OTHER), "other")
    assert said(comparison_of(plain=HALF_FAILED, other=OTHER), "other").startswith(
        "fails less often (0 of 20 against 12 of 20, p = "
    )
    assert said(comparison_of(plain=OTHER, other=HALF_FAILED), "other").startswith("fails more often (12 of 20 against")


def test_a_difference_must_outlive_the_adjustment() -> None:
    rng = np.random.default_rng(4)
    arms = {f"arm{i}": rng.normal(0.8, 0.03, 20) for i in range(8)}
    narrow = rng.permutation(0.8 + (WIDE - WIDE.mean()) * 0.58)
    alone, among = comparison_of(plain=WIDE, narrow=narrow), comparison_of(plain=WIDE, narrow=narrow, **arms)
    row = among.to_frame().set_index("arm").loc["narrow"]
    assert row["deviation_p"] < 0.05 < row["deviation_holm"]
    assert "; closer together: 0." in said(alone, "narrow")
    assert re.search(
        r"; no difference in spread shown: 0\.\d+ \[0\.\d+, 0\.\d+\], alone p = 0\.0\d+, not after Holm over 9;",
        said(among, "narrow"),
    )


def test_fisher_counts_each_arm_out_of_its_own_runs() -> None:
    few = np.full(6, 0.8)
    few[:4] = NO_SKILL
    row = comparison_of(plain=WIDE, other=few).to_frame().set_index("arm").loc["other"]
    assert row["fisher_p"] == pytest.approx(stats.fisher_exact([[4, 2], [0, 20]]).pvalue)


def test_failed_runs_withhold_the_interval() -> None:
    comparison = comparison_of(plain=WIDE, other=HALF_FAILED)
    row = comparison.to_frame().set_index("arm").loc["other"]
    assert math.isnan(row["sd_ratio_low"])
    assert row["sd_ratio_note"] == "withheld: failed runs (12/20 here, 0/20 in the baseline)"
    # 8 runs that did not fail are too few for an SD to be set beside the baseline's, and enough for the test
    assert math.isnan(row["sd_ratio_not_failed"])
    expected = deviation_ratio(WIDE[12:], WIDE)
    assert row["deviation_p"] == expected.p
    assert math.isfinite(row["deviation_ratio_all"])
    assert "among the 8 and 20 that did not fail, no difference in spread shown" in said(comparison, "other")
    assert "taken as independent: too few pairs without a failed run" in said(comparison, "other")


def test_two_parts_when_enough_runs_did_not_fail() -> None:
    few_failed = np.where(np.arange(20) < 3, NO_SKILL, NARROW)
    comparison = comparison_of(plain=WIDE, other=few_failed)
    row = comparison.to_frame().set_index("arm").loc["other"]
    kept = NARROW[3:]
    assert row["n_not_failed"] == 17
    assert row["sd_not_failed"] == pytest.approx(kept.std(ddof=1))
    assert row["sd_ratio_not_failed"] == pytest.approx(kept.std(ddof=1) / WIDE.std(ddof=1))
    paired = paired_deviation_ratio(kept, WIDE[3:])
    assert (row["deviation_ratio"], row["deviation_n"]) == (paired.estimate, 17)
    assert "among the 17 pairs without a failed run, closer together: 0." in said(comparison, "other")
    assert "stable" not in said(comparison, "other")


def test_families_are_separate_and_hold_every_test_of_the_comparison() -> None:
    scores, _ = quickstart()
    frame = compare(scores, "bert-adam").to_frame()
    tested = frame[~frame["baseline"]]
    assert len(tested) == 6
    for raw, adjusted in (("failure_p", "failure_holm"), ("level_p", "level_holm")):
        smallest = tested.loc[tested[raw].idxmin()]
        assert smallest[adjusted] == pytest.approx(6 * smallest[raw])
    # six runs of the baseline that did not fail are too few for a test of spread, which leaves the family
    assert tested[["deviation_p", "deviation_holm"]].isna().all(axis=None)
    assert tested["deviation_note"].eq("no interval: the baseline has 6 of the 7 runs needed").all()


def test_unfinished_runs_enter_no_statistic() -> None:
    values = WIDE.copy()
    values[[0, 5]] = np.nan
    row = comparison_of(plain=NARROW, other=values).to_frame().set_index("arm").loc["other"]
    assert (row["n"], row["planned"], row["failed"]) == (18, 20, 0)
    assert row["mean"] == pytest.approx(np.nanmean(values))


def test_arms_without_enough_runs_are_not_compared() -> None:
    nothing = np.full(20, np.nan)
    assert said(comparison_of(plain=WIDE, other=WIDE[:1]), "other") == (
        "no run failed; spread not tested: 1 run of this arm, 7 needed; level not tested: "
        "1 and 20 runs, 4 needed (higher by 0.5 points)"
    )
    assert said(comparison_of(plain=nothing, other=WIDE), "other") == "not compared: the baseline has no finished run"
    row = comparison_of(plain=WIDE, other=nothing).to_frame().set_index("arm").loc["other"]
    assert math.isnan(row["mean"])
    assert math.isnan(row["failure_rate"])


def test_constant_arms_are_told_apart_from_failures() -> None:
    flat = np.full(20, 0.8)
    assert said(comparison_of(plain=flat, other=flat), "other") == "identical runs: all 20 pairs have equal scores"
    assert said(comparison_of(plain=flat, other=flat - 0.1), "other") == (
        "no run failed; spread not compared: all runs equal in either arm; "
        "level not tested: every pair differs by the same (lower by 10.0 points)"
    )
    assert "; spread not compared: all runs of this arm equal;" in said(comparison_of(plain=WIDE, other=flat), "other")
    assert "; spread not compared: all runs of the baseline equal;" in said(
        comparison_of(plain=flat, other=WIDE), "other"
    )
    lost = np.full(20, NO_SKILL)
    assert said(comparison_of(plain=lost, other=lost - 0.1), "other").startswith("all 40 runs at or below no skill; ")


def test_what_varied_is_read_from_the_seeds() -> None:
    scores, _ = quickstart()
    comparison = compare(scores, "bert-adam")
    assert (comparison.varied, comparison.fixed) == ("init, order, dropout and prepare", "subset")
    assert comparison.notes == ()
    scores["seed_order"] = scores["seed"] % 4
    crossed = compare(scores, "bert-adam")
    assert "crossed design" in crossed.notes[0]


def test_results_are_taken_as_they_are() -> None:
    class Results:
        def to_frame(self) -> pd.DataFrame:
            return quickstart(5)[0]

    assert compare(Results(), "bert-adam") == compare(quickstart(5)[0], "bert-adam")


def test_compare_is_deterministic_and_leaves_its_input_alone() -> None:
    scores, _ = quickstart()
    before = scores.copy(deep=True)
    assert compare(scores, "bert-adam") == compare(scores, "bert-adam")
    assert scores.equals(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.drop(columns="score"), "column 'score' is missing"),
        (lambda s: s.iloc[:0], "no rows"),
        (lambda s: s.assign(status="done"), "status 'done': must be one of ok, failed"),
        (lambda s: s.assign(run_id="same"), "occurs more than once"),
        (lambda s: s.assign(score=np.nan), "is finished and has no score"),
        (lambda s: s.assign(no_skill=np.arange(len(s)) / 1000), 'task "pocket/acceptability"'),
    ],
)
def test_frames_that_break_the_contract_are_named(change: object, message: str) -> None:
    scores, _ = quickstart()
    with pytest.raises(UserError, match=message):
        compare(change(scores), "bert-adam")  # type: ignore[operator]


def test_two_arms_may_share_a_run_as_tuning_can_make_them_the_same() -> None:
    scores, _ = quickstart(5)
    twin = scores[scores["arm"] == "bert-adam"].assign(arm="twin")
    shared = compare(pd.concat([scores, twin], ignore_index=True), "bert-adam")
    ours, theirs = (next(c for c in shared.cells if c.arm == arm) for arm in ("twin", "bert-adam"))
    assert (ours.mean, ours.sd, ours.failure) == (theirs.mean, theirs.sd, theirs.failure)


def test_an_unknown_baseline_is_named_with_the_arms() -> None:
    scores, _ = quickstart()
    with pytest.raises(UserError, match=r'baseline "bert-adm": must be one of .*did you mean "bert-adam"'):
        compare(scores, "bert-adm")
    lacking = scores[(scores["task"] != "pocket/sentiment") | (scores["arm"] != "bert-adam")]
    with pytest.raises(UserError, match='has no runs on task "pocket/sentiment"'):
        compare(lacking, "bert-adam")


def test_terminal_shows_verdicts_and_names_as_plain_text() -> None:
    scores, _ = quickstart()
    scores["arm"] = scores["arm"].replace("debiased", "[red]debiased[/red]")
    console = Console(width=160, record=True, file=io.StringIO())
    print_comparison(compare(scores, "bert-adam"), console)
    text = console.export_text()
    assert "[red]debiased[/red]" in text
    assert "14/20" in text
    assert "fails less often (0 of 20 against 14 of 20, p = 5e-5, Holm 3e-4; collapsed 0 of 20 against 7 of 20" in text
    assert "20 pairs of equal seeds, correlation -0." in text
    assert "higher is better" in text
    assert "Fixed: subset" in text
    assert text.splitlines().count("pocket/acceptability") == 1


def test_numbers_stay_whole_in_a_narrow_terminal() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    print_comparison(comparison_of(plain=WIDE, reinit=NARROW), console)
    line = next(line for line in console.export_text().splitlines() if line.startswith("reinit"))
    assert re.search(r"0/20 +\d\d\.\d ± 0\.\d +no run failed", line)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("failed", "True", "has failed = 'True': must be True or False"),
        ("constant", "yes", "has constant = 'yes': must be True or False"),
        ("failed", None, "is finished and has no flag failed, which other runs of its arm have"),
        ("score", 71.3, "has score = 71.3: must be a fraction between -1 and 1; divide points by 100"),
        ("score", math.inf, "has score = inf: must be a fraction"),
        ("score", "0.7", "has score = '0.7': must be a number, not a text"),
        ("no_skill", 50.0, "has no_skill = 50: must be a fraction"),
        ("arm", None, "arm None: must be a text that names the arm"),
        ("arm", 3, "arm 3: must be a text"),
        ("task", math.nan, "task nan: must be a text"),
        ("status", None, "status None: must be one of ok, failed"),
    ],
)
def test_cells_that_are_no_flags_numbers_or_names_are_named(column: str, value: object, sentence: str) -> None:
    scores, _ = study_frames({("rte", "plain"): WIDE, ("rte", "other"): OTHER})
    scores[column] = scores[column].astype(object)
    scores.loc[3, column] = value
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        compare(scores, "plain")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("thing", [None, 3, "scores.csv", [0.7, 0.8]])
def test_what_is_no_table_is_refused(thing: object) -> None:
    with pytest.raises(UserError, match="must be the results of a study or a table of its runs"):
        compare(thing, "plain")  # type: ignore[arg-type]


def test_unknown_failures_are_shown_as_unknown_and_leave_the_family() -> None:
    known = np.where(np.arange(20) < 6, NO_SKILL, WIDE)
    scores, _ = study_frames(
        {(t, arm): values for t in ("a", "b") for arm, values in (("plain", OTHER), ("other", known))}
    )
    both = compare(scores, "plain").to_frame().set_index(["task", "arm"])
    assert both.loc[("a", "other"), "failure_holm"] == pytest.approx(2 * both.loc[("a", "other"), "failure_p"])
    scores["failed"] = scores["failed"].astype(object).mask(scores["task"] == "b", None)
    comparison = compare(scores, "plain")
    one = comparison.to_frame().set_index(["task", "arm"])
    assert one.loc[("a", "other"), "failure_holm"] == one.loc[("a", "other"), "failure_p"]
    wide, narrow = (f.loc[("a", "other"), "detectable_rate_above"] for f in (both, one))
    assert narrow < wide
    assert one.loc[("b", "other"), ["failed", "failure_rate", "failure_p", "failure_difference"]].isna().all()
    console = Console(file=io.StringIO(), width=200)
    print_comparison(comparison, console)
    assert console.file.getvalue().count("?/20") == 2  # type: ignore[attr-defined]


def test_control_characters_do_not_reach_the_terminal() -> None:
    scores, _ = study_frames({("\x1b[31mrte\u202e", "plain"): WIDE, ("\x1b[31mrte\u202e", "\x9b2Jother"): OTHER})
    console = Console(file=io.StringIO(), width=200)
    print_comparison(compare(scores, "plain"), console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert not set("\x1b\u202e\x9b") & set(printed)
    assert "\\x1b[31mrte\\u202e" in printed
