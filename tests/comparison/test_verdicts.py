"""What is said of an arm: three questions, each answered, in words that its interval and its test bear out."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from stabilitybench.comparison import Comparison, compare, compare_files, contrast, print_comparison
from stabilitybench.errors import UserError
from support.score_frames import NO_SKILL, study_frames

RNG = np.random.default_rng(14)
BASE = RNG.normal(0.72, 0.03, 20)


def compared(metric: str = "accuracy", **arms: np.ndarray) -> Comparison:
    scores, _ = study_frames({("rte", arm): values for arm, values in arms.items()}, evaluations=1, metric=metric)
    return compare(scores, next(iter(arms)))


def lines(comparison: Comparison, arm: int = 1) -> list[str]:
    cell = comparison.cells[arm]
    assert cell.verdict is not None
    return [line.text for line in cell.verdict.lines]


def terminal(comparison: Comparison, width: int = 160) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    print_comparison(comparison, console)
    return " ".join(console.export_text().split())


def spread_p(comparison: Comparison) -> float:
    found = comparison.cells[1].against
    assert found is not None
    assert found.spread.p is not None
    return found.spread.p


def csv(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


# -- what the verdict was made for --------------------------------------------------------------------------------


def test_one_failed_run_of_fifty_does_not_silence_spread() -> None:
    wide, tight = RNG.normal(0.70, 0.032, 50), RNG.normal(0.70, 0.009, 50)
    tight[17] = NO_SKILL - 0.1
    said = terminal(compared(plain=wide, tight=tight))
    match = re.search(
        r"among the 49 pairs without a failed run, closer together: (0\.\d+) \[(0\.\d+), (0\.\d+)\], p", said
    )
    assert match, said
    assert float(match[1]) == pytest.approx(0.009 / 0.032, rel=0.3)
    assert "no difference in failures shown (1 of 50 against 0 of 50, p = " in said


def test_the_verdict_says_how_much_lower_scores_are() -> None:
    # re-initialisation on the embedded sentiment task
    base, arm = RNG.normal(0.775, 0.075, 20), RNG.normal(0.579, 0.054, 20).clip(0.505)
    failures, spread, level = lines(compared(debiased=base, reinit=arm))
    assert failures == "no run failed"
    assert spread.startswith(("no difference in spread shown: 0.", "closer together: 0."))
    lower, low, high = map(
        float, re.fullmatch(r"lower by (\d+\.\d) points \[(\d+\.\d), (\d+\.\d)\], p = \d+e-\d+", level).groups()
    )
    assert low < 19.6 < high
    assert lower == pytest.approx(100 * (base.mean() - arm.mean()), abs=0.05)


def test_files_with_shared_seeds_are_compared_in_pairs(tmp_path: Path) -> None:
    shared = RNG.normal(size=20)
    base = 0.7 + 0.03 * shared
    arm = 0.7 + 0.6 * 0.03 * (0.95 * shared + np.sqrt(1 - 0.95**2) * RNG.normal(size=20))
    order = RNG.permutation(20)
    one = csv(tmp_path / "one.csv", seed=range(20), score=base)
    two = csv(tmp_path / "two.csv", seed=order, score=arm[order])
    paired, _ = compare_files([one, two], no_skill=0.5)
    said = terminal(paired)
    assert re.search(r"closer together: 0\.\d+ \[0\.\d+, 0\.[0-9]+\], p = ", said)
    assert re.search(r"20 pairs of equal seeds, correlation 0\.9\d", said)
    apart, _ = compare_files([one, two], no_skill=0.5, unpaired=True)
    assert spread_p(apart) > 100 * spread_p(paired)
    assert "independent runs (unpaired, as asked for)" in terminal(apart)


def test_files_without_shared_seeds_are_compared_by_welch(tmp_path: Path) -> None:
    one = csv(tmp_path / "one.csv", seed=range(10), score=BASE[:10])
    two = csv(tmp_path / "two.csv", seed=range(100, 110), score=BASE[10:])
    comparison, _ = compare_files([one, two])
    assert "independent runs (none of 10 seeds shared)" in terminal(comparison)
    against = comparison.cells[1].against
    assert against is not None
    assert (against.spread.method, against.level.method) == ("Welch t on log deviation ratio", "Welch's t")


def test_unpaired_is_an_option_of_the_command(cli, tmp_path: Path) -> None:
    for name, values in (("one", BASE), ("two", BASE[::-1])):
        csv(tmp_path / f"{name}.csv", seed=range(20), score=values)
    assert "20 pairs of equal seeds" in cli("compare", "one.csv", "two.csv")[1]
    assert "unpaired, as asked for" in cli("compare", "one.csv", "two.csv", "--unpaired")[1]


# -- failures, and their two grades -------------------------------------------------------------------------------


def graded(collapsed: int, arm_failed: int = 4) -> Comparison:
    scores, _ = study_frames({("mrpc", arm): np.full(4, NO_SKILL) for arm in ("plain", "biased")}, metric="f1")
    scores["score"] -= np.arange(8) / 1000
    scores["constant"] = (scores["arm"] == "biased") & (scores["seed"] < collapsed)
    scores["failed"] = (scores["arm"] == "plain") | (scores["seed"] < arm_failed)
    return compare(scores, "plain")


def test_collapsed_runs_are_told_from_weak_ones() -> None:
    assert lines(graded(4))[0] == "all 8 runs at or below no skill; collapsed 4 of 4 against 0 of 4, p = 0.12"
    assert lines(graded(0))[0] == "all 8 runs at or below no skill"
    # failures that collapsed alike are said once
    frame = graded(4).to_frame().set_index("arm")
    assert frame.loc[["plain", "biased"], "collapsed"].tolist() == [0, 4]
    assert frame.loc["biased", ["failure_p", "failure_holm"]].isna().all()


def test_a_diverged_run_has_collapsed() -> None:
    scores, _ = study_frames({("rte", "plain"): BASE, ("rte", "other"): np.where(np.arange(20) < 6, 0.4, BASE)})
    scores["constant"] = False
    scores.loc[(scores["arm"] == "other") & (scores["seed"] == 0), "status"] = "diverged"
    comparison = compare(scores, "plain")
    assert comparison.cells[1].collapsed == 1
    assert (
        lines(comparison)[0]
        == "fails more often (6 of 20 against 0 of 20, p = 0.014; collapsed 1 of 20 against 0 of 20, p = 0.54)"
    )


def test_files_have_one_grade_of_failure_unless_they_say_more(tmp_path: Path) -> None:
    failing = np.where(np.arange(20) < 8, 0.5, BASE)
    one = csv(tmp_path / "one.csv", score=BASE)
    comparison, _ = compare_files([one, csv(tmp_path / "two.csv", score=failing)], no_skill=0.5)
    assert any("there is one grade of failure" in note for note in comparison.notes)
    assert comparison.cells[1].collapsed is None
    for path, values in ((one, BASE), (tmp_path / "two.csv", failing)):
        csv(path, score=values, constant=(values <= 0.5) & (np.arange(20) < 5))
    comparison, _ = compare_files([one, tmp_path / "two.csv"], no_skill=0.5)
    assert not any("one grade of failure" in note for note in comparison.notes)
    assert comparison.cells[1].collapsed == 5
    csv(tmp_path / "two.csv", score=failing, constant=["perhaps"] * 20)
    with pytest.raises(UserError, match='line 2, column "constant": "perhaps": must be true or false'):
        compare_files([one, tmp_path / "two.csv"])


# -- words --------------------------------------------------------------------------------------------------------


def test_no_line_promises_more_than_was_tested() -> None:
    for sd in (0.3, 1.0, 3.0):
        for failed in (0, 1, 12):
            arm = np.where(np.arange(20) < failed, NO_SKILL, 0.7 + sd * (BASE - 0.72))
            assert "stable" not in terminal(compared(plain=BASE, arm=arm))


def test_outliers_are_part_of_the_verdict() -> None:
    base = RNG.normal(0.72, 0.03, 50)
    tight = 0.75 + RNG.normal(0, 0.004, 50)
    tight[3] = 0.62
    spread = lines(compared(plain=base, tight=tight))[1]
    claim = "mostly closer together, with rarer and worse outliers: "
    assert re.fullmatch(claim + r"0\.\d+ \[0\.\d+, 0\.\d+\], p = [\de.-]+; SD ratio \d\.\d+", spread), spread


def test_one_claim_after_holm_and_one_alone() -> None:
    rng = np.random.default_rng(3)
    base, noise = rng.normal(0.7, 0.02, 20), rng.normal(size=20)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    arms = {f"arm{k}": rng.normal(0.7, 0.02, 20) for k in range(5)}
    far = compared(plain=base, far=base + 0.05 + rng.normal(0, 0.01, 20), **arms)
    assert re.fullmatch(r"higher by \d\.\d points \[\d\.\d, \d\.\d\], p = \de-\d+, Holm \de-\d+", lines(far)[2])
    near = compared(plain=base, near=base + 0.015 + 0.0268 * noise, **arms)
    start, end = "no difference in level shown: higher by 1.5 points ", ", not after Holm over 6"
    assert re.fullmatch(re.escape(start) + r"\[0\.\d, \d\.\d\], alone p = 0\.0\d+" + end, lines(near)[2])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what no verdict rests on and takes its time: what could have been seen, and the evidence."""
    for name in ("detectable_rate", "detectable_ratio"):
        monkeypatch.setattr(contrast, name, lambda *args: None)
    runs, none = np.array([0.6, 0.7, 0.8]), np.zeros(3, bool)
    evidence = {
        "median_centred_permutation": (runs, runs, np.random.default_rng(0)),
        "sd_ratio": (runs, runs),
        "two_part": (runs, none, runs, none),
    }
    for name, arguments in evidence.items():
        same = getattr(contrast, name)(*arguments)
        monkeypatch.setattr(contrast, name, lambda *args, same=same: same)


