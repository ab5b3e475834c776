"""Studies whose worker has several runs under way at a time: the records of one at a time."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stabilitybench.errors import UserError
from stabilitybench.finetuning import lanes, side_by_side
from stabilitybench.finetuning.lanes import MOST, Lane, room
from stabilitybench.stabilizers import load_file
from stabilitybench.storage import pool
from stabilitybench.studies import Study

ARMS = """reinit = [{ reinit = { layers = 1 } }]
mmr = ["mmr"]
"""


class Told:
    """Remembers what ended, and as what."""

    def __init__(self):
        self.ended, self.workers = [], None

    def start(self, total, done, workers):
        self.workers = workers

    def finished(self, run_id, status):
        self.ended.append((run_id, status))

    def message(self, text):
        raise AssertionError(text)

    def end(self):
        pass


@pytest.fixture
def study_in(write_study, tmp_path):
    """Return a function that opens one study in a store of its own."""
    path = write_study(seeds="2", extra=ARMS)

    def read(name, extra=""):
        if extra not in path.read_text():
            path.write_text(path.read_text() + extra)
        return Study.from_file(path, store=tmp_path / name, results=tmp_path / f"{name}-results")

    return read


def records(results):
    """Return all that was stored, but for the clock."""
    return {i: {**record, "seconds": None} for i, record in results.records.items()}


@pytest.mark.parametrize(("count", "pieces"), [(3, True), (3, False), (20, True)])
def test_records_are_those_of_runs_one_at_a_time(study_in, monkeypatch, count, pieces):
    """On the streams that a device would have, simulated, and on a CPU as it is."""
    simulated = [Lane(torch.device("cpu"), captured=pieces) for _ in range(count)]
    monkeypatch.setattr(side_by_side, "lanes", lambda _, number: simulated[:number])
    told = Told()
    alone = study_in("alone").run(jobs=1, device="cpu", side_by_side=1)
    together = study_in("together").run(jobs=1, device="cpu", side_by_side=count, progress=told)
    assert together.complete
    assert records(together) == records(alone)
    assert dict(told.ended) == {i: record["status"] for i, record in together.records.items()}
    assert len(told.ended) == 8


METHOD = """
from dataclasses import dataclass
from stabilitybench.stabilizers import Stabilizer, register

@register("breaks-in-the-middle")
@dataclass(frozen=True)
class Breaks(Stabilizer):
    '''Break at the second step of seed 1.'''

    def rate(self, name, ctx):
        if ctx.seeds.init == 1 and ctx.step == 1:
            raise RuntimeError("boom")
        return 0.5
"""


def test_a_run_that_crashes_is_recorded_and_its_neighbours_go_on(study_in, tmp_path):
    """In workers with several runs each, which load a method's file themselves."""
    file = tmp_path / "breaks.py"
    file.write_text(METHOD)
    load_file(file)
    study, told = study_in("store", 'breaks = ["breaks-in-the-middle"]\n'), Told()
    results = study.run(jobs=2, device="cpu", side_by_side=2, progress=told)
    crashed = {i: r for i, r in results.records.items() if r["status"] == "crashed"}
    assert [r["reason"] for r in crashed.values()] == ["RuntimeError: boom"]
    assert len(results.records) == 10
    assert dict(told.ended) == {i: r["status"] for i, r in results.records.items()}
    assert (len(told.ended), told.workers) == (10, 2)
    alone = study_in("alone").run(jobs=1, device="cpu")
    ours, theirs = ({i: r for i, r in records(it).items() if i not in crashed} for it in (results, alone))
    assert ours == theirs


def test_a_timeout_is_looked_at_for_each_run(study_in):
    results = study_in("store").run(jobs=1, device="cpu", side_by_side=4, timeout=1e-9)
    assert {r["status"] for r in results.records.values()} == {"timeout"}
    assert len(results.records) == 8


def test_a_count_below_one_is_refused(study_in):
    for bad in (0, -1):
        with pytest.raises(UserError, match=r"^side_by_side = .*: must be at least 1"):
            study_in("store").check(side_by_side=bad)


# -- how many fit


@pytest.mark.parametrize(
    ("free", "ours", "peak", "count"),
    [(60, 20, 16, 4), (60, 20, 17, 3), (10, 60, 60, 1), (78, 2, 0, MOST), (10, 70, 100, 1), (79, 1, 1, MOST)],
)
def test_lanes_fill_most_of_a_card(monkeypatch, free, ours, peak, count):
    card = SimpleNamespace(
        mem_get_info=lambda _: (free, 80), memory_reserved=lambda _: ours, max_memory_reserved=lambda _: peak
    )
    monkeypatch.setattr(lanes, "torch", SimpleNamespace(cuda=card))
    assert room(SimpleNamespace()) == count


# -- progress


def test_progress_is_told_while_workers_are_still_at_work_on_their_pieces(tmp_path, monkeypatch):
    """Each job waits until the watcher has been told of the one before it in its piece."""
    monkeypatch.setattr(pool, "LOOK_EVERY", 0.01)
    folder = str(tmp_path)

    class Watcher(Told):
        def finished(self, run_id, status):
            super().finished(run_id, status)
            (Path(folder) / f"{run_id}.told").touch()

    def work(jobs):
        for before, job in zip([None, *jobs], jobs, strict=False):
            for _ in range(6000):
                if before is None or (Path(folder) / f"{before}.told").exists():
                    break
                time.sleep(0.01)
            else:
                raise AssertionError(f"nobody was told of {before}")
            (Path(folder) / job).touch()
            yield job, "failed"

    def status(job):
        return "failed" if (Path(folder) / job).exists() else None

    told = Watcher()
    pool.do_all([{"a": "a", "b": "b"}, {"c": "c", "d": "d"}], work, 2, status, told)
    assert sorted(told.ended) == [(name, "failed") for name in "abcd"]
