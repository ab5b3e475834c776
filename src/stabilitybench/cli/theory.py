"""Commands on bounds, suites of synthetic datasets, and published claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stabilitybench.cli.option_errors import SpeakingGroup
from stabilitybench.cli.options import (
    Jobs,
    NoReport,
    Overrides,
    ResultsFolder,
    Retry,
    StoreFolder,
    check_folders,
    open_console,
    waiting,
)
from stabilitybench.errors import UserError
from stabilitybench.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.suites import Suite

PANEL = "Theory"

commands = typer.Typer()

suite = typer.Typer(
    cls=SpeakingGroup,
    no_args_is_help=True,
    help="""Bounds beside exact leave-one-out stability, on hundreds of synthetic datasets.

    stabilitybench suite list
    stabilitybench suite run head-n
    stabilitybench suite run all
""",
)
commands.add_typer(suite, name="suite", rich_help_panel=PANEL)


@commands.command(rich_help_panel=PANEL)
def certify(
    encoder: Annotated[
        str, typer.Argument(metavar="ENCODER", help="A hub id, a folder, or pocket/...", show_default=False)
    ],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task, or a folder of files.", show_default=False)],
    features: Annotated[str, typer.Option("--features", help="What the head reads: cls, mean or pooler.")] = "mean",
    n: Annotated[int, typer.Option("--n", help="Training rows, class ratio kept.")] = 200,
    steps: Annotated[
        list[int] | None, typer.Option("--steps", help="Gradient steps, as often as needed; default: 10, 100, 1000.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate, as a multiple of 1 / beta.")] = 1.0,
    weight: Annotated[str, typer.Option("--weight", help="Of the rows that stay: 1/n or 1/(n-1).")] = "1/n",
    start_scale: Annotated[float, typer.Option("--start", help="SD of the initial weights; 0 is a zero start.")] = 0.0,
    bias: Annotated[float, typer.Option("--bias", help="Value of a penalised constant feature; 0 is none.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Draws the rows and the start.")] = 0,
    max_length: Annotated[int | None, typer.Option("--max-length", help="Tokens read from a text.")] = None,
) -> None:
    """Bound and measure how far a linear head on an encoder's features turns without one training row.

    stabilitybench certify pocket/bert-small pocket/acceptability
    stabilitybench certify bert-base-uncased glue/rte --features cls --n 500
    stabilitybench certify my_encoder data/my_task --rate 0.5 --steps 100
    """
    from stabilitybench.cli.views.certificate import certify_and_print

    certify_and_print(
        encoder, task, open_console(), features=features, n=n, steps=steps or [10, 100, 1000], rate=rate, weight=weight,
        start_scale=start_scale, bias=bias, seed=seed, max_length=max_length,
    )  # fmt: skip


SuiteNames = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="Shipped suites, all, or files of your own.", show_default=False),
]


@commands.command(rich_help_panel=PANEL)
def claims(
    tiers: Annotated[
        list[str] | None,
        typer.Option("--tier", help="analytic, numeric, recorded or pocket, as often as needed; default: all."),
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
    from stabilitybench.claims.page import claims_and_print

    claims_and_print(open_console(), tiers, out)


@suite.command("run")
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
    from stabilitybench.cli.views.progress import Bar
    from stabilitybench.cli.views.suites import suites_headline
    from stabilitybench.suites.suite import open_suites, run_suites

    check_folders(store, results)
    console = open_console()
    suites = open_suites(names, overrides or [], store)
    run_suites(suites, jobs=jobs, retry=retry, progress=Bar(console, suites_headline(suites), unit="dataset"))
    if not no_report:
        _report_suites(names, suites, results, console)


@suite.command("list")
def suite_list() -> None:
    """List the shipped suites: factor, values, number of datasets.

    stabilitybench suite list
    """
    from stabilitybench.cli.views.suites import print_shipped_suites

    print_shipped_suites(open_console())


@suite.command("report")
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
    from stabilitybench.suites.suite import open_suites

    check_folders(store, results)
    _report_suites(names, open_suites(names, overrides or [], store), results, open_console())


def _report_suites(names: list[str], suites: list[Suite], folder: Path, console: Console) -> None:
    from stabilitybench.suites.report import print_suites, report_suites

    found = [suite.results() for suite in suites]
    if not any(f.measured for f in found):
        raise UserError(f"{', '.join(names)}: no dataset is in the store; start it with `stabilitybench suite run`")
    name = suites[0].file.name if len(suites) == 1 else "suites"
    with waiting(console, "writing the report"):
        report, page = report_suites(found, name, folder / name)
    print_suites(report, console)
    console.print(printable(f"report: {page}"), soft_wrap=True)
