"""`stabilitybench compare`: scores from anywhere, and one clear sentence for every file that is not such a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stabilitybench.comparison import compare, write_report
from stabilitybench.comparison.file_comparison import compare_files, read_files
from stabilitybench.comparison.score_files import MAX_BYTES, read_scores
from stabilitybench.errors import UserError
from stabilitybench.statistics import deviation_ratio, sd_ratio
from support.score_frames import NO_SKILL, facts, study_frames

RNG = np.random.default_rng(8)
WIDE, NARROW = RNG.normal(0.7, 0.03, 20).round(4), RNG.normal(0.72, 0.006, 20).round(4)
Cli = Callable[..., tuple[int, str, str]]


def plain(path: Path, scores: object, column: str = "score") -> Path:
    pd.DataFrame({column: scores}).to_csv(path, index=False)
    return path


def results(folder: Path, cells: dict[tuple[str, str], np.ndarray]) -> Path:
    """Write a study's report, as `stabilitybench report` does."""
    scores, curves = study_frames(cells, evaluations=1)
    scores["run_id"] = folder.name + scores["run_id"]
    arms = tuple(dict.fromkeys(arm for _, arm in cells))
    write_report(scores, curves, facts(folder.name, arms[0], arms), folder)
    return folder


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """The command line in `tmp_path`, always saying `stabilitybench compare`."""
    return partial(cli, "compare")


def test_two_files_with_a_column_of_scores_are_enough(cli: Cli, tmp_path: Path) -> None:
    plain(tmp_path / "mine.csv", WIDE)
    plain(tmp_path / "theirs.csv", NARROW)
    code, out, err = cli("mine.csv", "theirs.csv")
    assert (code, err) == (0, "")
    expected = deviation_ratio(NARROW, WIDE)
    assert f"closer together: {expected.estimate:.2f} [{expected.low:.2f}, {expected.high:.2f}], p = " in out
    assert "independent runs (no seeds known)" in out
    assert 'Baseline: "mine"' in out
    assert "no run counts as failed" in " ".join(out.split())
    assert not (tmp_path / "report.html").exists()


def test_the_other_file_can_be_the_baseline(cli: Cli, tmp_path: Path) -> None:
    for name, values in (("a", WIDE), ("b", NARROW)):
        plain(tmp_path / f"{name}.csv", values)
    for said in ("b", "b.csv", "./b.csv"):
        code, out, _ = cli("a.csv", "b.csv", "--baseline", said)
        assert code == 0
        assert "farther apart: " in out
    code, _, err = cli("a.csv", "b.csv", "--baseline", "c")
    assert (code, err) == (2, 'error: --baseline "c": must be one of a, b\n')


def test_a_no_skill_score_tells_failures(cli: Cli, tmp_path: Path) -> None:
    plain(tmp_path / "a.csv", np.where(np.arange(20) < 14, 0.527, WIDE))
    plain(tmp_path / "b.csv", NARROW)
    code, out, _ = cli("a.csv", "b.csv", "--no-skill", "0.527")
    assert code == 0
    assert "fails less often (0 of 20 against 14 of 20, p = " in " ".join(out.split())
    assert "one grade of failure" in " ".join(out.split())
    assert "no run counts as failed" not in out


def test_a_report_is_written_that_says_where_the_scores_come_from(cli: Cli, tmp_path: Path) -> None:
    pd.DataFrame({"task": "rte", "metric": "accuracy", "seed": range(20), "score": WIDE}).to_csv("a.csv", index=False)
    pd.DataFrame({"score": NARROW, "failed": ["no"] * 20, "task": "rte"}).to_csv("b.csv", index=False)
    code, out, _ = cli("a.csv", "b.csv", "--out", "made")
    assert code == 0
    assert "report: made/report.html" in out
    assert sorted(p.name for p in Path("made").iterdir()) == ["report.html", "report.md", "scores.csv", "tables.tex"]
    page, markdown = (Path("made", name).read_text("utf-8") for name in ("report.html", "report.md"))
    for text in (page, markdown):
        assert "accuracy on rte: scores as given, in points" in text
        assert "each file is an arm" in text
        for wrong in ("test split, last checkpoint", "We fine-tuned", "Resolved study file", "Environment", "nan"):
            assert wrong not in text.replace("last checkpoint, on the test", ""), wrong
    again = pd.read_csv("made/scores.csv")
    assert sorted(again["score"]) == sorted([*WIDE, *NARROW])
    assert set(again["arm"]) == {"a", "b"}


