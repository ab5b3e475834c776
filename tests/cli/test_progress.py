"""The bar: what it says must be true of the runs it was told of."""

import io

import pytest
from rich.console import Console

from stabilitybench.cli.views.progress import Bar
from stabilitybench.planning.seed_lines import seed_lines
from stabilitybench.studies import Study

STUDY = {
    "name": "demo",
    "encoders": ["pocket/bert-small"],
    "tasks": ["pocket/sentiment", "pocket/entailment"],
    "seeds": 20,
    "baseline": "plain",
    "arms": {"plain": [], "reinit": ["reinit"]},
}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def bar(clock, *, terminal=False, **changes):
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, markup=False)
    return Bar.of_study(console, Study.from_dict({**STUDY, **changes}), clock), console.file


def test_the_headline_multiplies_out():
    assert Study.from_dict(STUDY).headline.startswith("Study  demo: 2 arms x 2 tasks x 20 seeds = 80 runs on ")
    crossed = {**STUDY, "seeds": {"init": 3, "order": 2}, "encoders": ["a/b", {"name": "c", "revision": "v1"}]}
    assert Study.from_dict(crossed).headline == (
        "Study  demo: 2 encoders x 2 arms x 2 tasks x 6 seeds = 48 runs on a/b, c@v1"
    )
    one = {**STUDY, "seeds": 1, "tasks": ["pocket/sentiment"], "arms": {"plain": []}}
    assert "1 arm x 1 task x 1 seed = 1 run on" in Study.from_dict(one).headline


def test_a_log_gets_a_line_each_tenth_and_one_at_the_end(clock):
    watcher, out = bar(clock)
    watcher.start(80, 0, 2)
    for i in range(80):
        clock.now += 3.0
        watcher.finished(f"{i:016x}", "failed" if i < 5 else "diverged" if i == 5 else "ok")
    watcher.end()
    lines = out.getvalue().splitlines()
    assert lines[:3] == [Study.from_dict(STUDY).headline, *seed_lines(Study.from_dict(STUDY).file)]
    assert lines[3] == "running: 80 runs to do, 2 workers"
    assert [line.split()[1] for line in lines[4:]] == [f"{k}/80" for k in range(8, 81, 8)]
    assert lines[4] == "running 8/80  2 workers  6 failed  ETA 3:36"
    assert lines[-1].endswith("ETA 0:00")


def test_the_eta_counts_only_runs_of_this_session_and_runs_down_between_them(clock):
    watcher, _ = bar(clock)
    watcher.start(100, 60, 1)
    assert watcher.eta() == "-:--"
    clock.now = 10.0
    watcher.finished("a", "ok")
    assert watcher.eta() == "6:30"  # 39 runs of 10 s, whatever the 60 stored ones cost
    clock.now = 15.0
    assert watcher.eta() == "6:25"
    clock.now = 10_000.0
    assert watcher.eta() == "0:00"  # never negative


def test_long_times_have_hours(clock):
    watcher, _ = bar(clock)
    watcher.start(101, 0, 1)
    clock.now = 100.0
    watcher.finished("a", "ok")
    assert watcher.eta() == "2:46:40"


def test_nothing_to_do_is_said(clock):
    watcher, out = bar(clock)
    watcher.start(80, 80, 1)
    watcher.end()
    assert out.getvalue().splitlines()[3] == "running: all 80 runs are in the store already"


def test_tuning_and_running_are_told_apart_under_one_headline(clock):
    watcher, out = bar(clock, tune={"grid": {"epochs": [1, 2]}})
    for total in (12, 80):
        watcher.start(total, 0, 1)
        watcher.end()
    head, *_, first, second = (line.split(":")[0] for line in out.getvalue().splitlines())
    assert (head, first, second) == ("Study  demo", "tuning", "running")


def test_a_terminal_gets_a_bar_with_counts_workers_failures_and_messages(clock):
    watcher, out = bar(clock, terminal=True)
    watcher.start(4, 1, 2)
    watcher.message("run [0] was damaged")
    clock.now = 60.0
    watcher.finished("a", "crashed")
    watcher.finished("b", "failed")
    watcher.end()
    text = out.getvalue()
    assert "run [0] was damaged" in text
    assert "3/4" in text
    assert "2 workers  1 failed  1 crashed  ETA 0:30" in text
    watcher.end()  # a second end does no harm
