"""The command line: it parses, calls one function, and prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stabilitybench.errors import EnvironmentFailure, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.studies import Study

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Measure how stable the fine-tuning of pretrained encoders is, and what makes it more stable.

A study trains every arm (a tuple of stabilizers) on every task with many seeds, and reports failures and spread.

[bold]Try it[/bold] (offline, minutes on two cores):

    stabilitybench new study my_study.toml

    stabilitybench run my_study.toml

    stabilitybench report my_study.toml
""",
)
new_app = typer.Typer(no_args_is_help=True, help="Write a commented example file to start from.")
app.add_typer(new_app, name="new")

StudyPath = Annotated[Path, typer.Argument(help="The study file (TOML).", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the file, such as recipe.epochs=5 or seeds=3."),
]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder of finished runs, shared by all studies.")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Folder of reports; <name>/ is made inside it.")]
With = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="FILE.py", help="A Python file of yours that registers stabilizers."),
]


def main() -> None:
    """Run the command line; bad input exits with 2, a failing machine with 1, without a traceback."""
    try:
        app(standalone_mode=False)
    except UserError as error:
        _fail(str(error), error.exit_code)
    except EnvironmentFailure as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; finished runs are stored, the same command goes on from there", 130)
    except BrokenPipeError:
        sys.exit(0)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a mistake in the command line itself
            _fail(error.format_message(), 2)
        raise


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=False, highlight=False)


def _study(path: Path, overrides: list[str] | None, files: list[Path] | None, store: Path, results: Path) -> Study:
    from stabilitybench.stabilizers import load_file
    from stabilitybench.studies import Study

    for file in files or []:
        load_file(file)
    return Study.from_file(path, overrides or [], store=store, results=results)


@app.command()
def run(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Worker processes; one per core or GPU if unset.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:K.")] = "auto",
    shard: Annotated[str | None, typer.Option(help="Do only part 3 of 16: 3/16, for machines sharing a store.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also do crashed and timed-out runs again.")] = False,
    timeout: Annotated[float | None, typer.Option(help="Give a run up after this many seconds.")] = None,
    save: Annotated[str | None, typer.Option(help="Also keep weights: last or best, as a Hugging Face folder.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, list what would be done, train nothing.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do the runs only.")] = False,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Do the runs a study still lacks, then report. Start it again to go on after an interruption.

    stabilitybench run rte.toml --jobs 4

    stabilitybench run rte.toml --set seeds=5 --set name=rte-quick

    stabilitybench run rte.toml --with my_method.py --device cuda
    """
    from stabilitybench.reports.progress import Bar

    console = _console()
    it = _study(study, overrides, files, store, results)
    if dry_run:
        _print_plan(it, console)
        return
    found = it.run(
        jobs=jobs, device=device, shard=shard, retry=retry, timeout=timeout, save=save, progress=Bar(console, it)
    )
    if not no_report:
        _report(it, found, console)
    elif not found.complete:
        _print_coverage(found, console)


@app.command()
def report(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Write report.html, report.md and scores.csv from what the store holds of a study.

    stabilitybench report rte.toml
    """
    it = _study(study, overrides, files, store, results)
    _report(it, it.results(), _console())


@app.command()
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


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(help="The id of a run, or its first digits.", show_default=False)],
    store: StoreFolder = Path("store"),
) -> None:
    """Tell what happened in one run, and why its seed failed if it did.

    stabilitybench show 3f9c
    """
    from stabilitybench.reports.single_run import print_run
    from stabilitybench.studies import Store

    print_run(Store(store).find(run_id.lower()), _console())


@app.command(name="list")
def list_command(
    kind: Annotated[str, typer.Argument(help="stabilizers, tasks or encoders; all of them if left out.")] = "all",
    files: With = None,
) -> None:
    """List stabilizers, tasks and encoders, one line each.

    stabilitybench list stabilizers
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
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("study.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented study file that runs as it is.

    stabilitybench new study my_study.toml
    """
    from stabilitybench.studies.example import EXAMPLE
    from stabilitybench.studies.store import write_text

    if path.exists() and not force:
        raise UserError(f"{path}: exists already; give another name or --force")
    write_text(path, EXAMPLE)
    print(f"{path}: written; next: stabilitybench run {path}")


@app.command()
def inspect(
    task: Annotated[str, typer.Argument(help="A folder of files, or any task name such as glue/rte.", show_default=False)],
    metric: Annotated[str | None, typer.Option(help="Headline metric, instead of the task's own.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Also measure lengths in this encoder's tokens.")] = None,
) -> None:
    """Read a task before hours are spent on it: rows, classes, lengths, no-skill score, duplicates.

    stabilitybench inspect data/my_task

    stabilitybench inspect pocket/acceptability
    """
    from stabilitybench.reports.task_report import print_task

    print_task(task, metric, encoder, _console())


@app.command()
def doctor(
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Check this machine: versions, cores, devices, folders, hub; and train once to see that numbers repeat.

    stabilitybench doctor
    """
    from stabilitybench.reports.doctor import print_doctor

    if not print_doctor(_console(), store, results):
        raise typer.Exit(1)


@app.command()
def pretrain(
    encoder: Annotated[str, typer.Argument(help="Name of an embedded encoder, such as pocket/bert-small.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not exist.", show_default=False)],
    steps: Annotated[int | None, typer.Option(help="Stop after this many steps; all of the recipe if unset.")] = None,
) -> None:
    """Pretrain an embedded encoder again, from its shipped recipe, on the generated language.

    stabilitybench pretrain pocket/bert-small --out my_encoder
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


def _report(study: Study, found: Any, console: Console) -> None:
    from stabilitybench.reports.study_report import report_study

    if not any(run.spec.id in found.records for run in found.runs):
        raise UserError(f"{study.source}: no run of this study is in the store; start it with `stabilitybench run`")
    with _waiting(console, "writing the report"):
        comparison, paths = report_study(found, study.folder)
    comparison.print(console)
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


def _print_coverage(found: Any, console: Console, *, every_failure: bool = False) -> None:
    from stabilitybench.reports.coverage import coverage_table, unfinished_lines

    console.print(coverage_table(found))
    for line in unfinished_lines(found, every_failure=every_failure):
        console.print(line, soft_wrap=True)