def test_a_report_is_never_written_over_what_is_compared(cli: Cli, tmp_path: Path) -> None:
    results(tmp_path / "one", {("t", "plain"): WIDE})
    results(tmp_path / "two", {("t", "plain"): NARROW})
    before = Path("one/scores.csv").read_bytes()
    code, _, err = cli("one", "two", "--out", "one")
    assert (code, err) == (
        2,
        "error: --out one: would overwrite the scores.csv that is compared; give another folder\n",
    )
    assert Path("one/scores.csv").read_bytes() == before


def test_results_folders_are_compared_on_every_task_and_arm_they_share(cli: Cli, tmp_path: Path) -> None:
    half = np.where(np.arange(20) < 10, NO_SKILL, WIDE)
    results(tmp_path / "old", {("rte", "plain"): WIDE, ("rte", "mixout"): half, ("cola", "plain"): WIDE})
    results(tmp_path / "new", {("rte", "plain"): NARROW, ("rte", "mixout"): NARROW, ("mrpc", "plain"): WIDE})
    comparison, paths = compare_files([Path("old"), Path("new")], out=Path("both"))
    assert [(c.task, c.arm) for c in comparison.cells] == [
        ("rte, plain", "old"), ("rte, plain", "new"), ("rte, mixout", "old"), ("rte, mixout", "new")
    ]  # fmt: skip
    frame = comparison.to_frame().set_index(["task", "arm"])
    assert frame.loc[("rte, mixout", "old"), "failed"] == 10
    assert frame.loc[("rte, plain", "new"), "sd_ratio"] == pytest.approx(sd_ratio(NARROW, WIDE).estimate)
    notes = " ".join(comparison.notes)
    assert "Only old has pocket/bert-small, cola, plain" in notes or "Only old has cola, plain" in notes
    assert "mrpc, plain, and old has not: not compared." in notes
    assert paths is not None
    assert "mrpc, plain" in paths.html.read_text("utf-8")
    for option in (("--points",), ("--no-skill", "0.5")):
        code, _, err = cli("old", "new", *option)
        assert code == 2
        assert "is for files made elsewhere; these are a report's own" in err
    code, out, _ = cli("old", "new/scores.csv")
    assert code == 0
    assert "rte, mixout" in out


def test_arms_with_other_names_are_compared_where_each_file_has_one(tmp_path: Path) -> None:
    for name, values in (("plain", WIDE), ("mixout", NARROW)):
        frame = pd.DataFrame({"arm": name, "task": "rte", "score": values})
        frame.to_csv(tmp_path / f"{name}-runs.csv", index=False)
    comparison, _ = compare_files([tmp_path / "plain-runs.csv", tmp_path / "mixout-runs.csv"])
    assert [c.arm for c in comparison.cells] == ["plain-runs", "mixout-runs"]
    assert "plain-runs is arm plain, mixout-runs is arm mixout" in " ".join(comparison.notes)


def test_the_numbers_are_those_of_compare(tmp_path: Path) -> None:
    a, b = plain(tmp_path / "a.csv", WIDE), plain(tmp_path / "b.csv", NARROW)
    ours, _ = compare_files([a, b], no_skill=NO_SKILL)
    scores, _ = study_frames({("t", "a"): WIDE, ("t", "b"): NARROW}, evaluations=1)
    theirs = compare(scores, "a")
    for one, two in zip(ours.cells, theirs.cells, strict=True):
        assert (one.mean, one.sd, one.failure) == (two.mean, two.sd, two.failure)
        if one.against is not None and two.against is not None:
            assert one.against.brown_forsythe == two.against.brown_forsythe
            assert one.against.ratio == two.against.ratio
            assert (one.against.pairing.kind, two.against.pairing.kind) == ("independent", "paired")


