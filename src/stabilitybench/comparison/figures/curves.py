"""Learning curves with their spread."""

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
    short,
    svg_of,
)
from stabilitybench.documents.report import FigureGroup

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Arms in one figure; the time to lay out its axes grows with their square.
TOGETHER = 8


CAPTION = (
    "Thin lines are runs (failed ones in orange-red), the thick line is the median across seeds, the band the middle "
    "half."
)


def curve_figures(curves: pd.DataFrame, scores: pd.DataFrame) -> FigureGroup:
    """Draw validation score and training loss over training, per task and arm.

    Thin lines are runs (failed ones in vermilion), the thick line is the median, the band the middle half.

    Parameters
    ----------
    curves : DataFrame
        One row per evaluation; those of unfinished runs are left out.
    scores : DataFrame
        Checked rows, one per planned run.
    """
    from matplotlib import rc_context

    done = finished(scores)
    failed = set(done.loc[done["failed"], "run_id"])
    diverged = set(done.loc[done["status"] == "diverged", "run_id"])
    curves = curves[curves["run_id"].isin(set(done["run_id"]))]
    figures = []
    for (encoder, task), part in curves.groupby(GROUP, sort=False):
        ran = done[(done["encoder"] == encoder) & (done["task"] == task)]
        names = [a for a in dict.fromkeys(ran["arm"]) if (part["arm"] == a).any()]
        groups = [names[i : i + TOGETHER] for i in range(0, len(names), TOGETHER)]
        whole = part[~part["run_id"].isin(diverged)]
        for number, arms in enumerate(groups, start=1):
            with rc_context(STYLE):
                canvas = canvas_of(1.25 * len(arms) + 0.75)
                grid = canvas.subplots(len(arms), 2, sharex=True, sharey="col", squeeze=False)
                for row, arm in zip(grid, arms, strict=True):
                    runs = part[part["arm"] == arm]
                    _fan(row[0], runs, "validation", 100, failed)
                    _fan(row[1], runs, "train_loss", 1, failed)
                    row[0].set_ylabel(plain(short(arm, 16)), fontsize=9)
                _limit(grid[0][0], 100 * whole["validation"])
                _limit(grid[0][1], whole["train_loss"])
                metric = formats.metric(ran["metric"].iloc[0])
                grid[0][0].set_title(plain(f"validation {metric}, points"), loc="left", fontsize=9)
                grid[0][1].set_title("training loss", loc="left", fontsize=9)
                for axes in grid[-1]:
                    axes.set_xlabel("% of training")
                svg = svg_of(canvas)
            title = f"Learning curves: {task_label(scores, encoder, task)}"
            if len(groups) > 1:
                title += f" ({number} of {len(groups)})"
            count = part.loc[part["arm"].isin(arms), "run_id"].nunique()
            alt = f"Validation score and training loss of {count} runs in {len(arms)} arms."
            figures.append(Figure(title, alt, svg))
    return FigureGroup("curves", "Learning curves", CAPTION, tuple(figures))


def _fan(axes: Axes, runs: pd.DataFrame, column: str, factor: float, failed: set[str]) -> None:
    from matplotlib.collections import LineCollection

    runs = runs.assign(progress=runs["progress"].round(6))
    table = factor * runs.pivot_table(index="progress", columns="run_id", values=column, dropna=False, sort=True)
    x = 100 * table.index.to_numpy()
    for color, alpha, chosen in ((BLUE, 0.45, False), (VERMILION, 0.8, True)):
        lines = [np.column_stack([x, y]) for run, y in table.items() if (run in failed) is chosen]
        axes.add_collection(
            LineCollection([xy[~np.isnan(xy[:, 1])] for xy in lines], linewidths=0.7, colors=color, alpha=alpha)
        )
    with np.errstate(invalid="ignore"):  # an infinite loss has no middle: the band has a gap there
        low, middle, high = (table.quantile(q, axis=1) for q in (0.25, 0.5, 0.75))
    axes.fill_between(x, low, high, color=GREY, alpha=0.3, linewidth=0)
    axes.plot(x, middle, color=BLACK, linewidth=1.8)
    axes.autoscale_view()
    axes.tick_params(labelsize=8)


def _limit(axes: Axes, values: pd.Series[float]) -> None:
    """Fit the axis to the values given: one diverged loss would flatten every other curve."""
    low, high = values.min(), values.max()
    if np.isfinite(low) and np.isfinite(high) and low < high:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
