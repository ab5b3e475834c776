"""Suites: what a dataset's identity is, what is stored, resumed and repeated, and what `kill -9` cannot break."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from stabilitybench.errors import UserError
from stabilitybench.suites import measurements, suite
from stabilitybench.suites.file import parse_suite, read_suite
from stabilitybench.suites.suite import Datasets, Suite, run_suites

TINY = {
    "name": "tiny",
    "title": "More samples",
    "factor": "n",
    "about": "More samples.",
    "generator": "separable-ball",
    "datasets": 3,
    "parameters": {"d": 3},
    "vary": {"n": [8, 16]},
    "measure": {"kind": "max-margin", "bounds": ["B2 refit", "B2 closed form"]},
    "predictions": [{"quantity": "data", "direction": "falls", "by": "B2"}],
}


class Watch:
    def __init__(self):
        self.started, self.ended, self.said = [], [], []

    def start(self, total, done, workers):
        self.started.append((total, done))

    def finished(self, run_id, status):
        self.ended.append((run_id, status))

    def message(self, text):
        self.said.append(text)

    def end(self):
        pass


def open_suite(folder, **changes):
    return Suite(parse_suite({**TINY, **changes}), Datasets(folder / "store"))


def test_a_suite_is_measured_once_and_its_numbers_come_back(tmp_path):
    it, watch = open_suite(tmp_path), Watch()
    run_suites([it], jobs=1, progress=watch)
    assert watch.started == [(6, 0)]
    assert {status for _, status in watch.ended} == {"ok"}
    again = Watch()
    run_suites([it], jobs=1, progress=again)
    assert (again.started, again.ended) == ([(6, 6)], [])
    frame = it.results().to_frame()
    assert it.results().measured == 6
    first = it.plan()[0]
    exact = measurements.measure(suite.generate("separable-ball", seed=0, n=8, d=3), first.spec.settings)
    mine = frame[frame["dataset"] == first.spec.id].set_index("item")["amount"]
    assert mine["data"] == exact["measured"]["data"]
    assert mine["B2 closed form"] == exact["bounds"]["B2 closed form"]["value"]
    assert (frame["violations"].dropna() == 0).all()


def test_workers_give_the_same_numbers_as_one_process(tmp_path):
    alone, pool = open_suite(tmp_path / "a"), open_suite(tmp_path / "b")
    run_suites([alone], jobs=1)
    run_suites([pool], jobs=2)
    assert alone.results().to_frame().equals(pool.results().to_frame())


def test_the_id_knows_what_changes_a_number_and_nothing_else(tmp_path):
    ids = [p.spec.id for p in open_suite(tmp_path).plan()]
    assert len(set(ids)) == 6
    renamed = open_suite(tmp_path, name="other", title="x", predictions=[], parameters={"d": 3, "margin": 0.2})
    assert [p.spec.id for p in renamed.plan()] == ids  # 0.2 is the default
    for changes in (
        {"parameters": {"d": 4}},
        {"measure": {"kind": "head", "steps": 5}},
        {"measure": {"kind": "max-margin", "bounds": []}},
    ):
        assert not set(ids) & {p.spec.id for p in open_suite(tmp_path, **changes).plan()}


def test_suites_share_datasets(tmp_path):
    small, large, watch = open_suite(tmp_path), open_suite(tmp_path, name="large", datasets=5), Watch()
    run_suites([small, large], jobs=1, progress=watch)
    assert watch.started == [(10, 0)]


def test_a_damaged_record_is_set_aside_and_done_again(tmp_path):
    it = open_suite(tmp_path)
    run_suites([it], jobs=1)
    before = it.results().to_frame()
    victim = it.plan()[2].spec.id
    record = it.store.path(victim) / "record.json"
    record.write_text(record.read_text()[:100])
    watch = Watch()
    run_suites([it], jobs=1, progress=watch)
    assert [run_id for run_id, _ in watch.ended] == [victim]
    assert victim in watch.said[0]
    assert it.results().to_frame().equals(before)


def test_a_crash_is_stored_the_others_go_on_and_it_is_redone_on_request(tmp_path, monkeypatch):
    it, real = open_suite(tmp_path), measurements.measure

    def breaks(data, settings):
        if data.seed == 1:
            raise ZeroDivisionError("boom")
        return real(data, settings)

    monkeypatch.setattr(suite, "measure", breaks)
    run_suites([it], jobs=1)
    assert it.results().measured == 4
    assert set(it.results().crashed.values()) == {"ZeroDivisionError: boom"}
    monkeypatch.setattr(suite, "measure", real)
    watch = Watch()
    run_suites([it], jobs=1, progress=watch)
    assert watch.ended == []
    run_suites([it], jobs=1, retry=True)
    assert it.results().measured == 6


def test_a_setting_that_cannot_be_drawn_is_one_sentence(tmp_path):
    it = open_suite(tmp_path, generator="orthonormal", vary={"n": [8]}, parameters={"d": 3})
    with pytest.raises(UserError, match="orthonormal: d = 3: must be at least n = 8"):
        run_suites([it], jobs=1)


def test_a_generator_that_does_not_fit_is_said_before_anything_is_done(tmp_path):
    it = open_suite(tmp_path, generator="ridge")
    with pytest.raises(UserError, match="needs a generator with labels"):
        run_suites([it], jobs=1)
    assert not list((tmp_path / "store" / "datasets").iterdir())


def test_a_record_of_another_shape_is_not_believed(tmp_path):
    it = open_suite(tmp_path)
    run_suites([it], jobs=1)
    path = it.store.path(it.plan()[0].spec.id) / "record.json"
    record = json.loads(path.read_text())
    del record["bounds"]
    path.write_text(json.dumps(record))
    assert it.store.damaged(record["id"])


SLOW = """
name = "slow"
title = "More samples"
factor = "n"
about = "More samples."
generator = "separable-ball"
datasets = 30
[parameters]
d = 5
[vary]
n = [20, 30]
[measure]
kind = "head"
steps = 200
bounds = ["B3 one run"]
"""


def test_kill_at_any_moment_leaves_whole_records_and_the_same_end(tmp_path):
    file = tmp_path / "slow.toml"
    file.write_text(SLOW)
    code = "from stabilitybench.cli import main; main()"
    command = [sys.executable, "-c", code, "suite", "run", "slow.toml", "--jobs", "2"]

    def stored():
        folder = tmp_path / "store" / "datasets"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    for goal in (3, 20):
        process = subprocess.Popen(
            command, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 300
        while len(stored()) < goal and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for folder in stored():
            assert json.loads((folder / "record.json").read_text())["id"] == folder.name
    assert len(stored()) > 0
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert len(stored()) == 60
    assert not list((tmp_path / "store" / "drafts").iterdir())
    said = " ".join(ended.stdout.split())
    assert "60 datasets planned, 60 measured; 0 violations of proven bounds in 1500 checks" in said
    killed, calm = (Suite(read_suite(file), Datasets(tmp_path / store)) for store in ("store", "calm"))
    run_suites([calm], jobs=1)
    assert killed.results().to_frame().equals(calm.results().to_frame())
