"""Options that several commands share, and what they do with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stabilitybench import argument_checks
from stabilitybench.errors import Argument, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.studies import Study

#: Columns of a log file or a pipe, where there is no terminal to ask.
LOG_WIDTH = 120

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the file, as often as needed: recipe.epochs=5."),
]
With = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="FILE.py", help="Run a Python file of yours, which registers stabilizers."),
]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder of finished runs, shared by all studies.")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Folder of reports: <results>/<name of the study>/.")]
Unpaired = Annotated[
    bool, typer.Option("--unpaired", help="Take runs of equal seeds as independent; the verdicts say so.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", help="Worker processes; default: one for each core, or each GPU.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:K.")]
SideBySide = Annotated[
    int | None,
    typer.Option("--side-by-side", metavar="K", help="Runs at a time on one GPU; default: what its memory holds."),
]
ShardText = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Do only part K of N, on one of N machines that share a store."),
]
Retry = Annotated[bool, typer.Option("--retry", help="Do crashed and timed-out runs again, too.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", help="Give a run up after this many seconds; looked at when it is evaluated."),
]
Save = Annotated[
    str | None,
    typer.Option("--save", metavar="last|best", help="Keep the weights of that checkpoint as a Hugging Face folder."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done, train nothing.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Do the runs only.")]


def open_console() -> Console:
    """Return a console on which nothing that a user wrote is markup, nor a command to the terminal."""
    from stabilitybench.documents.terminal import PlainConsole

    console = PlainConsole()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = LOG_WIDTH
    return console


def read_study(path: Path, overrides: list[str] | None, files: list[Path] | None, store: Path, results: Path) -> Study:
    """Read a study file, after the files that register the user's own stabilizers.

    Parameters
    ----------
    path : Path
        The study file.
    overrides : list of str or None
        Texts ``key=value`` that replace keys of the file.
    files : list of Path or None
        Python files, loaded in this order.
    store : Path
        Folder of finished runs.
    results : Path
        Folder of reports.

    Raises
    ------
    UserError
        Where a file cannot be read or its content is refused.
    """
    from stabilitybench.stabilizers import load_file
    from stabilitybench.studies import Study

    check_folders(store, results)
    for file in files or []:
        load_file(file)
    return Study.from_file(path, overrides or [], store=store, results=results)


def check_folders(store: Path, results: Path) -> None:
    """Raise UserError where a folder to write to is a file.

    Parameters
    ----------
    store : Path
        Folder of finished runs; need not exist yet.
    results : Path
        Folder of reports; need not exist yet.
    """
    for name, given in (("store", store), ("results", results)):
        folder = argument_checks.path(name, given).expanduser()
        if folder.exists() and not folder.is_dir():
            raise UserError(Argument(name, folder), ": is a file; must be a folder, or a name for a new one")


@contextmanager
def waiting(console: Console, text: str) -> Iterator[None]:
    """Turn a spinner while the block works; in a log, say nothing.

    Parameters
    ----------
    console : rich.console.Console
        Where it turns.
    text : str
        What is being done.

    Yields
    ------
    None
        The block runs.
    """
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield
