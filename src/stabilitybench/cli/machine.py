"""Commands on this machine and its encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stabilitybench.cli.options import ResultsFolder, StoreFolder, open_console

PANEL = "This machine and its encoders"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL)
def doctor(
    store: StoreFolder = Path("store"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Check this machine: versions, cores, devices, folders, hub, and whether a training repeats to the last bit.

    stabilitybench doctor
    stabilitybench doctor --store /scratch/store
    """
    from stabilitybench.cli.views.doctor import print_doctor

    if not print_doctor(open_console(), store, results):
        raise typer.Exit(1)


@commands.command(rich_help_panel=PANEL)
def pretrain(
    encoder: Annotated[
        str, typer.Argument(metavar="ENCODER", help="An embedded encoder: pocket/...", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not exist.", show_default=False)],
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps; default: all of the recipe's.")] = None,
) -> None:
    """Pretrain an embedded encoder again, from its own recipe, on the generated language.

    stabilitybench pretrain pocket/bert-small --out my_encoder
    stabilitybench pretrain pocket/bert-small --out early --steps 500
    """
    from stabilitybench.cli.views.pretrain import pretrain_with_progress

    pretrain_with_progress(encoder, out, steps, open_console())
