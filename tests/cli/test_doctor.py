"""The doctor: it must see what is wrong, and leave the machine as it was."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from stabilitybench.cli.views import doctor


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def embedded(monkeypatch, tiny_bert):
    """Let a tiny encoder stand for the embedded ones."""
    monkeypatch.setattr(doctor, "pocket_encoders", lambda: {str(tiny_bert): {}})


def examine(store, results):
    console = Console(file=io.StringIO(), width=200, markup=False)
    fit = doctor.print_doctor(console, store, results)
    lines = console.file.getvalue().splitlines()
    return fit, {line.split()[1]: line for line in lines[:-1]}, lines[-1]


def test_a_fit_machine_is_said_to_be_fit_and_nothing_is_left_behind(tmp_path, embedded):
    fit, lines, verdict = examine(tmp_path / "a/store", tmp_path)
    assert fit
    assert verdict == "this machine is fit"
    assert {line.split()[0] for line in lines.values()} <= {"ok", "note"}
    assert f"can be made in {tmp_path}" in lines["store"]
    assert "can be written" in lines["results"]
    assert "equal seeds gave equal weights to the last bit, other seeds gave others" in lines["repeats"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_bad(tmp_path, embedded):
    (tmp_path / "store").write_text("")
    fit, lines, verdict = examine(tmp_path / "store", tmp_path)
    assert not fit
    assert lines["store"].startswith("bad")
    assert verdict == "this machine is not fit: see the lines that begin with bad"


def test_a_folder_that_cannot_be_written_is_bad(tmp_path, embedded):
    fit, lines, _ = examine(tmp_path, Path("/proc/store"))
    assert not fit
    assert lines["results"].startswith("bad")
    assert "/proc cannot be written" in lines["results"]


@pytest.mark.parametrize(("same", "words"), [(False, "different weights"), (True, "the same weights")])
def test_trainings_that_do_not_repeat_or_ignore_their_seeds_are_bad(tmp_path, embedded, monkeypatch, same, words):
    from dataclasses import replace

    real, calls = doctor.finetune, []

    def odd(*args, **kwargs):
        calls.append(1)
        return replace(real(*args, **kwargs), weights="x" if same else str(len(calls)))

    monkeypatch.setattr(doctor, "finetune", odd)
    fit, lines, _ = examine(tmp_path, tmp_path)
    assert not fit
    assert words in lines["repeats"]


def test_a_missing_embedded_encoder_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "pocket_encoders", dict)
    fit, lines, _ = examine(tmp_path, tmp_path)
    assert not fit
    assert "install stabilitybench again" in lines["embedded"]


def test_no_network_is_only_a_note(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    finding = doctor._hub()
    assert finding.verdict == "note"
    assert "cannot be reached" in finding.words
