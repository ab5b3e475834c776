"""Deviation ratios of all arms of a task, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.documents import formats
from stabilitybench.documents.drawing import (
    BLUE,
    GREY,
    STYLE,
    VERMILION,
    Figure,
    canvas_of,
    log_ticks,
    plain,
    remark,
    rows,
    short,
    svg_of,
)
from stabilitybench.documents.report import FigureGroup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stabilitybench.comparison.model import ArmResult, Comparison
    from stabilitybench.statistics.questions import SpreadAnswer


CAPTION = (
    "Dots with lines are deviation ratios (mean distance to the median over the baseline's, among the runs that did "
    "not fail) with 95 % intervals. Open diamonds have no interval: there is none below seven runs, or for scores of "
    "few values."
)


def ratio_figures(comparison: Comparison) -> FigureGroup:
    """Draw the deviation ratios per task on one logarithmic scale.

    Parameters
    ----------
    comparison : Comparison
        Gives ratios and intervals; an arm without interval says so in its row.
    """
    from matplotlib import rc_context

    groups: dict[tuple[str, str], list[ArmResult]] = {}
    for cell in comparison.cells:
        if cell.against is not None:
            groups.setdefault((cell.encoder, cell.task), []).append(cell)
    shown = [1 / 2, 2.0]
    for found in (c.against.spread for c in comparison.cells if c.against):
        shown += [r for r in (found.low, found.estimate, found.high) if r]
    # an interval that leaves [1/100, 100] runs out of the figure; its limits are in the tables
    limits = max(min(shown), 0.01) / 1.25, min(max(shown), 100.0) * 1.25
    several = len({encoder for encoder, _ in groups}) > 1
    figures = []
    for (encoder, task), cells in groups.items():
        with rc_context(STYLE):
            canvas = canvas_of(0.42 * len(cells) + 1.1)
            axes = canvas.subplots()
            axes.set_xscale("log")
            axes.axvline(1, color=GREY, linewidth=1)
            axes.set_xlim(limits)
            for place, cell in enumerate(cells):
                if cell.against is not None:
                    _ratio_row(axes, place, cell.against.spread)
            rows(axes, [c.arm for c in cells])
            log_ticks(axes)
            axes.set_xlabel(plain(f"deviation ratio to {short(comparison.baseline, 30)}\n(left of 1: closer together)"))
            svg = svg_of(canvas)
        alt = "; ".join(f"{c.arm}: {_ratio_words(c.against.spread)}" for c in cells if c.against)
        figures.append(
            Figure(f"Deviation ratios: {task} ({encoder})" if several else f"Deviation ratios: {task}", alt, svg)
        )
    return FigureGroup("ratios", "Deviation ratios", CAPTION, tuple(figures))


def _ratio_row(axes: Axes, place: int, found: SpreadAnswer) -> None:
    if found.estimate and found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot(found.estimate, place, "o", color=BLUE, markersize=6)
        return
    if found.estimate:
        axes.plot(found.estimate, place, "D", markerfacecolor="white", markeredgecolor=VERMILION, markersize=6)
    remark(axes, place - 0.28, _ratio_words(found))


def _ratio_words(found: SpreadAnswer) -> str:
    if found.low is not None:
        return formats.estimate(found.estimate, found.low, found.high)
    return f"{formats.ratio(found.estimate)}, no interval" if found.estimate else found.note
