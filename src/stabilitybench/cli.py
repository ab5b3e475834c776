"""The command line: it parses, calls one function, and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stabilitybench.errors import EnvironmentFailure, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.studies import Results, Study

#: Columns of a log file or a pipe, where there is no terminal to ask.
LOG_WIDTH = 120
INTERRUPTED = 130  # what shells give a process that Ctrl-C ended; typer returns it too
STUDIES, LOOK, MACHINE = "Studies", "Before a study", "This machine and its encoders"

app = typer.Typer(
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
new_app = typer.Typer(
    no_args_is_help=True,
    help="""Write a commented example file to start from.

    stabilitybench new study my_study.toml
""",
)
app.add_typer(new_app, name="new", rich_help_panel=LOOK)

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the file, as often as needed: recipe.epochs=5."),
]
With = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="FILE.py", help="Load a Python file of yours that registers stabilizers."),
]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder of finished runs, shared by all studies.")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Folder of reports: <results>/<name of the study>/.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", help="Worker processes; left out: one for each core, or each GPU.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:K.")]
ShardText = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Do only part K of N, on one of N machines that share a store."),
]
Retry = Annotated[bool, typer.Option("--retry", help="Do crashed and timed-out runs again, too.")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Give a run up after this many seconds.")]
Save = Annotated[
    str | None,
    typer.Option("--save", metavar="last|best", help="Keep the weights of that checkpoint as a Hugging Face folder."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done, train nothing.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Do the runs only.")]


def main() -> None:
    """Run the command line; bad input exits with 2, a failing machine with 1, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a console that lacks a character gets "?", not a traceback
            stream.reconfigure(errors="replace")
    try:
        code = app(prog_name="stabilitybench", standalone_mode=False)
        sys.stdout.flush()
    except (UserError, EnvironmentFailure) as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a mistake in the command line itself
            _fail(_usage(error), 2)
        raise
    if code == INTERRUPTED:
        _fail("interrupted; finished runs are kept, the same command goes on from there", code)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Any) -> str:
    """Return what is wrong with the command line, in one line; nothing where the help was printed instead."""
    said = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{said}; see `{context.command_path} --help`" if said and context is not None else said


def _fail(message: str, code: int) -> None:
    if message:
        print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _console() -> Console:
    from rich.console import Console

    # Names and messages come from users: nothing in them is markup.
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = LOG_WIDTH
    return console


def _study(path: Path, overrides: list[str] | None, files: list[Path] | None, store: Path, results: Path) -> Study:
    from stabilitybench.stabilizers import load_file
    from stabilitybench.studies import Study

    _check_folders(store, results)
    for file in files or []:
        load_file(file)
    return Study.from_file(path, overrides or [], store=store, results=results)


def _check_folders(store: Path, results: Path) -> None:
    for option, folder in (("--store", store), ("--results", results)):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{option} {folder}: is a file; must be a folder, or a name for a new one")


