"""SD ratios of all arms of a task, with intervals."""

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

    from stabilitybench.comparison.model import ArmResult, BaselineContrast, Comparison


CAPTION = (
    "Dots with lines are SD ratios with 95 % intervals. Open diamonds have no interval: where runs failed it is "
    "withheld, and the diamond is the descriptive ratio among the runs that did not fail (at least 10 on both sides)."
)


def ratio_figures(comparison: Comparison) -> FigureGroup:
    """Draw the SD ratios per task on one logarithmic scale.

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
    for against in (c.against for c in comparison.cells if c.against):
        shown += [r for r in (against.ratio.low, against.ratio.high) if r is not None] + _without_interval(against)
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
                    _ratio_row(axes, place, cell.against)
            rows(axes, [c.arm for c in cells])
            log_ticks(axes)
            axes.set_xlabel(plain(f"SD ratio to {short(comparison.baseline, 30)}\n(left of 1: more stable)"))
            svg = svg_of(canvas)
        alt = "; ".join(f"{c.arm}: {_ratio_words(c.against)}" for c in cells if c.against)
        figures.append(Figure(f"SD ratios: {task} ({encoder})" if several else f"SD ratios: {task}", alt, svg))
    return FigureGroup("ratios", "SD ratios", CAPTION, tuple(figures))


def _ratio_row(axes: Axes, place: int, against: BaselineContrast) -> None:
    found = against.ratio
    if found.estimate and found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot(found.estimate, place, "o", color=BLUE, markersize=6)
        return
    for ratio in _without_interval(against):
        axes.plot(ratio, place, "D", markerfacecolor="white", markeredgecolor=VERMILION, markersize=6)
    words = _ratio_words(against)
    remark(axes, place - 0.28, words)


def _without_interval(against: BaselineContrast) -> list[float]:
    """Return the point to draw for an arm that has no interval, if it has one that fits a logarithmic axis."""
    if against.ratio.has_interval:
        return []
    ratio = against.kept_ratio if against.withheld else against.ratio.estimate
    return [ratio] if ratio else []


def _ratio_words(against: BaselineContrast) -> str:
    if against.withheld:
        return "interval withheld: failed runs"
    if not against.ratio.has_interval:
        return f"{formats.estimate(against.ratio.estimate, None, None)}, no interval"
    return formats.estimate(against.ratio.estimate, against.ratio.low, against.ratio.high)
