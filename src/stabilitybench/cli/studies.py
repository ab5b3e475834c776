"""Commands on a study: run it, look at it, report it, compare it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stabilitybench.cli.options import (
    Device,
    DryRun,
    Jobs,
    NoReport,
    Overrides,
    ResultsFolder,
    Retry,
    Save,
    ShardText,
    SideBySide,
    StoreFolder,
    StudyPath,
    Timeout,
    Unpaired,
    With,
    open_console,
    read_study,
    waiting,
)
from stabilitybench.errors import UserError
from stabilitybench.printing import all_printable, printable

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.studies import Results, Study

PANEL = "Studies"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def run(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    jobs: Jobs = None,
    device: Device = "auto",
    side_by_side: SideBySide = None,
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
    from stabilitybench.cli.views.progress import Bar

    console = open_console()
    it = read_study(study, overrides, files, store, results)
    options: dict[str, Any] = {
        "jobs": jobs, "device": device, "timeout": timeout, "save": save, "retry": retry, "shard": shard,
        "side_by_side": side_by_side,
    }  # fmt: skip
    if dry_run:
        it.check(**options)
        _print_plan(it, console)
        for note in it.claim_name():
            console.print(printable(f"note: {note}"), style="yellow", markup=False, soft_wrap=True)
        return
    watcher = Bar.of_study(console, it)
    found = it.run(**options, progress=watcher)
    if no_report:
        _print_coverage(found, console)
    else:
        _report(it, found, console)


@commands.command(rich_help_panel=PANEL)
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
    it = read_study(study, overrides, files, store, results)
    _print_coverage(it.results(), open_console(), every_failure=True)


@commands.command(rich_help_panel=PANEL)
def report(
    study: StudyPath,
    overrides: Overrides = None,
    files: With = None,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
    unpaired: Unpaired = False,
) -> None:
    """Write report.html, report.md, tables.tex and scores.csv from what the store holds of a study, complete or not.

    stabilitybench report rte.toml
    stabilitybench report rte.toml --results shared/results
    """
    it = read_study(study, overrides, files, store, results)
    it.claim_name()  # another study's report is not overwritten
    _report(it, it.results(), open_console(), unpaired=unpaired)


@commands.command(rich_help_panel=PANEL)
def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B",
            help="Results folders, or CSV files of scores; the first is the baseline.",
            show_default=False,
        ),
    ],
    baseline: Annotated[str | None, typer.Option("--baseline", help="One of them; default: the first.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column of scores; default: score.")] = None,
    no_skill: Annotated[
        float | None, typer.Option("--no-skill", help="Best score of a constant prediction; runs not above it failed.")
    ] = None,
    points: Annotated[bool, typer.Option("--points", help="The scores are times 100.")] = False,
    unpaired: Unpaired = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Write a report there.")] = None,
) -> None:
    """Compare results folders, or CSV files of scores from anywhere: one line per run, a column `score`.

    stabilitybench compare mine.csv theirs.csv
    stabilitybench compare mine.csv theirs.csv --no-skill 0.527 --out results/mine-theirs
    stabilitybench compare plain.csv mixout.csv reinit.csv --column accuracy --points
    stabilitybench compare results/rte-small results/rte-large

    Columns used where present: encoder, task, arm, seed (runs of equal seeds are compared in pairs), metric, status,
    failed, constant, no_skill.
    """
    from stabilitybench.comparison.file_comparison import check_out, compared, read_files, write_files

    console = open_console()
    files = read_files(paths, baseline, column, points=points, no_skill=no_skill)
    if out is not None:
        check_out(out, paths)
    comparison = compared(files, unpaired=unpaired)
    comparison.show(console)
    if out is not None:
        console.print(printable(f"report: {write_files(files, comparison, out).html}"), soft_wrap=True)


@commands.command(rich_help_panel=PANEL)
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="A run id or its first digits.", show_default=False)],
    store: StoreFolder = Path("store"),
) -> None:
    """Tell what happened in one run, and why its seed failed if it did.

    stabilitybench show 3f9c

    `stabilitybench status` and scores.csv list the ids.
    """
    from stabilitybench.cli.views.run import print_run
    from stabilitybench.statuses import FINISHED
    from stabilitybench.studies import Store

    runs = Store(store)
    record = runs.find(run_id.lower())
    print_run(
        all_printable(record), open_console(), runs.predictions(record["id"]) if record["status"] in FINISHED else None
    )


def _report(study: Study, found: Results, console: Console, *, unpaired: bool = False) -> None:
    from stabilitybench.comparison.study_report import report as write_report

    if not found.records:
        raise UserError(f"{study.source}: no run of this study is in the store; start it with `stabilitybench run`")
    with waiting(console, "writing the report"):
        comparison, paths = write_report(found, study.folder, study.store.predictions, unpaired=unpaired)
    comparison.show(console)
    for note in found.notes:
        console.print(printable(f"note: {note}"), style="yellow", markup=False, soft_wrap=True)
    if not found.complete:
        _print_coverage(found, console)
    console.print(printable(f"report: {paths.html}"), soft_wrap=True)


def _print_plan(study: Study, console: Console) -> None:
    from stabilitybench.cli.views.coverage import plan_table

    console.print(plan_table(study))


def _print_coverage(found: Results, console: Console, *, every_failure: bool = False) -> None:
    from stabilitybench.cli.views.coverage import coverage_table, unfinished_lines

    console.print(coverage_table(found))
    for line in unfinished_lines(found, every_failure=every_failure):
        console.print(line, soft_wrap=True)
