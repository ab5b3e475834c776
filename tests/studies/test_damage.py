"""Records of another form, other predictions, a damaged study.json: set aside and done again, and never a traceback."""

from __future__ import annotations

import copy
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from stabilitybench.cli.views.run import print_run
from stabilitybench.comparison.study_report import report
from stabilitybench.errors import UserError
from stabilitybench.studies import Results, Study
from stabilitybench.studies.predictions_file import columns
from stabilitybench.studies.record_form import well_formed
from support.run_records import record as made

STUDY = """
name = "tiny"
encoders = ["{encoder}"]
tasks = ["file:{task}"]
seeds = 2
baseline = "plain"

[recipe]
learning_rate = 1e-3
steps = 2
evaluations = 2

[arms]
plain = []
"""
WRONG: tuple[Any, ...] = (None, "x", -1, True, [], {"x": []})


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything in plain data, of lists the first and the last entry."""
    if at:
        yield at
    inner: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list) and value:
        inner = {0: value[0], len(value) - 1: value[-1]}.items()
    for key, item in inner:
        yield from places(item, (*at, key))


def changed(value: Any, at: tuple[Any, ...], to: Any) -> Any:
    found = copy.deepcopy(value)
    inner = found
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = to
    return found


def without(value: Any, at: tuple[Any, ...]) -> Any:
    found = copy.deepcopy(value)
    inner = found
    for key in at[:-1]:
        inner = inner[key]
    del inner[at[-1]]
    return found


@pytest.mark.parametrize("status", ["ok", "failed", "diverged"])
def test_a_record_that_passes_for_whole_can_be_shown_and_any_other_is_told(status: str) -> None:
    good = made(status=status, losses=(0.6, 0.5, None) if status == "diverged" else (0.6, 0.5, 0.4))
    assert well_formed(good, finished=True)
    told = shown = 0
    for at in places(good):
        if at[0] == "id":
            continue
        for bad in [*(changed(good, at, to) for to in WRONG), without(good, at)]:
            if not well_formed(bad, finished=True):
                told += 1
                continue
            print_run(bad, Console(file=io.StringIO(), width=200, markup=False))
            shown += 1
    assert told > shown > 0


def test_a_record_without_a_result_needs_its_reason_and_origin() -> None:
    good = {"status": "crashed", "reason": "boom", "labels": made()["labels"], "versions": {}, "machine": "m"}
    assert well_formed(good, finished=False)
    assert not well_formed({**good, "reason": 1}, finished=False)
    assert not well_formed({**good, "labels": []}, finished=False)


Spoil = Callable[[Path], object]


def on_record(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        file = folder / "run.json"
        found = json.loads(file.read_text())
        change(found)
        file.write_text(json.dumps(found))

    return spoil


def on_predictions(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Spoil:
    def spoil(folder: Path) -> None:
        file = folder / "predictions.parquet"
        change(pd.read_parquet(file)).to_parquet(file, index=False)

    return spoil


SEEN: dict[str, Spoil] = {
    "scores are a list": on_record(lambda r: r.update(scores=[])),
    "a score is a text": on_record(lambda r: r["scores"]["last"]["test"].update(accuracy="0.5")),
    "no evaluations": on_record(lambda r: r.update(evaluations=[])),
    "evaluations of another form": on_record(lambda r: r.update(evaluations=[{}])),
    "labels are missing": on_record(lambda r: r.pop("labels")),
    "seconds are a text": on_record(lambda r: r.update(seconds="long")),
    "versions are a list": on_record(lambda r: r.update(versions=["1"])),
    "warnings are a number": on_record(lambda r: r.update(warnings=3)),
    "status is a list": on_record(lambda r: r.update(status=["ok"])),
    "another run's identity": on_record(lambda r: r["identity"].update(encoder="0" * 64)),
    "a crash without a reason": on_record(lambda r: r.update(status="crashed")),
    "not an object": lambda folder: (folder / "run.json").write_text("[1]"),
    "nested deeply": lambda folder: (folder / "run.json").write_text("[" * 100_000),
    "other columns": on_predictions(lambda t: t.rename(columns={"split": "part"})),
    "a logit is missing": on_predictions(lambda t: t.drop(columns="logit_1")),
    "a text as Parquet": lambda folder: (folder / "predictions.parquet").write_text("PAR1 and PAR1"),
    "a record that is a folder": lambda folder: ((folder / "run.json").unlink(), (folder / "run.json").mkdir()),
}
#: What only reading every row of the predictions could find: the run counts, its predictions do not.
UNSEEN: dict[str, Spoil] = {
    "one split is missing": on_predictions(lambda t: t[t["split"] == "test"]),
    "logits are texts": on_predictions(lambda t: t.assign(logit_0="x")),
    "no rows": on_predictions(lambda t: t.head(0)),
}


@pytest.fixture(scope="module")
def finished(tiny_bert: Path, tiny_task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store and the results of a study of two runs."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.toml").write_text(STUDY.format(encoder=tiny_bert, task=tiny_task))
    opened(folder).run(jobs=1, device="cpu")
    return folder


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> tuple[Study, Results]:
    """That study in a folder of its own, and its results."""
    shutil.copytree(finished, tmp_path / "mine")
    study = opened(tmp_path / "mine")
    return study, study.results()


def opened(folder: Path) -> Study:
    return Study.from_file(folder / "study.toml", store=folder / "store", results=folder / "results")


@pytest.mark.parametrize("spoil", SEEN.values(), ids=SEEN)
def test_a_damaged_run_is_missing_set_aside_and_done_again(done, spoil: Spoil) -> None:
    study, before = done
    victim = before.runs[0].spec.id
    spoil(study.store.path(victim))
    assert victim not in study.results().records
    with pytest.raises(UserError, match="its record is damaged"):
        study.store.find(victim)
    assert study.results().to_frame()["status"].tolist() == [
        "missing",
        before.records[before.runs[1].spec.id]["status"],
    ]
    after = study.run(jobs=1, device="cpu")
    assert after.complete
    assert after.records[victim]["scores"] == before.records[victim]["scores"]
    assert [path.name[:16] for path in (study.store.folder / "damaged").iterdir()] == [victim]


@pytest.mark.parametrize("spoil", UNSEEN.values(), ids=UNSEEN)
def test_predictions_of_another_form_are_left_out_of_the_report_and_told(done, spoil: Spoil, tmp_path: Path) -> None:
    study, results = done
    victim = results.runs[0].spec.id
    spoil(study.store.path(victim))
    with pytest.raises(UserError, match="its predictions cannot be read; remove "):
        study.store.predictions(victim)
    report(study.results(), tmp_path / "report", study.store.predictions)


def test_the_columns_checked_are_those_written(done) -> None:
    study, results = done
    frame = study.store.predictions(results.runs[0].spec.id)
    assert tuple(frame.columns) == columns(2)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"spec": 1, "runs": [], "notes": []}', '{"spec": {}, "runs": [1], "notes": []}',
                '{"spec": {}, "runs": {}, "notes": "x"}', "[" * 100_000, '{"spec": {}, "runs": []}', "\x00"],
)  # fmt: skip
def test_a_damaged_study_json_is_set_aside_and_said(done, content: str) -> None:
    study, _ = done
    (study.folder / "study.json").write_text(content)
    assert study.results().notes == ()
    notes = study.run(jobs=1, device="cpu").notes
    assert any("study.json was damaged; it was moved to study-damaged-" in note for note in notes)
    aside = [path for path in study.folder.iterdir() if path.name.startswith("study-damaged-")]
    assert [path.read_text() for path in aside] == [content]
    assert json.loads((study.folder / "study.json").read_text())["runs"]


def test_many_starts_of_one_study_at_once_do_not_meet(write_study, open_study) -> None:
    path = write_study()
    failures: list[BaseException] = []

    def start() -> None:
        try:
            for _ in range(50):
                open_study(path)._prepare_folders()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [p.name for p in open_study(path).folder.iterdir()] == []