def studies(tasks: int) -> Comparison:
    """Ten arms of any shape on each task, some in pairs with their baseline, as one comparison."""
    rng = np.random.default_rng(99)
    cells = {}
    for k in range(tasks):
        sizes, shared = rng.choice([3, 6, 8, 13, 16], 2), rng.normal(size=16)
        for arm in range(11):
            scale = rng.choice([0.004, 0.01, 0.03])
            noise = [rng.normal(size=16), rng.standard_t(3, 16), -rng.lognormal(size=16)][int(rng.integers(3))]
            values = 0.6 + rng.normal(0, 0.01) + scale * (0.7 * shared + noise)
            values[rng.random(16) < rng.choice([0, 0.1, 0.5])] = NO_SKILL
            values = np.clip(values, 0.0, 1.0).round(int(rng.choice([2, 3, 9])))
            cells[f"task{k}", f"arm{arm}"] = values[: sizes[arm % 2]]
    scores, _ = study_frames(cells, evaluations=1)
    return compare(scores, "arm0")


def assert_words_and_numbers_agree(comparison: Comparison) -> None:
    """No printed interval holds no difference beside a p below 0.05, or leaves it out beside a larger one."""
    seen = {"spread": 0, "level": 0}
    for cell in comparison.cells:
        if cell.against is None or cell.verdict is None:
            continue
        for question, null in (("spread", 1.0), ("level", 0.0)):
            found, line = getattr(cell.against, question), getattr(cell.verdict, question)
            if found.p is None:
                assert "p = " not in line.text
                assert line.tone == "neutral"
                continue
            seen[question] += 1
            assert found.holm is not None
            assert (found.p < 0.05) == (not found.low <= null <= found.high)
            assert ("shown" in line.claim) == (found.holm >= 0.05)
            assert ("alone p = " in line.text) == (found.p < 0.05 <= found.holm)
            if found.holm < 0.05:
                up = found.estimate > null
                assert (
                    ("higher" if up else "lower") if question == "level" else ("apart" if up else "closer")
                ) in line.claim
        failures = cell.against.failures
        if failures.p is not None:
            assert (failures.p < 0.05) == (not failures.low <= 1 <= failures.high)
            assert ("shown" in cell.verdict.failures.claim) == (failures.holm >= 0.05)
    assert min(seen.values()) > 0.2 * len(comparison.cells)


