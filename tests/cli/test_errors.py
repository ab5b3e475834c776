"""The same mistakes on the command line: they name the option."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from stabilitybench.cli import app
from stabilitybench.cli.option_errors import in_options
from stabilitybench.errors import Argument, UserError

SCORES = "score\n0.7\n0.8\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("run", "study.toml", "--jobs", "0"), "--jobs 0: must be at least 1\n"),
        (("run", "study.toml", "--side-by-side", "0"), "--side-by-side 0: must be at least 1\n"),
        (("run", "study.toml", "--device", "gpu"), '--device "gpu": must be auto, cpu, cuda or cuda:K\n'),
        (("run", "study.toml", "--timeout", "-1"), "--timeout -1: must be a positive number of seconds\n"),
        (("run", "study.toml", "--set", "recipe.lr=1e-4"), "study.toml: recipe.lr: unknown key; "),
        (
            ("run", "study.toml", "--set", 'arms.reinit=["no"]'),
            'study.toml: arms.reinit[0]: stabilizer "no" is unknown',
        ),
        (("suite", "run", "head-n", "--jobs", "0"), "--jobs 0: must be at least 1\n"),
        (("compare", "a.csv", "b.csv", "--no-skill", "5"), "--no-skill 5: must lie between -1 and 1, as the scores do"),
        (("compare", "a.csv", "b.csv", "--column", "x"), 'a.csv: no column "x"'),
        (("plan", "--spread", "1"), "--spread 1: must lie between 0.01 and 100 and differ from 1"),
        (("plan", "--failures", "2", "0.5"), "--failures 2: must be a rate between 0 and 1"),
        (("claims", "--tier", "pockt"), '--tier "pockt": must be one of analytic, '),
        (
            ("inspect", "pocket/nothing", "--encoder", "pocket/bert-small"),
            'inspect "pocket/nothing": neither a folder nor a task',
        ),
    ],
)
def test_a_mistake_names_the_option(cli, study_file: Path, args: tuple[str, ...], said: str) -> None:
    Path("a.csv").write_text(SCORES)
    Path("b.csv").write_text(SCORES)
    code, out, err = cli(*args)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert " = 0" not in err


def test_remedies_name_options_too(cli, study_file: Path) -> None:
    Path("a.csv").write_text(SCORES)
    Path("b.csv").write_text("score\n70\n80\n")
    assert cli("compare", "a.csv", "b.csv")[2].endswith("for scores times 100, give --points\n")
    assert (
        "or registered by a file that is loaded with --with"
        in cli("run", "study.toml", "--set", 'arms.reinit=["no"]')[2]
    )


def test_what_a_command_has_no_option_for_stays_in_pythons_words() -> None:
    claims = typer.main.get_command(app).commands["claims"]  # type: ignore[attr-defined]
    error = UserError(Argument("tiers", "x"), ": not ", Argument("jobs", 0), " or ", Argument("files", python="load"))
    assert in_options(error, claims) == '--tier "x": not jobs = 0 or load'
