"""The run store: complete or absent, whatever happens to the process or the disk."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stabilitybench.encoders import load_encoder
from stabilitybench.errors import EnvironmentFailure, UserError
from stabilitybench.finetuning import finetune
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.storage.writing import owner_lives, write_atomically
from stabilitybench.studies import Store
from stabilitybench.studies.spec import RunSpec
from stabilitybench.tasks import load_task


@pytest.fixture(scope="module")
def finished(tiny_bert, tiny_task):
    encoder, task = load_encoder(str(tiny_bert)), load_task(f"file:{tiny_task}")
    recipe = Recipe(steps=2, evaluations=2, learning_rate=1e-3)
    return RunSpec(encoder, task, None, recipe, (), Seeds()), finetune(encoder, task, recipe)


@pytest.fixture
def store(tmp_path):
    it = Store(tmp_path / "store")
    it.prepare()
    return it


def test_a_run_comes_back_as_it_was_written(store, finished):
    spec, outcome = finished
    assert store.read(spec.id) is None
    store.write(spec, outcome)
    record = store.read(spec.id)
    assert record["status"] == outcome.status
    assert record["scores"] == outcome.scores
    assert record["weights"] == outcome.weights
    assert [e["step"] for e in record["evaluations"]] == [1, 2]
    assert record["identity"]["encoder"] == spec.encoder.fingerprint


def test_predictions_carry_row_label_and_logits_of_both_splits_and_checkpoints(store, finished):
    spec, outcome = finished
    store.write(spec, outcome)
    frame = store.predictions(spec.id)
    assert len(frame) == 2 * (len(spec.task.validation) + len(spec.task.test))
    last = frame[(frame.split == "test") & (frame.checkpoint == "last")]
    assert tuple(last.row) == spec.task.test.ids
    kept = next(p for p in outcome.predictions if (p.split, p.checkpoint) == ("test", "last"))
    np.testing.assert_array_equal(last[["logit_0", "logit_1"]].to_numpy(np.float32), kept.logits)


def test_nothing_but_finished_runs_is_left_in_the_store(store, finished):
    spec, outcome = finished
    store.write(spec, outcome)
    files = {str(p.relative_to(store.folder)) for p in store.folder.rglob("*") if p.is_file()}
    assert files == {f"runs/{spec.id}/run.json", f"runs/{spec.id}/predictions.parquet"}


def test_a_run_that_stands_already_is_not_touched(store, finished):
    spec, outcome = finished
    store.write(spec, outcome)
    before = (store.path(spec.id) / "run.json").stat().st_mtime_ns
    store.write(spec, outcome)
    assert (store.path(spec.id) / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("cut", [0, 1, 40, -3])
def test_a_truncated_record_counts_as_absent_and_is_set_aside(store, finished, cut):
    spec, outcome = finished
    store.write(spec, outcome)
    record = store.path(spec.id) / "run.json"
    record.write_bytes(record.read_bytes()[:cut])
    assert store.read(spec.id) is None
    assert store.damaged(spec.id)
    store.set_aside(spec.id)
    assert not store.path(spec.id).exists()
    store.write(spec, outcome)
    assert store.read(spec.id) is not None


def test_a_crash_is_recorded_and_a_later_result_replaces_it(store, finished):
    spec, outcome = finished
    store.write_missing(spec, "crashed", "RuntimeError: out of memory")
    assert store.read(spec.id)["reason"] == "RuntimeError: out of memory"
    store.write(spec, outcome)
    assert store.read(spec.id)["status"] == outcome.status


def test_the_identity_is_content_and_not_names(finished, tmp_path, tiny_bert, tiny_task):
    import shutil

    spec, _ = finished
    moved = shutil.copytree(tiny_bert, tmp_path / "elsewhere"), shutil.copytree(tiny_task, tmp_path / "data")
    again = RunSpec(
        load_encoder(str(moved[0])), load_task(f"file:{moved[1]}"), None, spec.recipe, spec.stabilizers, spec.seeds
    )
    assert again.id == spec.id
    assert RunSpec(spec.encoder, spec.task, None, spec.recipe.replace(steps=3), (), spec.seeds).id != spec.id
    assert RunSpec(spec.encoder, spec.task, None, spec.recipe, (), Seeds(order=1)).id != spec.id
    assert RunSpec(spec.encoder, spec.task, 20, spec.recipe, (), spec.seeds).id != spec.id


def test_a_default_written_out_gives_the_same_id(finished):
    spec, _ = finished
    written = RunSpec(spec.encoder, spec.task, None, spec.recipe.replace(batch_size=16), (), spec.seeds)
    assert written.id == spec.id


def test_run_ids_cannot_leave_the_store(store):
    for bad in ("../../etc", "", "0123", "g" * 16, "0123456789ABCDEF"):
        with pytest.raises(UserError, match="16 hexadecimal digits"):
            store.path(bad)


def test_find_wants_an_unambiguous_beginning(store, finished):
    spec, outcome = finished
    store.write(spec, outcome)
    assert store.find(spec.id[:4])["id"] == spec.id
    with pytest.raises(UserError, match="no run in"):
        store.find("ffff" if not spec.id.startswith("ffff") else "0000")
    with pytest.raises(UserError, match="hexadecimal"):
        store.find("../")


def test_drafts_of_dead_processes_are_cleared_and_those_of_living_ones_kept(store):
    import socket

    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead, living = (f"x@{socket.gethostname()}@{pid}@1" for pid in (child.stdout.strip(), os.getpid()))
    for name in (dead, living):
        (store.folder / "drafts" / name).mkdir()
    store.prepare()
    assert {p.name for p in (store.folder / "drafts").iterdir()} == {living}
    assert owner_lives("other@another-host@1@1")


def test_writing_leaves_the_old_file_when_the_disk_fails(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_atomically(file, "old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        write_atomically(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_store_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match=r"file.*cannot be written .*Choose a folder"):
        Store(tmp_path / "file").prepare()


def test_records_hold_no_number_that_json_lacks(store, finished):
    from dataclasses import replace

    spec, outcome = finished
    broken = replace(outcome, evaluations=(replace(outcome.evaluations[0], train_loss=float("nan")),))
    store.write(spec, broken)
    text = (store.path(spec.id) / "run.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["evaluations"][0]["train_loss"] is None


def test_the_store_may_be_given_as_text_or_path(tmp_path):
    assert Store(str(tmp_path)).folder == Store(Path(tmp_path)).folder
