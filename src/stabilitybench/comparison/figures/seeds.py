"""Every seed as a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.comparison.score_table import GROUP, finished, task_label
from stabilitybench.documents import formats
from stabilitybench.documents.drawing import (
    BLACK,
    BLUE,
    GREY,
    STYLE,
    VERMILION,
    Figure,
    canvas_of,
    plain,
    rows,
    svg_of,
)
from stabilitybench.documents.report import FigureGroup

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


CAPTION = (
    "Every point is one run; the box holds the middle half, its line is the median. Crosses are failed runs, the "
    "dotted line is no skill (majority baseline)."
)


def seed_figures(scores: pd.DataFrame) -> FigureGroup:
    """Draw every finished run as a point over a box of quartiles, per task and arm; failed runs are crosses.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, in the order in which arms are to be drawn.
    """
    from matplotlib import rc_context

    figures = []
    for (encoder, task), part in finished(scores).groupby(GROUP, sort=False):
        arms = list(dict.fromkeys(part["arm"]))
        with rc_context(STYLE):
            canvas = canvas_of(0.42 * len(arms) + 1.25)
            axes = canvas.subplots()
            for place, arm in enumerate(arms):
                strip(axes, place, part[part["arm"] == arm])
            no_skill = part["no_skill"].dropna().unique()
            for value in no_skill:
                axes.axvline(100 * value, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
            rows(axes, arms)
            axes.set_xlabel(plain(f"{formats.metric(part['metric'].iloc[0])}, points"))
            _legend(axes, bool(part["failed"].any()), len(no_skill) > 0)
            svg = svg_of(canvas)
        title = f"All seeds: {task_label(scores, encoder, task)}"
        alt = f"{len(part)} runs of {len(arms)} arms; {int(part['failed'].sum())} failed."
        figures.append(Figure(title, alt, svg))
    return FigureGroup("seeds", "All seeds", CAPTION, tuple(figures))


def strip(axes: Axes, place: int, runs: pd.DataFrame) -> None:
    """Draw the runs of one arm in a row: points, failed ones as crosses, over a box of quartiles.

    Parameters
    ----------
    axes : Axes
        Of scores in points, where row k is drawn at y = k.
    place : int
        The row.
    runs : DataFrame
        Finished runs, with the columns score (a fraction) and failed.
    """
    values = 100 * runs["score"].to_numpy()
    failed = runs["failed"].to_numpy()
    if len(values) > 1:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.fill_betweenx([place - 0.28, place + 0.28], low, high, color=GREY, alpha=0.22, linewidth=0)
        axes.plot([middle, middle], [place - 0.28, place + 0.28], color=BLACK, linewidth=1.8)
    # golden-ratio steps spread the points evenly without any random number
    offset = ((np.arange(len(values)) * 0.618) % 1 - 0.5) * 0.5
    axes.plot(values[~failed], place + offset[~failed], "o", color=BLUE, markersize=4, alpha=0.75, markeredgewidth=0)
    axes.plot(values[failed], place + offset[failed], "x", color=VERMILION, markersize=5, markeredgewidth=1.4)


def _legend(axes: Axes, failed: bool, no_skill: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=BLUE, marker="o", linestyle="", markersize=4, label="run")]
    if failed:
        handles.append(Line2D([], [], color=VERMILION, marker="x", linestyle="", markersize=5, label="failed run"))
    if no_skill:
        handles.append(Line2D([], [], color=GREY, linestyle=":", label="no skill"))
    axes.figure.legend(handles=handles, loc="outside lower right", ncols=3, frameon=False, fontsize=9)