@pytest.mark.usefixtures("quick")
def test_words_and_numbers_agree_in_random_studies() -> None:
    assert_words_and_numbers_agree(studies(15))


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_words_and_numbers_agree_in_ten_thousand_random_studies() -> None:
    assert_words_and_numbers_agree(studies(1_000))


# -- shapes that no one plans -------------------------------------------------------------------------------------

FLAT = np.full(20, 0.8)
SHAPES = {
    "flat": FLAT, "one": BASE[:1], "two": BASE[:2], "six": BASE[:6], "seven": BASE[:7], "other": BASE[::-1],
    "missing": np.where(np.arange(20) < 8, np.nan, BASE), "nothing": np.full(20, np.nan),
    "failed": np.full(20, NO_SKILL - 0.1), "half": np.where(np.arange(20) < 10, NO_SKILL, BASE),
    "coarse": np.where(np.arange(20) < 10, 0.7, 0.8), "nearly": np.r_[FLAT[1:], 0.9], "negative": BASE - 1.5,
}  # fmt: skip


@pytest.mark.parametrize(("base", "metric"), [*zip(SHAPES, ["accuracy", "spearman"] * 7, strict=False)])
def test_every_shape_has_three_answers(base: str, metric: str) -> None:
    arms = {name: values for name, values in SHAPES.items() if name != base}
    comparison = compared(metric, **{base: SHAPES[base], **arms})
    text = terminal(comparison)
    assert not re.search(r"\b(nan|inf|None)\b", text)
    for cell in comparison.cells:
        assert (cell.verdict is None) == cell.is_baseline
        for line in cell.verdict.lines if cell.verdict else ():
            assert line.text
    frame = comparison.to_frame()
    assert len(frame) == len(SHAPES)
    assert frame["verdict"].ne("").sum() == len(SHAPES) - 1