def test_points_give_the_same_as_fractions(tmp_path: Path) -> None:
    one, _ = compare_files([plain(tmp_path / "a.csv", WIDE), plain(tmp_path / "b.csv", NARROW)], no_skill=0.66)
    paths = [plain(tmp_path / "c/a.csv".replace("/", "-"), 100 * WIDE), plain(tmp_path / "c-b.csv", 100 * NARROW)]
    two, _ = compare_files(paths, points=True, no_skill=66)
    for mine, theirs in zip(one.cells, two.cells, strict=True):
        assert mine.mean == pytest.approx(theirs.mean)
        assert mine.failure == theirs.failure


def test_the_order_of_the_lines_changes_nothing(tmp_path: Path) -> None:
    a = plain(tmp_path / "a.csv", WIDE)
    one, _ = compare_files([a, plain(tmp_path / "b.csv", NARROW)])
    two, _ = compare_files([a, plain(tmp_path / "b.csv", NARROW[::-1])])
    for mine, theirs in zip(one.to_frame().to_dict("records"), two.to_frame().to_dict("records"), strict=True):
        assert mine["sd"] == pytest.approx(theirs["sd"], rel=1e-12)
        assert mine["verdict"] == theirs["verdict"]


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_other_separators_spaces_and_signs_of_spreadsheets_are_read(tmp_path: Path, separator: str) -> None:
    lines = [separator.join(("name", " score ", "failed"))]
    lines += [separator.join(('"a run"', f" {v} ", "FALSE")) for v in (0.6, 0.7, 0.8)]
    (tmp_path / "a.csv").write_bytes("﻿".encode() + ("\r\n".join(lines) + "\r\n\r\n").encode())
    assert read_scores(tmp_path / "a.csv", "a").scores["score"].tolist() == [0.6, 0.7, 0.8]


GOOD = "task,arm,seed,metric,score\nrte,a,0,acc,0.7\nrte,a,1,acc,0.71\nrte,a,2,acc,0.72\n"
OTHER = GOOD.replace("rte,a", "rte,b")


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("accuracy,run\n0.7,1\n", (), 'b.csv: no column "score"; line 1 names "accuracy", "run"; --column takes'),
        ("0.7\n0.8\n", (), 'b.csv: no column "score"; line 1 names "0.7"'),
        ("scores\n0.7\n", (), 'did you mean "scores"?'),
        ("score\n0.7\ngood\n", (), 'b.csv: line 3, column "score": "good": must be a number such as 0.713'),
        ("score\n0.7\n0,8\n", (), "b.csv: is not a CSV table: Expected 1 fields in line 3, saw 2"),
        ("score;n\n0,7;1\n", (), 'b.csv: line 2, column "score": "0,7": must be a number such as 0.713'),
        ("score\n0.7\n1_0\n", (), 'line 3, column "score": "1_0": must be a number'),
        ("score\n0.7\ninf\n", (), 'b.csv: line 3, column "score": "inf": must be a number'),
        ("score,n\n0.7,1\n,2\n", (), 'b.csv: line 3, column "score": empty: every finished run needs a score'),
        ("score\n0.7\nnan\n", (), 'b.csv: line 3, column "score": "nan": every finished run needs a score'),
        ("", (), "b.csv: is empty; needs a line of column names and a line per run"),
        (" \n\n", (), "b.csv: is empty"),
        ("score\n", (), "b.csv: has column names and no run; needs a line per run"),
        ("score\n0.7\n", (), "b.csv: 1 finished run; needs at least 2"),
        ("score\n71\n72\n", (), 'b.csv: line 2, column "score": 71: scores are fractions between -1 and 1; for scores '
         "times 100, give --points"),
        ("score\n71\n172\n", ("--points",), "a.csv: column \"score\": no score is above 1, so these look like"),
        ("score\n0.7\n0.8\n", ("--no-skill", "50"), "--no-skill 50: must lie between -1 and 1, as the scores do"),
        ("score\n0.7\n0.8\n", ("--no-skill", "0.5", "--points"), "--no-skill 0.5: with --points it is in points too"),
        (OTHER.replace("acc", "f1"), (), 'task "rte": has the metric acc in a and f1 in b; runs are compared'),
        (OTHER.replace("rte", "cola"), (), "a and b have nothing in common: one holds rte, the other cola"),
        (OTHER + "rte,b,1,acc,0.7\n", (), "b.csv: lines 3 and 5 are the same run (seed \"1\" of one arm and task)"),
        ("score,score\n0.7,0.7\n", (), 'b.csv: line 1: column "score" stands twice'),
        ("score,failed\n0.7,maybe\n0.7,no\n", (), 'b.csv: line 2, column "failed": "maybe": must be true or false'),
        ("score,status\n0.7,done\n0.7,ok\n", (), 'line 2, column "status": "done": must be one of ok, failed'),
        ("score,no_skill\n0.7,0.5\n0.7,0.6\n", (), 'has the no-skill score 0.5 in b and 0.6 in b; runs are'),
        ('score\n"0.7\n0.8\n', (), "b.csv:"),
    ],
)  # fmt: skip
def test_files_that_are_not_scores_get_one_sentence(
    cli: Cli, text: str, options: tuple[str, ...], sentence: str
) -> None:
    Path("a.csv").write_text(GOOD)
    Path("b.csv").write_text(text)
    code, out, err = cli("a.csv", "b.csv", *options, "--out", "made")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not Path("made").exists()


