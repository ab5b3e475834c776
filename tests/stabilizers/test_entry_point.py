"""A package that is installed apart brings a method by its entry point: `list`, `check`, `run` and reports know it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

EXAMPLE = Path(__file__).parents[2] / "examples" / "entry_point"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example package is installed, without a network and away from our own environment."""
    copy = tmp_path_factory.mktemp("package") / "source"
    shutil.copytree(EXAMPLE, copy)  # building leaves files behind
    target = copy.parent / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run([*pip, *offline, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def call(site: Path, folder: Path, *arguments: str) -> str:
    """Run the command with the package on the path; return what it prints."""
    command = [sys.executable, "-c", "from stabilitybench.cli import main; main()", *arguments]
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_list_and_check_know_it(site: Path, tmp_path: Path) -> None:
    listed = call(site, tmp_path, "list", "stabilizers")
    assert "label-smoothing" in listed
    assert "Szegedy et al. 2016" in listed
    checked = call(site, tmp_path, "check", "label-smoothing")
    assert "equals the plain recipe bit for bit" in checked


def test_a_study_and_its_report_know_it(site: Path, tmp_path: Path, tiny_bert: Path, tiny_task: Path) -> None:
    study = (EXAMPLE / "study.toml").read_text("utf-8")
    study = study.replace("pocket/bert-small", str(tiny_bert)).replace("pocket/acceptability", f"file:{tiny_task}")
    short = study.replace("seeds = 10", "seeds = 2") + "\n[recipe]\nsteps = 2\nevaluations = 1\n"
    (tmp_path / "study.toml").write_text(short)
    call(site, tmp_path, "run", "study.toml", "--jobs", "1", "--device", "cpu")
    report = (tmp_path / "results" / "label-smoothing" / "report.md").read_text("utf-8")
    assert "4 runs planned, 4 finished" in report
    assert "label-smoothing with epsilon = 0.1 after Szegedy et al. 2016" in report


def test_it_is_cross_entropy_with_smoothed_targets(site: Path) -> None:
    code = (site / "stabilitybench_label_smoothing" / "__init__.py").read_text("utf-8")
    # the formula alone, without registering the method in this process
    names: dict = {}
    exec(code.replace('@sb.register("label-smoothing")\n', ""), names)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    labels = torch.arange(7) % 3

    class Facts:
        logits: torch.Tensor
        labels: torch.Tensor

    forward, batch, ctx = Facts(), Facts(), Facts()
    forward.logits, batch.labels = logits, labels
    ctx.task = type("Task", (), {"loss": staticmethod(cross_entropy)})  # type: ignore[attr-defined]
    smoothed = cross_entropy(logits, labels) + names["LabelSmoothing"](0.2).penalty(forward, batch, ctx)
    torch.testing.assert_close(smoothed, cross_entropy(logits, labels, label_smoothing=0.2))
