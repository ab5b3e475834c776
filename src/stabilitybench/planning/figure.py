"""Power against seeds as a figure: one line for each difference, and the number of seeds planned."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.documents.drawing import BLACK, BLUE, GREY, STYLE, VERMILION, WIDTH
from stabilitybench.errors import Argument, UserError
from stabilitybench.planning.effects import FailureEffect, LevelEffect, SpreadEffect
from stabilitybench.power.simulated_studies import MOST_RUNS
from stabilitybench.storage.writing import write_atomically

if TYPE_CHECKING:
    from stabilitybench.planning.plan import Plan

KINDS = (".svg", ".png", ".pdf")
COLORS = {SpreadEffect: BLUE, LevelEffect: BLACK, FailureEffect: VERMILION}
DASHES = ("-", "--", "-.", ":")


def check_figure(path: Path) -> Path:
    """Return the name of a figure to write.

    Parameters
    ----------
    path : Path
        Must end in .svg, .png or .pdf.

    Raises
    ------
    UserError
        For a folder, or a kind that is not drawn.
    """
    if path.suffix.lower() not in KINDS or path.is_dir():
        raise UserError(Argument("figure", path), f": must be the name of a file that ends in {', '.join(KINDS)}")
    return path


def draw_power(plan: Plan, path: Path) -> None:
    """Draw the power of each difference of a plan against seeds per arm.

    Parameters
    ----------
    plan : Plan
        Its differences are the lines, its seeds and its power are marked.
    path : Path
        File to write, whole or not at all; must end in .svg, .png or .pdf.

    Raises
    ------
    UserError
        For a folder, or a kind that is not drawn.
    EnvironmentFailure
        Where it cannot be written.
    """
    write_atomically(path, _drawn(plan, check_figure(path).suffix.lower()[1:]))


def _drawn(plan: Plan, kind: str) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullLocator

    last = min(MOST_RUNS, max(100, *(2 * n for n in plan.seeds)))
    places = np.unique(np.geomspace(3, last, 24).astype(int)).tolist()
    ticks = [n for n in (3, 5, 10, 20, 50, 100, 200, 500, 1000) if n <= last]
    with rc_context(STYLE):
        canvas = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = canvas.subplots()
        seen = dict.fromkeys(COLORS.values(), 0)
        for effect in plan.effects:
            color = COLORS[type(effect)]
            axes.plot(
                places,
                [100 * plan.power_of(effect, n) for n in places],
                DASHES[seen[color] % len(DASHES)],
                color=color,
                linewidth=1.8,
                label=str(effect),
            )
            seen[color] += 1
        axes.axhline(100 * plan.power, color=GREY, linewidth=1)
        for n in plan.seeds:
            axes.axvline(n, color=GREY, linestyle=":", linewidth=1.2)
        axes.set_xscale("log")
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(3, last)
        axes.set_ylim(0, 100)
        axes.set_xlabel("seeds per arm")
        axes.set_ylabel("power, %")
        tests = "1 test" if plan.tests == 1 else f"Holm's first step of {plan.tests} tests"
        axes.set_title(f"5 % level, {tests}", loc="left", fontsize=9)
        canvas.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=8.5)
        buffer = io.BytesIO()
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
        canvas.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()
