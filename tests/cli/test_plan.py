"""`stabilitybench plan` as a user meets it: real files, real (tiny) trainings, a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_a_plan_without_a_study_by_the_installed_command(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("stabilitybench")
    asked = [program, "plan", "--spread", "0.5", "--tests", "4", "--figure", "power.png"]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, env=environment)
    out = done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert "Holm's first step: each at 0.05 / 4" in out
    assert re.search(r"spread ratio 0.50 +15 % +50 % +96 % +3\d", out)
    assert "figure: power.png" in out
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["power.png"]


def test_a_mistake_is_one_sentence(cli, tmp_path: Path) -> None:
    for args, said in (
        (("plan",), "error: plan: give a study, or --spread, --level, --failures or --seeds"),
        (("plan", "--failures", "0.5"), "error: "),
        (("plan", "none.toml"), "error: none.toml: there is no such study file"),
        (("plan", "--seeds", "20", "--pilot", "none"), "error: --pilot none: there is no such file"),
    ):
        code, out, err = cli(*args)
        assert code == 2
        assert err.startswith(said)
        assert err.count("\n") == 1
        assert "Traceback" not in out + err


def test_a_study_is_planned_timed_by_its_own_runs_and_by_those_of_another(
    cli, tmp_path: Path, study_file: Path
) -> None:
    code, out, err = cli("plan", "study.toml", "--set", "seeds=20")
    assert (code, err) == (0, "")
    assert "as planned: 40 runs, 0 of them in the store" in out
    assert "no hours" in out

    assert cli("run", "study.toml", "--jobs", "1")[0] == 0
    code, out, err = cli("plan", "study.toml", "--set", "seeds=20", "--set", "name=more")
    assert (code, err) == (0, "")
    assert "as planned: 40 runs, 4 of them in the store, about" in out
    assert "timed by 4 runs in the store" in out
    assert re.search(r"failures in 5 % against 50 % .* \d+ +\d+ +[\d.e-]+\n", out)

    other = ("--set", "name=other", "--set", "recipe.steps=3")
    code, out, err = cli("plan", "study.toml", *other, "--pilot", "results/tiny", "--figure", "figures/power.svg")
    assert (code, err) == (0, "")
    assert "0 of them in the store, about" in out
    assert "timed by results/tiny/scores.csv" in out
    assert (tmp_path / "figures/power.svg").is_file()
    assert not (tmp_path / "results/other").exists()


def test_the_help_teaches_by_example(cli) -> None:
    code, out, _ = cli("plan", "--help")
    assert code == 0
    assert "stabilitybench plan --spread 0.5 --tests 4" in out
    assert "stabilitybench plan rte.toml --pilot results/rte-small" in out