def test_files_that_cannot_be_read_get_one_sentence(cli: Cli, tmp_path: Path) -> None:
    plain(tmp_path / "a.csv", WIDE)
    Path("folder").mkdir()
    Path("model.bin").write_bytes(bytes(range(256)))
    Path("wide.csv").write_bytes("score\n0.7\n".encode("utf-16"))
    Path("columns.csv").write_text("score" + ",x" * 2000 + "\n")
    Path("field.csv").write_text("s" * 200_000 + "\n")
    with Path("huge.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for path, sentence in (
        ("folder", "folder: has no scores.csv; give a folder of results, or a CSV file"),
        ("none.csv", "none.csv: there is no such file or folder"),
        ("model.bin", "model.bin: is not a text file in UTF-8; save it as CSV"),
        ("wide.csv", "wide.csv: is not a text file in UTF-8"),
        ("huge.csv", "huge.csv: is larger than a table of scores can be (50 MB)"),
        ("a.csv", "a.csv: is given twice"),
        ("/dev/null", "/dev/null: is not a file"),
        ("x" * 300, "cannot be read (File name too long)"),
        ("columns.csv", "columns.csv: line 1 names 2001 columns; a table of scores has at most 1000"),
        ("field.csv", "field.csv: line 1 is not a line of column names: field larger than field limit"),
    ):
        code, out, err = cli("a.csv", path)
        assert (code, out, err.count("\n")) == (2, "", 1), path
        assert sentence in err
    assert cli("a.csv")[0] == 2
    assert cli()[0] in (0, 2)


def test_mixed_units_are_refused_and_not_guessed(cli: Cli, tmp_path: Path) -> None:
    plain(tmp_path / "a.csv", WIDE)
    plain(tmp_path / "b.csv", 100 * NARROW)
    code, _, err = cli("a.csv", "b.csv")
    assert code == 2
    assert "b.csv: line 2" in err
    assert "give --points" in err
    code, _, err = cli("b.csv", "a.csv", "--points")
    assert code == 2
    assert "a.csv" in err
    assert "look like fractions" in err


