"""Pretraining from the command line: the bar changes nothing about the encoder."""

import io

import pytest
from rich.console import Console

from stabilitybench.cli.views import pretrain
from stabilitybench.encoders.specification import PretrainingSpec
from stabilitybench.errors import UserError

TINY = PretrainingSpec("tiny", "bert", 1, 16, 2, 20, learning_rate=1e-3, finetuning_rate=1e-3, batch=4)


@pytest.fixture
def console(monkeypatch):
    monkeypatch.setattr(pretrain, "SPECS", {"tiny": TINY})
    return Console(file=io.StringIO(), width=200, markup=False)


def test_progress_is_logged_and_the_outcome_told(console, tmp_path):
    pretrain.pretrain_with_progress("pocket/tiny", tmp_path / "out", 12, console)
    lines = console.file.getvalue().splitlines()
    assert lines[-2].startswith("pretraining 12/12  loss ")
    assert lines[-1].startswith(f"{tmp_path / 'out'}: ")
    assert "nats per masked word, next-sentence accuracy" in lines[-1]
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_mistakes_are_seen_before_anything_is_computed(console, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "pretrain", None)
    with pytest.raises(UserError, match='encoder "tiny": must be one of pocket/tiny'):
        pretrain.pretrain_with_progress("tiny", tmp_path / "out", None, console)
    with pytest.raises(UserError, match="exists already"):
        pretrain.pretrain_with_progress("pocket/tiny", tmp_path, None, console)
    with pytest.raises(UserError, match="steps = 0: must be at least 1"):
        pretrain.pretrain_with_progress("pocket/tiny", tmp_path / "out", 0, console)
