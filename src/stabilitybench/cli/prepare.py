"""Commands for the time before a study: what there is, what a task holds, how many seeds a claim takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stabilitybench.cli.option_errors import SpeakingGroup
from stabilitybench.cli.options import Overrides, ResultsFolder, StoreFolder, With, open_console, read_study
from stabilitybench.errors import UserError
from stabilitybench.printing import printable

PANEL = "Before a study"

commands = typer.Typer()

new = typer.Typer(
    cls=SpeakingGroup,
    no_args_is_help=True,
    help="""Write a commented example file to start from.

    stabilitybench new study my_study.toml
""",
)
commands.add_typer(new, name="new", rich_help_panel=PANEL)


@commands.command(name="list", rich_help_panel=PANEL)
def list_command(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="stabilizers, tasks, encoders or all.")] = "all",
    files: With = None,
) -> None:
    """List what may stand in a study file: stabilizers, tasks and encoders.

    stabilitybench list
    stabilitybench list stabilizers --with my_method.py
    """
    from stabilitybench.cli.views.catalogue import catalogue_tables
    from stabilitybench.stabilizers import load_file

    for file in files or []:
        load_file(file)
    console = open_console()
    for table in catalogue_tables(kind):
        console.print(table)


@commands.command(rich_help_panel=PANEL)
def check(
    methods: Annotated[
        list[str],
        typer.Argument(metavar="METHOD...", help="Python files of yours, or names of stabilizers.", show_default=False),
    ],
) -> None:
    """Check that a stabilizer keeps the contract: does what it says, and nothing else.

    stabilitybench check my_method.py
    stabilitybench check mixout r3f

    Trains tiny encoders of five families for a few steps; says what to fix. Ends with 1 if anything fails.
    """
    from stabilitybench.stabilizers import build, load_file
    from stabilitybench.testing import check_stabilizer
    from stabilitybench.testing.terminal import print_conformance

    names = [name for method in methods for name in (load_file(method) if method.endswith(".py") else [method])]
    console = open_console()
    found = [check_stabilizer(stabilizer) for stabilizer in [build(name) for name in names]]
    for one in found:
        print_conformance(one, console)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


@new.command("study")
def new_study(
    path: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Where to write it.")] = Path("study.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a study file that runs as it is and explains every key.

    stabilitybench new study my_study.toml
    stabilitybench run my_study.toml
    """
    from stabilitybench.planning.seed_lines import seed_lines
    from stabilitybench.storage.writing import write_atomically
    from stabilitybench.studies.example import example
    from stabilitybench.studies.file import read

    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file, such as {path / 'study.toml'}")
    if path.exists() and not force:
        raise UserError(f"{path}: exists already; give another name, or --force")
    write_atomically(path, example(path.stem))
    told = printable(str(path))
    console = open_console()
    console.print(f"{told}: written; next: stabilitybench run {told}", soft_wrap=True)
    for line in seed_lines(read(path)):
        console.print(printable(line), soft_wrap=True)


@commands.command(rich_help_panel=PANEL)
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
    from stabilitybench.cli.views.inspect import print_task

    print_task(task, metric, encoder, open_console())


@commands.command(rich_help_panel=PANEL)
def plan(
    study: Annotated[
        Path | None, typer.Argument(metavar="STUDY.toml", help="The study file, if there is one.", show_default=False)
    ] = None,
    spread: Annotated[
        list[float] | None, typer.Option("--spread", help="A ratio of spread to be shown, as often as needed: 0.5.")
    ] = None,
    level: Annotated[
        list[float] | None, typer.Option("--level", help="A difference of means to be shown, in points.")
    ] = None,
    failures: Annotated[
        tuple[float, float] | None,
        typer.Option("--failures", metavar="ARM BASELINE", help="Two failure rates to be told apart."),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Seeds per arm; default: the study's own.")] = None,
    tests: Annotated[
        int | None,
        typer.Option("--tests", help="Tests of each question; default: each arm of the study on each task, or 1."),
    ] = None,
    power: Annotated[float, typer.Option("--power", help="Chance that a true difference is to be shown with.")] = 0.8,
    looks: Annotated[
        str | None, typer.Option("--looks", metavar="N,N", help="Seeds at which you will look: 10,20.")
    ] = None,
    bounds: Annotated[str, typer.Option("--bounds", help="Of the looks: pocock or obrien-fleming.")] = "pocock",
    pilot: Annotated[
        Path | None, typer.Option("--pilot", help="Runs done before: a results folder, or a CSV with a score column.")
    ] = None,
    points: Annotated[bool, typer.Option("--points", help="The scores of the pilot's CSV are times 100.")] = False,
    scores: Annotated[
        str | None,
        typer.Option("--scores", help="normal, t3, contaminated or pilot; default: the pilot's, or normal."),
    ] = None,
    correlation: Annotated[
        float | None, typer.Option("--correlation", help="Of the two runs of a seed; default: the pilot's, or 0.")
    ] = None,
    unpaired: Annotated[bool, typer.Option("--unpaired", help="The arms share no seeds.")] = False,
    sd: Annotated[
        float | None, typer.Option("--sd", help="SD of the baseline in points; default: the pilot's, or 2.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", help="Test rows, for accuracy; default: the study's own.")
    ] = None,
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
    stabilitybench plan --spread 0.5 --tests 4
    stabilitybench plan --level 2 --sd 1.5 --correlation 0.8
    stabilitybench plan --failures 0.05 0.5
    stabilitybench plan --spread 0.5 --sd 1 --rows 138 --scores t3
    stabilitybench plan --seeds 20
    stabilitybench plan --looks 10,20

    Powers are those of the report's own tests. What a run of a seed in one arm tells of its run in another (the
    correlation), how wide the baseline scatters, heavy tails and failures decide as much as the number of seeds: a
    pilot tells them, and what is assumed without one is printed.
    """
    from stabilitybench.planning import plan as planning
    from stabilitybench.planning.figure import check_figure, draw_power
    from stabilitybench.planning.pilot import read_pilot
    from stabilitybench.planning.view import plan_view

    if study is None and (overrides or files):
        raise UserError("--set and --with belong to a study: give its file, too")
    if figure is not None:
        check_figure(figure)
    before = None if pilot is None else read_pilot(pilot, points=points)
    it = planning.plan(
        None if study is None else read_study(study, overrides, files, store, results),
        seeds=seeds,
        tests=tests,
        spread=spread or [],
        level=level or [],
        failures=failures,
        power=power,
        looks=_sizes(looks),
        bounds=bounds,
        pilot=before,
        scores=scores,
        correlation=correlation,
        paired=not unpaired,
        sd=sd,
        rows=rows,
    )
    console = open_console()
    console.print(plan_view(it))
    if figure is not None:
        draw_power(it, figure)
        console.print(printable(f"figure: {figure}"), soft_wrap=True)


def _sizes(looks: str | None) -> list[int]:
    """Return the numbers of seeds of `--looks 10,20`."""
    parts = [part.strip() for part in looks.split(",")] if looks is not None else []
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UserError(f"--looks {looks}: must be numbers of seeds with commas between them, such as 10,20")
    return [int(part) for part in parts]
