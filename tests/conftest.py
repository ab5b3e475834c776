"""The command line in a temporary folder; encoders and a task that train in milliseconds, the same in each session."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Cli = Callable[..., tuple[int, str, str]]
LAYERS, WIDTH = 2, 16
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
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs the command line in `tmp_path` and returns (exit code, output, errors)."""
    from stabilitybench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stabilitybench", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return call


@pytest.fixture(scope="session")
def study_template() -> str:
    """A study of four runs, to be filled in with `format(encoder=..., task=...)`."""
    return STUDY


@pytest.fixture
def study_file(tmp_path: Path, tiny_bert: Path, tiny_task: Path) -> Path:
    """That study, on the tiny encoder and task, as study.toml in `tmp_path`."""
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(encoder=tiny_bert, task=tiny_task))
    return path


def save_tiny_encoder(folder: Path, style: str) -> Path:
    """Write a random encoder of two layers, 16 wide, that knows the words of the pocket language."""
    from stabilitybench.encoders.specification import PretrainingSpec, build_model
    from stabilitybench.language.tokenizer import build_tokenizer

    spec = PretrainingSpec("tiny", style, LAYERS, WIDTH, heads=2, steps=1, learning_rate=1e-3, finetuning_rate=1e-3)
    build_model(spec).save_pretrained(folder)
    build_tokenizer(style).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a BERT with a pooler: config.json, model.safetensors and a word-level tokenizer."""
    return save_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny-bert", "bert")


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a RoBERTa (no pooler): config.json, model.safetensors and a word-level tokenizer."""
    return save_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny-roberta", "roberta")


def write_tiny_task(folder: Path, *, train: int = 40, dev: int = 24) -> Path:
    """Write train.tsv and dev.tsv of a learnable two-class task: is the last word "kind" or "rude"?"""
    rng = np.random.default_rng(20)
    people = ("dog", "cat", "teacher")
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("dev", dev)):
        lines = ["sentence\tlabel"]
        for i in range(rows):
            start = f"the {rng.choice(people)} {name} {i} is"
            lines.append(f"{start} {('rude', 'kind')[i % 2]}\t{i % 2}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 40 training and 24 dev rows as TSV; half of the dev rows become the test split."""
    return write_tiny_task(tmp_path_factory.mktemp("tasks") / "tiny")