def test_few_runs_are_counted_and_not_tested() -> None:
    high, low = np.array([0.81, 0.82, 0.8]), np.array([0.71, 0.72, 0.73])
    assert lines(compared(low=low, high=high))[2] == (
        "level not tested: 3 of 3 above all 3 of the baseline, by chance in 1 of 20 (higher by 9.0 points)"
    )
    assert lines(compared(high=high[:2], low=low[:2]))[2] == (
        "level not tested: 2 of 2 below all 2 of the baseline, by chance in 1 of 6 (lower by 10.0 points)"
    )
    assert lines(compared(high=high, mixed=np.array([0.7, 0.805, 0.9])))[2].startswith(
        "level not tested: 3 and 3 runs, 4"
    )


def test_identical_runs_are_one_line() -> None:
    assert lines(compared(plain=BASE, same=BASE)) == ["identical runs: all 20 pairs have equal scores"]


def test_seeds_that_are_words_pair_and_those_that_come_twice_are_refused(tmp_path: Path) -> None:
    names = [f"run-{k}" for k in range(20)]
    one, two = (csv(tmp_path / f"{n}.csv", seed=s, score=BASE) for n, s in (("one", names), ("two", names[::-1])))
    comparison, _ = compare_files([one, two])
    assert comparison.cells[1].against is not None
    assert comparison.cells[1].against.pairing.reason == "20 pairs of equal seeds"
    assert comparison.cells[1].against.correlation == pytest.approx(np.corrcoef(BASE, BASE[::-1])[0, 1])
    csv(tmp_path / "two.csv", seed=[*names[:19], names[0]], score=BASE)
    with pytest.raises(UserError, match="are the same run"):
        compare_files([one, tmp_path / "two.csv"])
    # an empty cell is a run without a seed
    csv(tmp_path / "two.csv", seed=[*names[:19], ""], score=BASE)
    comparison, _ = compare_files([one, tmp_path / "two.csv"])
    assert comparison.cells[1].against is not None
    assert comparison.cells[1].against.pairing.reason == "independent runs (1 of 40 seeds missing)"


def test_other_training_rows_make_no_pairs() -> None:
    scores, _ = study_frames({("rte", "plain"): BASE, ("rte", "more"): BASE[::-1]})
    scores.loc[scores["arm"] == "more", "n_train"] = 2000
    against = compare(scores, "plain").cells[1].against
    assert against is not None
    assert against.pairing.reason == "independent runs (none of 20 seeds shared)"


def test_missing_runs_drop_their_pairs_and_are_counted() -> None:
    gone = BASE[::-1].copy()
    gone[[2, 11]] = np.nan
    comparison = compared(plain=BASE, gone=gone)
    assert "18 pairs of equal seeds, 2 runs without a partner left out" in terminal(comparison)
    assert comparison.to_frame().set_index("arm").loc["gone", ["pairs", "dropped"]].tolist() == [18, 2]


