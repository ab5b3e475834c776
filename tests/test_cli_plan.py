"""`stabilitybench plan` as a user meets it: real files, real (tiny) trainings, a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stabilitybench.cli import main

STUDY = """
name = "tiny"
encoders = ["{encoder}"]
tasks = ["file:{task}"]
seeds = 2
baseline = "plain"

[recipe]
learning_rate = 1e-3
steps = 2
evaluations = 1

[arms]
plain = []
reinit = [{{ reinit = {{ layers = 1 }} }}]
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch, capsys):
    """Return a function that runs the command line in `tmp_path`: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stabilitybench", *args])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return call


def test_a_plan_without_a_study_by_the_installed_command(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("stabilitybench")
    asked = [program, "plan", "--sd-ratio", "2", "--tests", "4", "--figure", "power.png"]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, env=environment)
    out = done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert "Holm's first step: each at 0.05 / 4" in out
    assert re.search(r"SD ratio 2.00 \(or 0.50\) +11 % +44 % +96 % +3\d", out)
    assert "figure: power.png" in out
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["power.png"]


def test_a_mistake_is_one_sentence(command, tmp_path: Path) -> None:
    for args, said in (
        (("plan",), "error: plan: give a study file, or --sd-ratio, --failures or --seeds"),
        (("plan", "--failures", "0.5"), "error: "),
        (("plan", "none.toml"), "error: none.toml: there is no such study file"),
        (("plan", "--seeds", "20", "--pilot", "none"), "error: --pilot none: there is no such file"),
    ):
        code, out, err = command(*args)
        assert code == 2
        assert err.startswith(said)
        assert err.count("\n") == 1
        assert "Traceback" not in out + err


def test_a_study_is_planned_timed_by_its_own_runs_and_by_those_of_another(
    command, tmp_path: Path, tiny_bert: Path, tiny_task: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(STUDY.format(encoder=tiny_bert, task=tiny_task))
    code, out, err = command("plan", "tiny.toml", "--set", "seeds=20")
    assert (code, err) == (0, "")
    assert "as planned: 40 runs, 0 of them in the store" in out
    assert "no hours" in out

    assert command("run", "tiny.toml", "--jobs", "1")[0] == 0
    code, out, err = command("plan", "tiny.toml", "--set", "seeds=20", "--set", "name=more")
    assert (code, err) == (0, "")
    assert "as planned: 40 runs, 4 of them in the store, about" in out
    assert "timed by 4 runs in the store" in out
    assert re.search(r"SD ratio 2.00 .* \d+ +\d+ +[\d.e-]+\n", out)

    other = ("--set", "name=other", "--set", "recipe.steps=3")
    code, out, err = command("plan", "tiny.toml", *other, "--pilot", "results/tiny", "--figure", "figures/power.svg")
    assert (code, err) == (0, "")
    assert "0 of them in the store, about" in out
    assert "timed by results/tiny/scores.csv" in out
    assert (tmp_path / "figures/power.svg").is_file()
    assert not (tmp_path / "results/other").exists()


def test_the_help_teaches_by_example(command) -> None:
    code, out, _ = command("plan", "--help")
    assert code == 0
    assert "stabilitybench plan --sd-ratio 2 --tests 4" in out
    assert "stabilitybench plan rte.toml --pilot results/rte-small" in out
