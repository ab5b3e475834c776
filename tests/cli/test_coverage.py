"""How far a study is, counted from what the store holds."""

import io

import pytest
from rich.console import Console

from stabilitybench.cli.views.coverage import LISTED, coverage_table, plan_table, unfinished_lines
from stabilitybench.studies import Study

CODE = {"stabilitybench": "0.1.0", "torch": "2.9.0", "transformers": "5.0.0"}


@pytest.fixture
def study(tmp_path, tiny_bert, tiny_task):
    raw = {
        "name": "tiny",
        "encoders": [str(tiny_bert)],
        "tasks": [f"file:{tiny_task}"],
        "seeds": 3,
        "baseline": "plain",
        "recipe": {"steps": 2, "evaluations": 1, "learning_rate": 1e-3},
        "arms": {"plain": [], "reinit": ["reinit"]},
    }
    return Study.from_dict(raw, store=tmp_path / "store", results=tmp_path / "results")


def finished(run, status):
    metric = run.spec.task.metrics[0]
    return {
        "status": status,
        "scores": {"last": {"test": {metric: 0.5}}},
        "no_skill": {"test": 0.5},
        "versions": dict(CODE),
    }


@pytest.fixture
def mixed(study):
    """Results of which every run has another fate."""
    results = study.results()
    fates = ["ok", "failed", "diverged", "crashed", "timeout"]
    for run, fate in zip(results.runs, fates, strict=False):
        reason = {"reason": "because of [0]"} if fate in ("crashed", "timeout") else {}
        results.records[run.spec.id] = {**finished(run, fate), **reason}
    return results


def shown(*things, width=200):
    console = Console(file=io.StringIO(), width=width, markup=False)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def test_the_table_counts_every_run_once_and_leaves_out_empty_states(mixed, study):
    table = shown(coverage_table(mixed)).splitlines()
    assert table[0].split() == ["task", "arm", "planned", "ok", "failed", "diverged", "crashed", "timeout", "missing"]
    assert table[2].split()[1:] == ["plain", "3", "1", "1", "1"]
    assert table[3].split()[1:] == ["reinit", "3", "1", "1", "1"]
    empty = shown(coverage_table(study.results())).splitlines()
    assert empty[0].split() == ["task", "arm", "planned", "ok", "missing"]


def test_the_encoder_is_named_only_where_there_are_several(study, tiny_roberta):
    two = {**study.file.plain(), "encoders": [*study.file.plain()["encoders"], str(tiny_roberta)]}
    two["arms"] = {"plain": []}
    assert shown(coverage_table(Study.from_dict(two).results())).split()[0] == "encoder"


def test_lines_say_what_happened_and_what_to_do(mixed):
    brief = [str(line) for line in unfinished_lines(mixed, every_failure=False)]
    assert [line.split()[0] for line in brief[:2]] == ["crashed", "timeout"]
    assert brief[0].endswith("reinit  seed 0  because of [0]")
    assert brief[2] == "`stabilitybench run` with --retry does crashed and timed-out runs again"
    assert brief[3] == "1 run missing: `stabilitybench run` does exactly these"
    full = [str(line) for line in unfinished_lines(mixed, every_failure=True)]
    assert [line.split()[0] for line in full[:4]] == ["crashed", "timeout", "diverged", "failed"]
    assert full[3].endswith("plain  seed 1  accuracy 50.0 (no skill 50.0)")
    assert set(brief) < set(full)


def test_the_ids_shown_are_long_enough_to_be_found(mixed):
    lines = unfinished_lines(mixed, every_failure=True)
    ids = {line.plain.split()[1] for line in lines if line.plain.split()[0] in ("crashed", "timeout", "failed")}
    known = [run.spec.id for run in mixed.runs]
    assert ids
    assert all(sum(run_id.startswith(short) for run_id in known) == 1 for short in ids)


def test_a_long_list_is_cut_and_counted(study):
    many = Study.from_dict({**study.file.plain(), "seeds": LISTED + 5}).results()
    for run in many.runs:
        many.records[run.spec.id] = finished(run, "failed")
    lines = [str(line) for line in unfinished_lines(many, every_failure=True)]
    assert sum(line.startswith("failed") for line in lines) == LISTED + 1
    assert f"and {len(many.runs) - LISTED} more" in lines[LISTED]
    assert lines[-1] == f"complete: all {len(many.runs)} runs have finished"


def test_a_plan_says_rows_steps_and_tuning(study):
    tuned = {**study.file.plain(), "tune": {"seeds": 2, "grid": {"epochs": [1, 2, 3], "batch_size": [8, 16]}}}
    text = shown(plan_table(Study.from_dict(tuned)))
    plain = next(line for line in text.splitlines() if "plain" in line.split())
    assert plain.split()[-6:] == ["plain", "40", "2", "3", "0", "3"]
    assert "before them, 24 runs choose settings, on seeds of their own" in text
    assert "6 runs to do; nothing was trained or written" in text
    once = {**tuned, "tune": {**tuned["tune"], "scope": "baseline"}}
    assert "before them, 12 runs choose settings" in shown(plan_table(Study.from_dict(once)))


def test_a_plan_says_the_steps_that_are_really_trained(study):
    raw = study.file.plain()
    arms = {"plain": [], "longer": [{"longer": {"epochs": 9}}]}
    longer = {**raw, "recipe": {"epochs": 1, "learning_rate": 1e-3}, "arms": arms}
    said = [line.split() for line in shown(plan_table(Study.from_dict(longer))).splitlines()]
    assert {words[-6]: words[-4] for words in said if words and words[-6:-5] in (["plain"], ["longer"])} == {
        "plain": "3", "longer": "27",
    }  # fmt: skip


def test_a_plan_counts_what_is_in_the_store(study):
    study.run(jobs=1, device="cpu")
    assert "0 runs to do" in shown(plan_table(study))
    tuned = study.file.plain() | {"name": "tuned", "tune": {"seeds": 1, "grid": {"batch_size": [8, 16]}}}
    tuned = Study.from_dict(tuned, store=study.store.folder, results=study.results_folder)
    assert "before them, 4 runs choose settings, on seeds of their own; 0 in the store" in shown(plan_table(tuned))
    tuned.run(jobs=1, device="cpu")
    assert "before them, 4 runs choose settings, on seeds of their own; 4 in the store" in shown(plan_table(tuned))


def test_status_says_where_finished_runs_come_from_different_versions(mixed):
    assert not [line for line in unfinished_lines(mixed, every_failure=False) if "versions" in str(line)]
    mixed.records[mixed.runs[1].spec.id]["versions"]["torch"] = "2.8.0"
    *_, last = unfinished_lines(mixed, every_failure=False)
    assert str(last) == (
        "Runs come from different versions of the code, and may differ by that alone: "
        "torch 2.9.0 (2 runs), 2.8.0 (1 run)"
    )