def test_unfinished_runs_of_a_study_need_no_score_and_the_same_runs_are_told(tmp_path: Path) -> None:
    values = WIDE.copy()
    values[3] = np.nan
    results(tmp_path / "one", {("t", "plain"): values})
    results(tmp_path / "two", {("t", "plain"): WIDE})
    comparison, _ = compare_files([tmp_path / "one", tmp_path / "two"])
    assert [(c.planned, c.n) for c in comparison.cells] == [(20, 19), (20, 20)]
    assert not comparison.elsewhere
    both = pd.read_csv(tmp_path / "one" / "scores.csv")
    (tmp_path / "copy").mkdir()
    both.to_csv(tmp_path / "copy" / "scores.csv", index=False)
    same, _ = compare_files([tmp_path / "one", tmp_path / "copy"])
    assert any("19 runs in both one and copy" in note for note in same.notes)


def test_hostile_names_are_text_everywhere(cli: Cli, tmp_path: Path) -> None:
    evil = "$x_1$<script>alert(1)</script>|`*[red]任务\\input{x}"
    for name, values in (("a", WIDE), ("b", NARROW)):
        frame = pd.DataFrame({"task": evil, "arm": evil, "encoder": evil, "metric": evil, "score": values})
        frame.to_csv(f"{name}.csv", index=False)
    code, out, _ = cli("a.csv", "b.csv", "--out", "made")
    assert code == 0
    assert evil in out.replace("\n", "")
    page = Path("made/report.html").read_text("utf-8")
    assert page.count("<script") == 1
    assert "<script" not in Path("made/report.md").read_text("utf-8")
    assert r"\input{x}" not in Path("made/tables.tex").read_text("utf-8")
    assert r"\textbackslash{}input\{x\}" in Path("made/tables.tex").read_text("utf-8")


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        plain(tmp_path / folder / "scores.csv", WIDE)
        plain(tmp_path / folder / "runs.csv", NARROW)
    assert list(read_files([tmp_path / "x", tmp_path / "y" / "scores.csv"]).facts.arms) == ["x", "y"]
    assert list(read_files([tmp_path / "x" / "runs.csv", tmp_path / "y" / "runs.csv"]).facts.arms) == [
        "x/runs.csv", "y/runs.csv"
    ]  # fmt: skip


def test_an_undefined_metric_is_a_failure_and_counts_as_no_skill(tmp_path: Path) -> None:
    # a correlation of constant predictions is 0/0: dropping the run would hide the failure
    rows = pd.DataFrame({"task": "STS-B", "metric": "spearmanr", "score": [0.9, np.nan, 0.88, -0.1]})
    rows.to_csv(tmp_path / "a.csv", index=False)
    plain(tmp_path / "b.csv", [0.9, 0.91, 0.92]).write_text("task,score\nSTS-B,0.9\nSTS-B,\nSTS-B,0.91\n")
    with pytest.raises(UserError, match=r'b\.csv: line 3, column "score": empty'):
        compare_files([tmp_path / "a.csv", tmp_path / "b.csv"])
    found = read_files([tmp_path / "a.csv", tmp_path / "b.csv"], no_skill=0.0).scores
    assert found["score"].tolist() == [0.9, 0.0, 0.88, -0.1, 0.9, 0.0, 0.91]
    assert found["failed"].tolist() == [False, True, False, True, False, True, False]


def test_no_skill_scores_of_one_file_hold_for_the_other(tmp_path: Path) -> None:
    pd.DataFrame({"score": [0.5, 0.7, 0.8], "no_skill": 0.5}).to_csv(tmp_path / "a.csv", index=False)
    plain(tmp_path / "b.csv", [0.4, 0.5, 0.9])
    comparison, _ = compare_files([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert [c.failure.failed for c in comparison.cells] == [1, 2]
    assert any("those of the other files were taken" in note for note in comparison.notes)


@settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.binary(max_size=60), st.text(alphabet='score,;\n"0.7\t#', max_size=60).map(str.encode)))
def test_no_bytes_whatever_end_in_a_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    try:
        scores, said = read_scores(path, "any").scores, "any.csv"
    except UserError as error:
        scores, said = None, str(error)
    assert "\n" not in said
    assert "any.csv" in said
    if scores is not None:
        assert len(scores) >= 2
        assert scores["score"].between(-1, 1).all()


