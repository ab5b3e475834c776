"""What a file brings along (names, labels, texts, paths) never commands the terminal, nor forges a line of ours."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EVIL = "[red]\x1b[31m\x1b]0;t\x07\x9b2J\u202e\u2066\x7f\rFORGED"
#: Controls, marks of direction, and line breaks that are not ours; a line break of ours is a newline, which stays.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2060-\u206f]")
NAME = f"{EVIL}\nFORGED"
STUDY = """
name = "names"
encoders = [{encoder}]
tasks = [{task}]
seeds = 3
baseline = "plain"

[recipe]
learning_rate = 1e-3
steps = 2
evaluations = 1

[arms]
plain = []
reinit = ["reinit"]
"""


def lines(split: str, rows: int) -> Iterator[str]:
    for i in range(rows):
        text = f"the dog {split} {i % 7} is {('rude', 'kind')[i % 2]} {NAME}"
        yield json.dumps({"sentence": text, "label": ("no", "yes")[i % 2] + NAME})


@pytest.fixture
def evil(tmp_path: Path, tiny_bert: Path) -> Path:
    """A folder with a study, a task, an encoder and tables of scores, whose names and labels command a terminal."""
    folder = tmp_path / "work"
    encoder, task = folder / f"enc{NAME}", folder / f"task{NAME}"
    shutil.copytree(tiny_bert, encoder)
    task.mkdir()
    for split, rows in (("train", 40), ("dev", 24)):
        (task / f"{split}.jsonl").write_text("\n".join(lines(split, rows)) + "\n")
    text = STUDY.format(encoder=json.dumps(str(encoder)), task=json.dumps(f"file:{task}"))
    (folder / f"study{NAME}.toml").write_text(text.replace("\x7f", "\\u007f"))
    for name, score in (("a", 0.7), ("b", 0.6)):
        rows = "\n".join(f'{score + i / 100},"{EVIL}",=cmd()' for i in range(4))
        (folder / f"{name}{NAME}.csv").write_text(f"score,task,arm\n{rows}\n", newline="")
    (folder / f"method{NAME}.py").write_text(METHOD)
    return folder


METHOD = '''
from dataclasses import dataclass
from stabilitybench.stabilizers import Stabilizer, register

@register("evil")
@dataclass(frozen=True)
class Evil(Stabilizer):
    """Do [red]\\x1b[31m\\u202enothing.

    Modifies: nothing.
    """

    paper = "\\x1b]0;t\\x07 2026"
    word: str = "\\x1b[2J"
'''


def test_no_command_prints_what_commands_a_terminal(cli, evil: Path, tmp_path: Path) -> None:
    study, task, encoder = (f"{evil}/{name}{NAME}" for name in ("study", "task", "enc"))
    study += ".toml"
    folders = ("--store", f"{evil}/store{NAME}", "--results", f"{evil}/results{NAME}")
    said = []

    def run(*args: str, code: int = 0) -> str:
        ended, out, err = cli(*args)
        assert ended == code, err
        for text in (out, err):
            assert CONTROLS.findall(text) == []
            assert not [line for line in text.split("\n") if line.lstrip().startswith("FORGED")]
        said.append(out + err)
        return out

    run("run", study, "--jobs", "1", *folders)
    run("status", study, *folders)
    run("report", study, *folders)
    run("run", study, "--dry-run", "--set", "name=other", *folders)
    run("plan", study, *folders)
    run("inspect", task, "--encoder", encoder)
    run("certify", encoder, f"file:{task}", "--n", "20", "--steps", "1")
    run("list", "stabilizers", "--with", f"{evil}/method{NAME}.py")
    run("compare", f"{evil}/a{NAME}.csv", f"{evil}/b{NAME}.csv", "--out", f"{evil}/out{NAME}")
    run("new", "study", f"{tmp_path}/new{NAME}.toml")
    ids = [path.name for path in Path(f"{evil}/store{NAME}/runs").iterdir()]
    for run_id in ids[:2]:
        run("show", run_id, "--store", f"{evil}/store{NAME}")
    run("compare", f"{evil}/results{NAME}/names", f"{evil}/b{NAME}.csv", code=2)
    run("status", study, "--set", f'encoders=["{encoder.replace(chr(10), "")}"]', *folders, code=2)
    run("inspect", f"{task}/none", code=2)
    run("suite", "report", f"{evil}/none{NAME}.toml", code=2)
    assert any("[red]\\x1b[31m" in text for text in said)  # names are told, and as they are

    reports = [p for where in ("results", "out") for p in Path(f"{evil}/{where}{NAME}").rglob("*") if p.is_file()]
    assert {path.suffix for path in reports} >= {".html", ".md", ".tex", ".csv"}
    for path in reports:
        if path.name != "study.json":
            assert CONTROLS.findall(path.read_text("utf-8").replace("\t", "")) == [], path.name


def test_a_record_that_tells_a_forged_story_is_printed_as_it_is(cli, evil: Path) -> None:
    study = f"{evil}/study{NAME}.toml"
    cli("run", study, "--jobs", "1", "--no-report")
    file = next(Path("store/runs").glob("*/run.json"))
    record = json.loads(file.read_text())
    record.update(machine=NAME, device=NAME, warnings=[NAME], weights=NAME)
    record["labels"].update(encoder=NAME, task=NAME, stabilizers=[NAME])
    record["versions"][NAME] = NAME
    file.write_text(json.dumps(record))
    for args in (("show", record["id"]), ("status", study), ("report", study)):
        code, out, err = cli(*args)
        assert (code, err) == (0, "")
        assert CONTROLS.findall(out) == []
        assert not [line for line in out.split("\n") if line.lstrip().startswith("FORGED")]


def test_what_a_library_prints_to_standard_error_is_printable_too(cli, monkeypatch) -> None:
    from stabilitybench.cli.views import doctor

    def loud(*_: object) -> bool:
        print("\x1b[2Jboo", file=sys.stderr)
        return True

    monkeypatch.setattr(doctor, "print_doctor", loud)
    code, _, err = cli("doctor")
    assert code == 0
    assert "\\x1b[2Jboo" in err
    assert CONTROLS.findall(err) == []
