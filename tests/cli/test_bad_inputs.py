"""Whatever is given to the command line: one printable sentence and an exit code, soon and within bounds of memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stabilitybench.printing import LONGEST, printable
from support import bad_commands, bad_encoders, bad_studies, bad_tables
from support.bad_input import BadInput
from support.bad_studies import study
from support.command_worker import CPU, Worker

BAD: list[BadInput] = [
    *bad_studies.study_files(),
    *bad_studies.overrides(),
    *bad_studies.options(),
    *bad_tables.tables(),
    *bad_encoders.encoders(),
    *bad_commands.scores(),
    *bad_commands.special_files(),
    *bad_commands.suites(),
    *bad_commands.arguments(),
    *bad_commands.records(),
]
#: One in so many is met in every run of the tests; `make test-slow` meets them all.
EVERY = 8


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    it = Worker()
    yield it
    it.close()


@pytest.fixture
def folder(tmp_path: Path, tiny_bert: Path, tiny_task: Path) -> Path:
    shutil.copytree(tiny_bert, tmp_path / "enc")
    shutil.copytree(tiny_task, tmp_path / "task")
    (tmp_path / "study.toml").write_text(study())
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("score\n0.7\n0.8\n0.75\n")
    return tmp_path


def meet(case: BadInput, folder: Path, worker: Worker) -> None:
    case.prepare(folder)
    said = worker.run(folder, case.args)
    out, err = said["out"], said["err"]
    assert (said["code"] in (1, 2), out, err[:7]) == (True, "", "error: "), err[-500:]
    assert err.endswith("\n")
    told = err.removeprefix("error: ").removesuffix("\n")
    assert told == printable(told)
    assert 10 < len(told) <= LONGEST
    assert said["cpu"] < CPU


def test_there_are_three_hundred() -> None:
    assert len(BAD) == len({case.name for case in BAD}) >= 300


def test_what_they_spoil_is_fine_before(folder: Path, worker: Worker) -> None:
    for args in (
        ("status", "study.toml"),
        ("certify", "enc", "task", "--n", "20", "--steps", "1"),
        ("compare", "a.csv", "b.csv"),
    ):
        said = worker.run(folder, args)
        assert (said["code"], said["err"]) == (0, "")


@pytest.mark.parametrize("case", BAD[::EVERY], ids=[case.name for case in BAD[::EVERY]])
def test_one_sentence(case: BadInput, folder: Path, worker: Worker) -> None:
    meet(case, folder, worker)


SLOW = [case for place, case in enumerate(BAD) if place % EVERY]


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=[case.name for case in SLOW])
def test_one_sentence_of_all_the_others(case: BadInput, folder: Path, worker: Worker) -> None:
    meet(case, folder, worker)