def test_a_report_and_a_file_made_elsewhere_pair_by_their_seeds(tmp_path: Path) -> None:
    scores, _ = study_frames({("rte", "plain"): BASE})
    (tmp_path / "study").mkdir()
    scores.to_csv(tmp_path / "study" / "scores.csv", index=False)
    theirs = csv(tmp_path / "theirs.csv", task="rte", arm="plain", metric="accuracy", seed=range(20), score=BASE[::-1])
    apart = csv(tmp_path / "apart.csv", task="rte", arm="plain", metric="accuracy", score=BASE[::-1])
    for other, reason in ((theirs, "20 pairs of equal seeds"), (apart, "independent runs (no seeds known)")):
        comparison, _ = compare_files([tmp_path / "study", other])
        assert comparison.cells[1].against is not None
        assert comparison.cells[1].against.pairing.reason == reason
    # what a comparison writes can be compared again
    compare_files([theirs, tmp_path / "study"], out=tmp_path / "made")
    kept = pd.read_csv(tmp_path / "made" / "scores.csv").query("arm == 'theirs'").assign(arm="plain")
    again, _ = compare_files([csv(tmp_path / "kept.csv", **kept), tmp_path / "study"])
    assert again.cells[1].against is not None
    assert again.cells[1].against.pairing.reason == "20 pairs of equal seeds"


# -- what attacks had found -----------------------------------------------------------------------------------------


def one_against(first: dict[str, Any], second: dict[str, Any]) -> Comparison:
    """Compare two arms of which scores, failed runs and missing runs are given."""
    frame, _ = study_frames({("task", "base"): first["scores"], ("task", "x"): second["scores"]}, evaluations=1)
    for arm, given in (("base", first), ("x", second)):
        rows = frame["arm"] == arm
        failed = np.asarray(given.get("failed", np.zeros(len(given["scores"]), bool)))
        frame.loc[rows, "failed"] = failed
        frame.loc[rows, "status"] = np.where(
            given.get("gone", np.zeros_like(failed)), "crashed", np.where(failed, "failed", "ok")
        )
    frame.loc[frame["status"] == "crashed", ["score", "failed"]] = [np.nan, False]
    return compare(frame, "base")


def test_failed_runs_whose_partners_are_missing_count() -> None:
    first = np.arange(20) < 4
    found = one_against({"scores": BASE, "gone": first}, {"scores": np.where(first, 0.4, BASE), "failed": first})
    line = lines(found)[0]
    assert "4 of 20 against 0 of 16" in line
    assert "no run failed" not in line
    assert found.cells[1].against is not None
    assert found.cells[1].against.failures.p is not None


def test_runs_of_equal_scores_that_fail_differently_are_not_identical() -> None:
    failed = np.arange(20) < 1
    found = one_against({"scores": BASE}, {"scores": BASE, "failed": failed})
    assert not lines(found)[0].startswith("identical")
    assert lines(one_against({"scores": BASE}, {"scores": BASE}))[0].startswith("identical runs")


def test_failures_of_a_crossed_design_are_counted_and_not_tested() -> None:
    i, o = np.divmod(np.arange(25), 5)
    rng = np.random.default_rng(0)
    frame, _ = study_frames({("t", arm): rng.normal(0.7, 0.02, 25) for arm in ("base", "x")}, evaluations=1)
    for stream, values in (("init", i), ("order", o), ("dropout", 0 * i), ("prepare", 0 * i)):
        frame[f"seed_{stream}"] = np.tile(values, 2)
    frame.loc[frame["arm"] == "x", "failed"] = i >= 2
    frame["status"] = np.where(frame["failed"], "failed", "ok")
    found = compare(frame, "base")
    assert lines(found)[0] == "failures not tested: runs that share a seed fail alike (15 of 25 against 0 of 25)"


@pytest.mark.parametrize("scale", [1e-300, 1e-200])
def test_tiny_scores_end_in_a_sentence(scale: float) -> None:
    found = one_against({"scores": (BASE - 0.7) * scale}, {"scores": BASE[::-1] - 0.7})
    assert len(lines(found)) >= 3


def test_seeds_written_as_other_tools_write_them_are_the_same_seeds(tmp_path: Path) -> None:
    one = csv(tmp_path / "one.csv", seed=range(20), score=BASE)
    two = csv(tmp_path / "two.csv", seed=[f"{k}.0" for k in range(20)], score=BASE[::-1])
    comparison, _ = compare_files([one, two])
    assert comparison.cells[1].against is not None
    assert comparison.cells[1].against.pairing.reason == "20 pairs of equal seeds"
