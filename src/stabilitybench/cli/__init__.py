"""The command line: it parses, calls one function, and prints."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from stabilitybench.cli import machine, prepare, studies, theory
from stabilitybench.cli.option_errors import SpeakingGroup
from stabilitybench.errors import EnvironmentFailure, UserError, shown
from stabilitybench.printing import one_line, printable_errors

__all__ = ["app", "main"]

INTERRUPTED = 130  # what shells give a process that Ctrl-C ended; typer returns it too
TERMINATED = 143  # what they give one that SIGTERM ended

app = typer.Typer(
    cls=SpeakingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Measure how stable the fine-tuning of pretrained encoders is, and what makes it more stable.

A study trains every arm (a list of stabilizers) on every task with many
seeds, and reports how often runs fail and how far their scores spread.
Try it, offline and in minutes on two cores:

    stabilitybench new study my_study.toml
    stabilitybench run my_study.toml
    stabilitybench show 3f9c

`stabilitybench COMMAND --help` has examples of each command.
""",
)
for part in (studies, prepare, machine, theory):  # in the order of the help
    app.add_typer(part.commands)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"stabilitybench {installed('stabilitybench')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input exits with 2, a failing machine with 1, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a console that lacks a character gets "?", not a traceback
            stream.reconfigure(errors="replace")
    with printable_errors(sys.stderr), _termination_interrupts() as asked:
        code = _exit_code()
        sys.exit(TERMINATED if asked and code == INTERRUPTED else code)


def _exit_code() -> int:
    """Run the command that was given, tell in one line what went wrong, and return the exit code."""
    try:
        code = app(prog_name="stabilitybench", standalone_mode=False)
        sys.stdout.flush()
    except (UserError, EnvironmentFailure) as error:
        return _failed(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # of a name, a folder or a disk that nothing on the way has told of
        return _failed(f"{shown(str(error.filename or ''))}: {error.strerror or error}", EnvironmentFailure.exit_code)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a mistake in the command line itself
            return _failed(_usage(error), 2)
        traceback.print_exc()  # a mistake of ours, told where nothing in it commands the terminal
        return 1
    if code == INTERRUPTED:
        return _failed("interrupted; finished runs are kept, the same command goes on from there", code)
    return code if isinstance(code, int) else 0


@contextmanager
def _termination_interrupts() -> Iterator[list[int]]:
    """Let SIGTERM, by which batch systems end a process, do what Ctrl-C does; the list tells whether it came."""
    asked: list[int] = []

    def interrupt(number: int, _: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _usage(error: Any) -> str:
    """Return what is wrong with the command line, in one line; nothing where the help was printed instead."""
    said = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{said}; see `{context.command_path} --help`" if said and context is not None else said


def _failed(message: str, code: int) -> int:
    if message:
        print(f"error: {one_line(message)}", file=sys.stderr)
    return code
