"""``kill -9`` at random moments of a study: started again, it ends as if nothing had happened."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from stabilitybench.studies import Study

ARMS = """reinit = [{ reinit = { layers = 1 } }]
freeze = [{ freeze = { layers = 1 } }]
"""
COMMAND = [sys.executable, "-c", "from stabilitybench.cli import main; main()", "run", "study.toml", "--no-report"]
PATIENCE = 300


def start(folder, jobs, *options):
    # A process group of its own, so that the workers can be killed with their parent.
    return subprocess.Popen(
        [*COMMAND, "--jobs", str(jobs), *options], cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def stored(folder):
    runs = folder / "store" / "runs"
    return sorted(p.name for p in runs.iterdir()) if runs.is_dir() else []


def check_no_partial_file(folder):
    for run_id in stored(folder):
        record = json.loads((folder / "store" / "runs" / run_id / "run.json").read_text())
        assert record["id"] == run_id
        assert (folder / "store" / "runs" / run_id / "predictions.parquet").stat().st_size > 0


def kill_often(folder, kills, rng, at_once, *options):
    """Kill the study `kills` times: after a few more runs, at any moment inside the next one."""
    for k in range(kills):
        jobs, goal = 1 + k % 2, len(stored(folder)) + int(rng.integers(0, at_once + 1))
        process = start(folder, jobs, *options)
        deadline = time.monotonic() + PATIENCE
        while len(stored(folder)) < goal and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.15)) if goal else float(rng.uniform(0, 4)))
        if rng.random() < 0.5:  # the parent alone: its workers must not do harm afterwards
            process.kill()
            process.wait()
            check_no_partial_file(folder)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        check_no_partial_file(folder)


def finish_and_compare(folder, study_path, tmp_path):
    process = start(folder, 2)
    assert process.wait(PATIENCE) == 0
    check_no_partial_file(folder)
    results = Study.from_file(study_path, store=folder / "store", results=folder / "results").results()
    assert results.complete
    assert stored(folder) == sorted(run.spec.id for run in results.runs)
    assert not list((folder / "store" / "drafts").iterdir())
    assert not (folder / "store" / "damaged").exists()
    untouched = Study.from_file(study_path, store=tmp_path / "calm", results=tmp_path / "calm-results")
    calm = untouched.run(jobs=1, device="cpu")
    for run in results.runs:
        ours, theirs = (dict(r.records[run.spec.id], seconds=None) for r in (results, calm))
        assert ours == theirs


@pytest.fixture
def forty(write_study):
    path = write_study(seeds="10", extra=ARMS)
    assert len(Study.from_file(path).plan()) == 40
    return path


def test_three_kills(forty, tmp_path):
    kill_often(tmp_path, 3, np.random.default_rng(0), at_once=12)
    finish_and_compare(tmp_path, forty, tmp_path)


def test_kills_while_several_runs_are_under_way(forty, tmp_path):
    kill_often(tmp_path, 2, np.random.default_rng(2), 12, "--side-by-side", "3")
    finish_and_compare(tmp_path, forty, tmp_path)


@pytest.mark.slow
def test_twenty_kills(forty, tmp_path):
    kill_often(tmp_path, 20, np.random.default_rng(1), at_once=3)
    finish_and_compare(tmp_path, forty, tmp_path)


def test_a_full_disk_stops_the_study_keeps_what_is_done_and_goes_on_later(forty, tmp_path):
    """A real file system of 300 kB, in a namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True)
    if probe.returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    keep = tmp_path / "kept"
    script = (
        f"mount -t tmpfs -o size=300k tmpfs {disk} && "
        f"{sys.executable} -c 'from stabilitybench.cli import main; main()' run {forty} --no-report --jobs 1 "
        f"--store {disk} --results {tmp_path}/results; code=$?; cp -r {disk} {keep}; exit $code"
    )
    ended = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1
    assert "the disk is full" in ended.stderr
    assert "Traceback" not in ended.stderr
    done = sorted(p.name for p in (keep / "runs").iterdir())
    assert 1 <= len(done) < 40
    study = Study.from_file(forty, store=keep, results=tmp_path / "results")
    assert all(study.store.read(run_id)["status"] in ("ok", "failed") for run_id in done)
    seen = []

    class Watch:
        def start(self, total, done, workers):
            seen.append((total, done))

        finished = message = lambda self, *_: None
        end = lambda self: None  # noqa: E731

    assert study.run(jobs=1, device="cpu", progress=Watch()).complete
    assert seen == [(40, len(done))]
