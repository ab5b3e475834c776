"""Every seed of one method beside every seed of the baseline, task by task, as one small figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.figures.seeds import strip
from stabilitybench.documents import formats
from stabilitybench.documents.drawing import GREY, STYLE, WIDTH, plain, rows, svg_of

if TYPE_CHECKING:
    import pandas as pd


def method_figure(runs: pd.DataFrame, arms: list[str]) -> str:
    """Return the figure as SVG, the same bytes each time.

    runs : checked rows of finished runs.  arms : those to draw, the baseline first.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    tasks = list(dict.fromkeys(runs["task"]))
    with rc_context({**STYLE, "font.size": 9}):
        canvas = Canvas(figsize=(WIDTH, len(tasks) * (0.26 * len(arms) + 0.62)), layout="constrained")
        for axes, task in zip(canvas.subplots(len(tasks), squeeze=False)[:, 0], tasks, strict=True):
            part = runs[runs["task"] == task]
            for place, arm in enumerate(arms):
                strip(axes, place, part[part["arm"] == arm])
            for value in part["no_skill"].dropna().unique():
                axes.axvline(100 * value, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
            rows(axes, arms)
            axes.set_xlabel(plain(f"{task}, {formats.metric(part['metric'].iloc[0])}, points"))
        return svg_of(canvas)
