"""Distributions of scores: for each score, the share of runs that reach at most it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.comparison.score_table import GROUP, finished, task_label
from stabilitybench.documents import formats
from stabilitybench.documents.drawing import BLACK, GREY, STYLE, Figure, canvas_of, plain, short, svg_of
from stabilitybench.documents.report import FigureGroup

if TYPE_CHECKING:
    import pandas as pd

# Okabe & Ito without black, which is the baseline's
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":", "-.")
#: Lines beside the baseline that can still be told apart in one figure.
TOGETHER = 6


CAPTION = (
    "For each score, the share of runs that reach at most it: a steep line is a stable arm, a step at the left its "
    "failed runs. The baseline is black, the dotted line is no skill."
)


def ecdf_figures(scores: pd.DataFrame, baseline: str) -> FigureGroup:
    """Draw the empirical distribution of each arm's scores over that of the baseline, up to six arms in a figure.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, in the order in which arms are to be named.
    baseline : str
        Name of the arm that is drawn in every figure.
    """
    from matplotlib import rc_context

    figures = []
    for (encoder, task), part in finished(scores).groupby(GROUP, sort=False):
        names = list(dict.fromkeys(part["arm"]))
        others = [a for a in names if a != baseline]
        groups = [others[i : i + TOGETHER] for i in range(0, len(others), TOGETHER)] or [[]]
        low, high = _limits(100 * part["score"].to_numpy())
        for group in groups:
            shown = [a for a in names if a == baseline or a in group]
            with rc_context(STYLE):
                canvas = canvas_of(2.5 + 0.17 * len(shown))
                axes = canvas.subplots()
                for place, arm in enumerate(shown):
                    values = np.sort(100 * part.loc[part["arm"] == arm, "score"].to_numpy())
                    x = np.concatenate([[low], values, [high]])
                    y = np.concatenate([[0.0], np.arange(1, len(values) + 1) / len(values), [1.0]])
                    first = arm == baseline
                    color = BLACK if first else COLORS[group.index(arm) % len(COLORS)]
                    dash = "-" if first else DASHES[place % len(DASHES)]
                    axes.step(x, 100 * y, dash, where="post", color=color, linewidth=1.8, label=plain(short(arm, 34)))
                for value in part["no_skill"].dropna().unique():
                    axes.axvline(100 * value, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
                axes.set_xlim(low, high)
                axes.set_ylim(0, 101)
                axes.set_xlabel(plain(f"{formats.metric(part['metric'].iloc[0])}, points"))
                axes.set_ylabel("% of runs at or below")
                canvas.legend(loc="outside lower left", ncols=1, frameon=False, fontsize=9)
                svg = svg_of(canvas)
            title = f"Distribution of scores: {task_label(scores, encoder, task)}"
            if len(groups) > 1:
                title += f" ({groups.index(group) + 1} of {len(groups)})"
            medians = "; ".join(
                f"{a}: median {formats.points(float(part.loc[part['arm'] == a, 'score'].median()))}" for a in shown
            )
            figures.append(Figure(title, medians, svg))
    return FigureGroup("ecdf", "Distributions", CAPTION, tuple(figures))


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin
