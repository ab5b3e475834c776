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

    from stabilitybench.studies import Results, Study, Suite

#: Columns of a log file or a pipe, where there is no terminal to ask.
LOG_WIDTH = 120
INTERRUPTED = 130  # what shells give a process that Ctrl-C ended; typer returns it too
STUDIES, LOOK, MACHINE = "Studies", "Before a study", "This machine and its encoders"
THEORY = "Theory"

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
suite_app = typer.Typer(
    no_args_is_help=True,
    help="""Bounds beside exact leave-one-out stability, on hundreds of synthetic datasets.

    stabilitybench suite list
    stabilitybench suite run head-n
    stabilitybench suite run all
""",
)
app.add_typer(suite_app, name="suite", rich_help_panel=THEORY)

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
    watcher = Bar.of_study(console, it)
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
    """Write report.html, report.md, tables.tex and scores.csv from what the store holds of a study, complete or not.

    stabilitybench report rte.toml
    stabilitybench report rte.toml --results shared/results
    """
    it = _study(study, overrides, files, store, results)
    it.claim_name()  # another study's report is not overwritten
    _report(it, it.results(), _console())


@app.command(rich_help_panel=STUDIES)
def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B",
            help="Results folders, or CSV files of scores; the first is the baseline.",
            show_default=False,
        ),
    ],
    baseline: Annotated[str | None, typer.Option("--baseline", help="One of them; left out: the first.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column of scores; left out: score.")] = None,
    no_skill: Annotated[
        float | None, typer.Option("--no-skill", help="Best score of a constant prediction; runs not above it failed.")
    ] = None,
    points: Annotated[bool, typer.Option("--points", help="The scores are times 100.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Write a report there.")] = None,
) -> None:
    """Compare results folders, or CSV files of scores from anywhere: one line per run, a column `score`.

    stabilitybench compare mine.csv theirs.csv
    stabilitybench compare mine.csv theirs.csv --no-skill 0.527 --out results/mine-theirs
    stabilitybench compare plain.csv mixout.csv reinit.csv --column accuracy --points
    stabilitybench compare results/rte-small results/rte-large

    Columns used where present: encoder, task, arm, seed, metric, status, failed, no_skill.
    """
    from stabilitybench.reports.elsewhere import check_out, compared, read_files, write_files

    console = _console()
    files = read_files(paths, baseline, column, points=points, no_skill=no_skill)
    if out is not None:
        check_out(out, paths)
    comparison = compared(files)
    comparison.show(console)
    if out is not None:
        console.print(f"report: {write_files(files, comparison, out).html}", soft_wrap=True)


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


@app.command(rich_help_panel=LOOK)
def check(
    methods: Annotated[
        list[str],
        typer.Argument(metavar="METHOD...", help="Python files of yours, or names of stabilizers.", show_default=False),
    ],
) -> None:
    """Check that a stabilizer keeps the contract: does what it says, and nothing else.

    stabilitybench check my_method.py
    stabilitybench check mixout r3f

    Trains tiny encoders of five families for a few steps; says what to mend. Ends with 1 if anything fails.
    """
    from stabilitybench.stabilizers import build, load_file
    from stabilitybench.testing import check_stabilizer
    from stabilitybench.testing.terminal import print_conformance

    names = [name for method in methods for name in (load_file(method) if method.endswith(".py") else [method])]
    console = _console()
    found = [check_stabilizer(stabilizer) for stabilizer in [build(name) for name in names]]
    for one in found:
        print_conformance(one, console)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


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
    from stabilitybench.studies.records import write_text

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


@app.command(rich_help_panel=LOOK)
def plan(
    study: Annotated[
        Path | None, typer.Argument(metavar="STUDY.toml", help="The study file, if there is one.", show_default=False)
    ] = None,
    sd_ratio: Annotated[
        list[float] | None, typer.Option("--sd-ratio", help="An SD ratio to be shown, as often as needed.")
    ] = None,
    failures: Annotated[
        tuple[float, float] | None,
        typer.Option("--failures", metavar="ARM BASELINE", help="Two failure rates to be told apart."),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Seeds per arm; left out: the study's own.")] = None,
    tests: Annotated[
        int | None,
        typer.Option("--tests", help="Tests in the family; left out: each arm of the study on each task, or 1."),
    ] = None,
    power: Annotated[float, typer.Option("--power", help="Chance that a true difference is to be shown with.")] = 0.8,
    scores: Annotated[
        str | None,
        typer.Option("--scores", help="normal, t4 (heavy tails) or pilot; left out: the pilot's, or normal."),
    ] = None,
    pilot: Annotated[
        Path | None, typer.Option("--pilot", help="Runs done before: a results folder, or a CSV with a score column.")
    ] = None,
    points: Annotated[bool, typer.Option("--points", help="The scores of the pilot's CSV are times 100.")] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Draw power against seeds: .svg, .png or .pdf.")
    ] = None,
    overrides: Overrides = None,
    files: With = None,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Say what a number of seeds can and cannot show, how many seeds a claim needs, and what they cost.

    stabilitybench plan rte.toml
    stabilitybench plan rte.toml --pilot results/rte-small --figure power.svg
    stabilitybench plan --sd-ratio 2 --tests 4
    stabilitybench plan --failures 0.5 0.05
    stabilitybench plan --seeds 20
    """
    from stabilitybench.reports.pilot import read_pilot
    from stabilitybench.reports.plan_view import plan_view
    from stabilitybench.reports.planning import plan_effects, plan_study
    from stabilitybench.reports.power_figure import check_figure, draw_power

    if study is None and (overrides or files):
        raise UserError("--set and --with belong to a study: give its file, too")
    if figure is not None:
        check_figure(figure)
    before = None if pilot is None else read_pilot(pilot, points=points)
    asked = (seeds, tests, sd_ratio or [], failures, power, scores, before)
    it = plan_effects(*asked) if study is None else plan_study(_study(study, overrides, files, store, results), *asked)
    console = _console()
    console.print(plan_view(it))
    if figure is not None:
        draw_power(it, figure)
        console.print(f"figure: {figure}", soft_wrap=True)


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


@app.command(rich_help_panel=THEORY)
def certify(
    encoder: Annotated[
        str, typer.Argument(metavar="ENCODER", help="A hub id, a folder, or pocket/...", show_default=False)
    ],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task, or a folder of files.", show_default=False)],
    features: Annotated[str, typer.Option("--features", help="What the head reads: cls, mean or pooler.")] = "mean",
    n: Annotated[int, typer.Option("--n", help="Training rows, class ratio kept.")] = 200,
    steps: Annotated[
        list[int] | None, typer.Option("--steps", help="Gradient steps, as often as needed; left out: 10, 100, 1000.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate, as a multiple of 1 / beta.")] = 1.0,
    weight: Annotated[str, typer.Option("--weight", help="Of the rows that stay: 1/n or 1/(n-1).")] = "1/n",
    start: Annotated[float, typer.Option("--start", help="SD of the initial weights; 0 is a zero start.")] = 0.0,
    bias: Annotated[float, typer.Option("--bias", help="Value of a penalised constant feature; 0 is none.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Draws the rows and the start.")] = 0,
    max_length: Annotated[int | None, typer.Option("--max-length", help="Tokens read from a text.")] = None,
) -> None:
    """Bound and measure how far a linear head on an encoder's features turns without one training row.

    stabilitybench certify pocket/bert-small pocket/acceptability
    stabilitybench certify bert-base-uncased glue/rte --features cls --n 500
    stabilitybench certify my_encoder data/my_task --rate 0.5 --steps 100
    """
    from stabilitybench.reports.certificate_view import certify_and_print

    certify_and_print(
        encoder, task, _console(), features=features, n=n, steps=steps or [10, 100, 1000], rate=rate, weight=weight,
        start_scale=start, bias=bias, seed=seed, max_length=max_length,
    )  # fmt: skip


SuiteNames = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="Shipped suites, all, or files of your own.", show_default=False),
]


@app.command(rich_help_panel=THEORY)
def claims(
    tiers: Annotated[
        list[str] | None,
        typer.Option("--tier", help="analytic, numeric, recorded or pocket, as often as needed; left out: all."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Also write claims.html, claims.md and claims.csv.")
    ] = None,
) -> None:
    """Hold published claims against the kept evidence: a verdict for each, with effect, interval, p and power.

    stabilitybench claims
    stabilitybench claims --tier recorded
    stabilitybench claims --out verdicts
    """
    from stabilitybench.reports.claims_page import claims_and_print

    claims_and_print(_console(), tiers, out)


@suite_app.command("run")
def suite_run(
    names: SuiteNames,
    overrides: Overrides = None,
    jobs: Jobs = None,
    retry: Retry = False,
    no_report: NoReport = False,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Measure the datasets that suites still lack, then report. Start it again to go on after an interruption.

    stabilitybench suite run head-n
    stabilitybench suite run all --jobs 2
    stabilitybench suite run my_suite.toml --set datasets=5
    """
    from stabilitybench.reports.progress import Bar
    from stabilitybench.reports.suite_list import suites_headline
    from stabilitybench.studies.suite import open_suites, run_suites

    _check_folders(store, results)
    console = _console()
    suites = open_suites(names, overrides or [], store)
    run_suites(suites, jobs=jobs, retry=retry, progress=Bar(console, suites_headline(suites), unit="dataset"))
    if not no_report:
        _report_suites(names, suites, results, console)


@suite_app.command("list")
def suite_list() -> None:
    """List the shipped suites: factor, values, number of datasets.

    stabilitybench suite list
    """
    from stabilitybench.reports.suite_list import print_shipped_suites

    print_shipped_suites(_console())


@suite_app.command("report")
def suite_report(
    names: SuiteNames,
    overrides: Overrides = None,
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Write report.html, report.md and datasets.csv from what the store holds of suites, complete or not.

    stabilitybench suite report head-n
    stabilitybench suite report all
    """
    from stabilitybench.studies.suite import open_suites

    _check_folders(store, results)
    _report_suites(names, open_suites(names, overrides or [], store), results, _console())


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
        comparison, paths = report_study(found, study.folder, study.store.predictions)
    comparison.show(console)
    if not found.complete:
        _print_coverage(found, console)
    console.print(f"report: {paths.html}", soft_wrap=True)


def _report_suites(names: list[str], suites: list[Suite], folder: Path, console: Console) -> None:
    from stabilitybench.reports.suite_report import print_suites, report_suites

    found = [suite.results() for suite in suites]
    if not any(f.measured for f in found):
        raise UserError(f"{', '.join(names)}: no dataset is in the store; start it with `stabilitybench suite run`")
    name = suites[0].file.name if len(suites) == 1 else "suites"
    with _waiting(console, "writing the report"):
        report, page = report_suites(found, name, folder / name)
    print_suites(report, console)
    console.print(f"report: {page}", soft_wrap=True)


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