@app.command(rich_help_panel=STUDIES)
def run(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    jobs: Jobs = None,
    device: Device = "auto",
    shard: ShardText = None,
    retry: Retry = False,
    timeout: Timeout = None,
    save: Save = None,
    dry_run: DryRun = False,
    no_report: NoReport = False,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Do the runs a study still lacks, then report. Start it again to go on after an interruption.

    stabilitybench run rte.toml
    stabilitybench run rte.toml --dry-run
    stabilitybench run rte.toml --jobs 4 --set seeds=5 --set name=rte-quick
    stabilitybench run rte.toml --with my_method.py --device cuda
    """
    from stabilitybench.reports.progress import Bar

    console = _console()
    it = _study(study, overrides, files, store, results)
    if dry_run:
        it.check(jobs=jobs, device=device, timeout=timeout, save=save, retry=retry, shard=shard)
        _print_plan(it, console)
        return
    watcher = Bar(console, it)
    found = it.run(jobs=jobs, device=device, timeout=timeout, save=save, retry=retry, shard=shard, progress=watcher)
    if no_report:
        _print_coverage(found, console)
    else:
        _report(it, found, console)


@app.command(rich_help_panel=STUDIES)
def status(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Say how far a study is, and which runs failed or are missing.

    stabilitybench status rte.toml
    """
    it = _study(study, overrides, files, store, results)
    _print_coverage(it.results(), _console(), every_failure=True)


@app.command(rich_help_panel=STUDIES)
def report(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Write report.html, report.md and scores.csv from what the store holds of a study, complete or not.

    stabilitybench report rte.toml
    stabilitybench report rte.toml --results shared/results
    """
    it = _study(study, overrides, files, store, results)
    it.claim_name()  # another study's report is not overwritten
    _report(it, it.results(), _console())


@app.command(rich_help_panel=STUDIES)
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="A run id or its first digits.", show_default=False)],
    store: StoreFolder = Path("store"),
) -> None:
    """Tell what happened in one run, and why its seed failed if it did.

    stabilitybench show 3f9c

    `stabilitybench status` and scores.csv list the ids.
    """
    from stabilitybench.reports.single_run import print_run
    from stabilitybench.studies import Store
    from stabilitybench.studies.store import FINISHED

    runs = Store(store)
    record = runs.find(run_id.lower())
    print_run(record, _console(), runs.predictions(record["id"]) if record["status"] in FINISHED else None)


@app.command(name="list", rich_help_panel=LOOK)
def list_command(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="stabilizers, tasks, encoders or all.")] = "all",
    files: With = None,
) -> None:
    """List what may stand in a study file: stabilizers, tasks and encoders.

    stabilitybench list
    stabilitybench list stabilizers --with my_method.py
    """
    from stabilitybench.reports.catalogue import catalogue_tables
    from stabilitybench.stabilizers import load_file

    for file in files or []:
        load_file(file)
    console = _console()
    for table in catalogue_tables(kind):
        console.print(table)


@new_app.command("study")
def new_study(
    path: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Where to write it.")] = Path("study.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a study file that runs as it is and explains every key.

    stabilitybench new study my_study.toml
    stabilitybench run my_study.toml
    """
    from stabilitybench.studies.example import example
    from stabilitybench.studies.store import write_text

    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file, such as {path / 'study.toml'}")
    if path.exists() and not force:
        raise UserError(f"{path}: exists already; give another name, or --force")
    write_text(path, example(path.stem))
    print(f"{path}: written; next: stabilitybench run {path}")


@app.command(rich_help_panel=LOOK)
def inspect(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A folder of files, or the name of a task.", show_default=False)
    ],
    metric: Annotated[str | None, typer.Option(help="Headline metric, instead of the task's own.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Count lengths in this encoder's tokens.")] = None,
) -> None:
    """Read a task before hours are spent on it: rows, classes, lengths, no-skill score, duplicates.

    stabilitybench inspect data/my_task
    stabilitybench inspect pocket/acceptability --encoder pocket/bert-small
    stabilitybench inspect glue/rte --metric accuracy
    """
    from stabilitybench.reports.task_report import print_task

    print_task(task, metric, encoder, _console())


@app.command(rich_help_panel=MACHINE)
def doctor(
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Check this machine: versions, cores, devices, folders, hub, and whether a training repeats to the last bit.

    stabilitybench doctor
    stabilitybench doctor --store /scratch/store
    """
    from stabilitybench.reports.doctor import print_doctor

    if not print_doctor(_console(), store, results):
        raise typer.Exit(1)


@app.command(rich_help_panel=MACHINE)
def pretrain(
    encoder: Annotated[
        str, typer.Argument(metavar="ENCODER", help="An embedded encoder: pocket/...", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not exist.", show_default=False)],
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps; left out: all of the recipe's.")] = None,
) -> None:
    """Pretrain an embedded encoder again, from its own recipe, on the generated language.

    stabilitybench pretrain pocket/bert-small --out my_encoder
    stabilitybench pretrain pocket/bert-small --out early --steps 500
    """
    from stabilitybench.reports.pretraining import pretrain_with_progress

    pretrain_with_progress(encoder, out, steps, _console())


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"stabilitybench {installed('stabilitybench')}")
        raise typer.Exit


def _report(study: Study, found: Results, console: Console) -> None:
    from stabilitybench.reports.study_report import report_study

    if not found.records:
        raise UserError(f"{study.source}: no run of this study is in the store; start it with `stabilitybench run`")
    with _waiting(console, "writing the report"):
        comparison, paths = report_study(found, study.folder)
    comparison.show(console)
    if not found.complete:
        _print_coverage(found, console)
    console.print(f"report: {paths.html}", soft_wrap=True)


@contextmanager
def _waiting(console: Console, text: str) -> Iterator[None]:
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield


def _print_plan(study: Study, console: Console) -> None:
    from stabilitybench.reports.coverage import plan_table

    console.print(plan_table(study))


def _print_coverage(found: Results, console: Console, *, every_failure: bool = False) -> None:
    from stabilitybench.reports.coverage import coverage_table, unfinished_lines

    console.print(coverage_table(found))
    for line in unfinished_lines(found, every_failure=every_failure):
        console.print(line, soft_wrap=True)
