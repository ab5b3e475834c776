"""Deviation ratios of one arm over all tasks, with their random-effects summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stabilitybench.documents import formats
from stabilitybench.documents.drawing import (
    BLACK,
    BLUE,
    GREY,
    STYLE,
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

    from stabilitybench.comparison.across_tasks import TaskMetaAnalysis
    from stabilitybench.statistics.deviation import DeviationRatio


CAPTION = (
    "One row per task, deviation ratio with 95 % interval; squares grow with the weight in the summary. The diamond is "
    "the random-effects mean with its Hartung-Knapp interval, the grey line below it the 95 % prediction interval for "
    "another task. Fewer than three tasks with an interval have no summary, as two cannot tell how tasks differ."
)


def forest_figures(found: Sequence[TaskMetaAnalysis], baseline: str) -> FigureGroup:
    """Draw a forest plot for each arm: a row per task, below them the summary, or why there is none.

    The squares grow with the weight of a task in the summary, the diamond is the mean ratio with its Hartung-Knapp
    interval, the thin line below it the prediction interval.

    Parameters
    ----------
    found : sequence of TaskMetaAnalysis
        One per encoder and arm, a figure each.
    baseline : str
        Name of the arm to which the ratios are.
    """
    from matplotlib import rc_context

    several = len({a.encoder for a in found}) > 1
    limits = _limits(found)
    figures = []
    for a in found:
        with rc_context(STYLE):
            canvas = canvas_of(0.36 * (len(a.ratios) + 1) + 1.15)
            axes = canvas.subplots()
            axes.set_xscale("log")
            axes.axvline(1, color=GREY, linewidth=1)
            axes.set_xlim(limits)
            weights = a.summary.tasks["weight"].to_numpy()
            for place, (ratio, weight) in enumerate(zip(a.ratios.values(), weights, strict=True)):
                _task(axes, place, ratio, float(weight))
            rows(axes, [*a.ratios, "all tasks"])
            _summary(axes, len(a.ratios), a, limits)
            axes.axhline(len(a.ratios) - 0.5, color=GREY, linewidth=0.6)
            log_ticks(axes)
            axes.set_xlabel(plain(f"deviation ratio to {short(baseline, 30)}\n(left of 1: closer together)"))
            svg = svg_of(canvas)
        title = f"{a.arm} over all tasks" + (f" ({a.encoder})" if several else "")
        s = a.summary
        alt = "; ".join(f"{task}: {_words(ratio)}" for task, ratio in a.ratios.items())
        alt += f"; all tasks: {s.note or formats.estimate(s.estimate, s.low, s.high)}"
        figures.append(Figure(title, alt, svg))
    return FigureGroup("forest", "Forest plots", CAPTION, tuple(figures))


def _limits(found: Sequence[TaskMetaAnalysis]) -> tuple[float, float]:
    shown = [1 / 2, 2.0]
    for a in found:
        s = a.summary
        numbers = [s.low, s.high, s.prediction_low, s.prediction_high]
        for ratio in a.ratios.values():
            numbers += [ratio.low, ratio.high]
        shown += [n for n in numbers if n is not None]
    # an interval that leaves [1/100, 100] runs out of the figure; its limits are in the tables
    return max(min(shown), 0.01) / 1.25, min(max(shown), 100.0) * 1.25


def _task(axes: Axes, place: int, ratio: DeviationRatio, weight: float) -> None:
    if ratio.estimate and ratio.low is not None and ratio.high is not None:
        axes.plot([ratio.low, ratio.high], [place, place], color=BLUE, linewidth=1.8, solid_capstyle="butt")
        axes.plot(ratio.estimate, place, "s", color=BLUE, markersize=4 + 7 * weight**0.5)
        return
    remark(axes, place, _words(ratio))


def _summary(axes: Axes, place: int, a: TaskMetaAnalysis, limits: tuple[float, float]) -> None:
    s = a.summary
    if s.estimate is None or s.low is None or s.high is None:
        remark(axes, place, f"no summary: {a.usable} of 3 tasks needed")
        return
    if s.prediction_low is not None and s.prediction_high is not None:
        ends = max(s.prediction_low, limits[0]), min(s.prediction_high, limits[1])
        axes.plot(ends, [place + 0.3] * 2, color=GREY, linewidth=1.2)
    axes.fill(
        [s.low, s.estimate, s.high, s.estimate], [place, place - 0.22, place, place + 0.22], color=BLACK, linewidth=0
    )


def _words(ratio: DeviationRatio) -> str:
    return formats.estimate(ratio.estimate, ratio.low, ratio.high) if ratio.low is not None else "no interval"