def test_files_are_json_safe_in_their_facts(tmp_path: Path) -> None:
    found = read_files([plain(tmp_path / "a.csv", WIDE), plain(tmp_path / "b.csv", NARROW)])
    assert json.loads(json.dumps(found.facts.origin)) == found.facts.origin
    assert found.facts.recipe == {}


HALF = np.where(np.arange(20) < 5, 0.5, WIDE)


def test_a_column_status_without_failed_runs_is_no_knowledge_of_failures(tmp_path: Path) -> None:
    pd.DataFrame({"score": HALF, "no_skill": 0.5}).to_csv(tmp_path / "a.csv", index=False)
    status = ["diverged", *["ok"] * 19]
    pd.DataFrame({"score": [0.6, *HALF[:-1]], "status": status}).to_csv(tmp_path / "b.csv", index=False)
    comparison, _ = compare_files([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert [c.failure.failed for c in comparison.cells] == [5, 6]  # the diverged run stays failed
    assert any("those of the other files were taken" in note for note in comparison.notes)
    assert not read_scores(tmp_path / "b.csv", "b").knows_failures
    status[1] = "failed"
    pd.DataFrame({"score": HALF, "status": status}).to_csv(tmp_path / "b.csv", index=False)
    assert read_scores(tmp_path / "b.csv", "b").knows_failures
    pd.DataFrame({"score": HALF, "failed": ""}).to_csv(tmp_path / "b.csv", index=False)
    assert not read_scores(tmp_path / "b.csv", "b").knows_failures


def test_it_is_told_where_a_no_skill_score_applied(tmp_path: Path) -> None:
    a = plain(tmp_path / "a.csv", HALF)
    pd.DataFrame({"score": NARROW, "failed": False}).to_csv(tmp_path / "b.csv", index=False)
    pd.DataFrame({"score": NARROW, "metric": "eval_matthews_correlation"}).to_csv(tmp_path / "c.csv", index=False)
    notes = compare_files([a, tmp_path / "b.csv"], no_skill=0.5)[0].notes
    assert "no_skill = 0.5: was applied to a, and not to b (its column failed holds)." in notes
    assert any("two definitions of failure" in note for note in notes)
    (note,) = (n for n in compare_files([tmp_path / "c.csv", a], no_skill=0.0)[0].notes if "no_skill = " in n)
    assert note == "no_skill = 0: was applied to a, and not to c (it has no-skill scores, or its metric has 0)."
    for name, values in (("d", WIDE), ("e", NARROW)):
        rows = pd.DataFrame({"task": ["rte"] * 10 + ["mrpc"] * 10, "score": values})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    notes = compare_files([tmp_path / "d.csv", tmp_path / "e.csv"], no_skill=0.5)[0].notes
    assert any("was applied to 2 tasks, rte, mrpc" in note for note in notes)


def test_no_results_but_earlier_comparisons_are_written_over(cli: Cli, tmp_path: Path) -> None:
    results(tmp_path / "one", {("t", "plain"): WIDE})
    results(tmp_path / "two", {("t", "plain"): NARROW})
    results(tmp_path / "three", {("t", "plain"): NARROW})
    Path("link").symlink_to("one")
    Path("study").mkdir()
    Path("study/study.json").write_text("{}")
    before = {p: p.read_bytes() for p in Path().rglob("*.csv")}
    for out, sentence in (
        ("link", "would overwrite the scores.csv that is compared"),
        ("two/../one", "would overwrite the scores.csv that is compared"),
        ("three", "holds a report.html that no comparison wrote"),
        ("study", "holds results of a study"),
    ):
        assert cli("one", "two", "--out", out)[::2] == (2, f"error: --out {out}: {sentence}; give another folder\n")
    assert {p: p.read_bytes() for p in Path().rglob("*.csv")} == before
    assert cli("one", "two", "--out", "made")[0] == 0
    assert cli("one", "two", "--out", "made")[0] == 0
    assert cli("made", "two", "--out", "made")[0] == 2
    code, _, err = cli("one", "link")
    assert (code, err) == (2, "error: link: is given twice; a comparison needs different files\n")


def test_a_report_that_cannot_be_written_does_not_take_the_comparison_along(cli: Cli, tmp_path: Path) -> None:
    plain(tmp_path / "a.csv", WIDE)
    plain(tmp_path / "b.csv", NARROW)
    code, out, err = cli("a.csv", "b.csv", "--out", "a.csv/made")
    assert code == 1
    assert "closer together" in out
    assert "runs" not in err
    assert err.count("\n") == 1


def test_a_no_skill_column_in_the_wrong_unit_is_refused(tmp_path: Path) -> None:
    b = plain(tmp_path / "b.csv", 100 * NARROW)
    pd.DataFrame({"score": 100 * WIDE, "no_skill": 0.5}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError, match=r'a\.csv: line 2, column "no_skill": 0\.5: .* in points too'):
        compare_files([tmp_path / "a.csv", b], points=True)
    pd.DataFrame({"score": WIDE, "no_skill": 50}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError, match=r"no_skill\": 50: must lie between -1 and 1"):
        read_scores(tmp_path / "a.csv", "a")


def test_files_of_one_encoder_each_compare_the_encoders(tmp_path: Path) -> None:
    for name, values in (("small", WIDE), ("large", NARROW)):
        rows = pd.DataFrame({"encoder": f"bert-{name}", "task": "rte", "score": values})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    comparison, _ = compare_files([str(tmp_path / "small.csv"), str(tmp_path / "large.csv")])
    assert [(c.encoder, c.arm, c.n) for c in comparison.cells] == [("", "small", 20), ("", "large", 20)]
    assert any("small is bert-small, large is bert-large" in note for note in comparison.notes)


def test_copies_spellings_and_losses(tmp_path: Path) -> None:
    paths = []
    for name, metric in (("a", "MCC"), ("b", "mcc"), ("c", "MCC")):
        rows = pd.DataFrame({"metric": metric, "score": np.where(np.arange(20) < 2, 0, WIDE)})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        paths.append(tmp_path / f"{name}.csv")
    comparison, _ = compare_files(paths)
    assert [c.failure.failed for c in comparison.cells] == [2, 2, 2]
    assert any(note.startswith("a and c are the same file, byte for byte") for note in comparison.notes)
    plain(tmp_path / "d.csv", WIDE, "eval_loss")
    with pytest.raises(UserError, match='"eval_loss" is a loss; scores must be "higher is better"'):
        read_scores(tmp_path / "d.csv", "d", "eval_loss")


def test_commands_to_the_terminal_in_a_file_are_written_out(cli: Cli, tmp_path: Path) -> None:
    for name, values in (("a", WIDE), ("b\x1b[2J", NARROW)):
        rows = pd.DataFrame({"task": "\x1b[31mrte\u202e", "score": values})
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    code, out, _ = cli("a.csv", "b\x1b[2J.csv")
    assert code == 0
    assert not set("\x1b\u202e") & set(out)
    Path("bad.csv").write_text("\x1b[31mscore\n0.7\n")
    assert "\x1b" not in cli("a.csv", "bad.csv")[2]


def test_stores_filled_by_different_versions_of_the_code_are_told(tmp_path: Path) -> None:
    for name, torch in (("one", "2.9.0"), ("two", "2.8.0")):
        folder = results(tmp_path / name, {("rte", "plain"): HALF})
        table = pd.read_csv(folder / "scores.csv")
        table["run_id"] = [f"{name}-{k}" for k in range(len(table))]
        table["versions"] = f"stabilitybench 0.1.0, torch {torch}, transformers 5.0.0"
        table.to_csv(folder / "scores.csv", index=False)
    comparison, paths = compare_files([tmp_path / "one", tmp_path / "two"], out=tmp_path / "out")
    told = (
        "Runs come from different versions of the code, and may differ by that alone: "
        f"torch 2.9.0 ({len(HALF)} runs), 2.8.0 ({len(HALF)} runs)."
    )
    assert told in comparison.notes
    assert paths is not None
    assert told in paths.markdown.read_text("utf-8")
