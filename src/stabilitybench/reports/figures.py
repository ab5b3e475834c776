"""Three figures: every seed as a point, SD ratios with intervals, and learning curves with their spread."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stabilitybench.reports import formats
from stabilitybench.reports.frames import GROUP, finished

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

    from stabilitybench.reports.comparison import Against, Cell, Comparison

# Okabe & Ito's palette, told apart under the common colour blindnesses; shapes repeat what colours say
BLUE, VERMILION, GREY, BLACK = "#0072B2", "#D55E00", "#777777", "#111111"
WIDTH = 4.7  # inches: the text stays readable when a narrow screen shrinks the figure to 400 pixels
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "stabilitybench",
    "axes.unicode_minus": False,
}


@dataclass(frozen=True)
class Figure:
    """A finished figure: SVG text, and what it shows in words for those who cannot see it."""

    title: str
    alt: str
    svg: str

    @property
    def data_uri(self) -> str:
        """Return the figure as the source of an HTML image, which runs no script and shares no ids."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def seed_figures(scores: pd.DataFrame) -> list[Figure]:
    """Draw every finished run as a point over a box of quartiles, per task and arm; failed runs are crosses.

    scores : checked rows, in the order in which arms are to be drawn.
    """
    from matplotlib import rc_context

    figures = []
    for (encoder, task), part in finished(scores).groupby(GROUP, sort=False):
        arms = list(dict.fromkeys(part["arm"]))
        with rc_context(STYLE):
            canvas = _canvas(0.42 * len(arms) + 1.25)
            axes = canvas.subplots()
            for place, arm in enumerate(arms):
                _seeds(axes, place, part[part["arm"] == arm])
            no_skill = part["no_skill"].dropna().unique()
            for value in no_skill:
                axes.axvline(100 * value, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
            _rows(axes, arms)
            axes.set_xlabel(_plain(f"{formats.metric(part['metric'].iloc[0])}, points"))
            _legend(axes, bool(part["failed"].any()), len(no_skill) > 0)
            svg = _svg(canvas)
        title = f"All seeds: {_label(scores, encoder, task)}"
        alt = f"{len(part)} runs of {len(arms)} arms; {int(part['failed'].sum())} failed."
        figures.append(Figure(title, alt, svg))
    return figures


def ratio_figures(comparison: Comparison) -> list[Figure]:
    """Draw the SD ratios per task on one logarithmic scale; an arm without interval says so in its row."""
    from matplotlib import rc_context

    groups: dict[tuple[str, str], list[Cell]] = {}
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
            canvas = _canvas(0.42 * len(cells) + 1.1)
            axes = canvas.subplots()
            axes.set_xscale("log")
            axes.axvline(1, color=GREY, linewidth=1)
            axes.set_xlim(limits)
            for place, cell in enumerate(cells):
                if cell.against is not None:
                    _ratio_row(axes, place, cell.against)
            _rows(axes, [c.arm for c in cells])
            _log_ticks(axes)
            axes.set_xlabel(_plain(f"SD ratio to {_short(comparison.baseline, 30)}\n(left of 1: more stable)"))
            svg = _svg(canvas)
        alt = "; ".join(f"{c.arm}: {_ratio_words(c.against)}" for c in cells if c.against)
        figures.append(Figure(f"SD ratios: {task} ({encoder})" if several else f"SD ratios: {task}", alt, svg))
    return figures


def curve_figures(curves: pd.DataFrame, scores: pd.DataFrame) -> list[Figure]:
    """Draw validation score and training loss over training, per task and arm.

    Thin lines are runs (failed ones in vermilion), the thick line is the median, the band the middle half.
    """
    from matplotlib import rc_context

    done = finished(scores)
    failed = set(done.loc[done["failed"], "run_id"])
    diverged = set(done.loc[done["status"] == "diverged", "run_id"])
    curves = curves[curves["run_id"].isin(set(done["run_id"]))]
    figures = []
    for (encoder, task), part in curves.groupby(GROUP, sort=False):
        ran = done[(done["encoder"] == encoder) & (done["task"] == task)]
        arms = [a for a in dict.fromkeys(ran["arm"]) if (part["arm"] == a).any()]
        with rc_context(STYLE):
            canvas = _canvas(1.25 * len(arms) + 0.75)
            grid = canvas.subplots(len(arms), 2, sharex=True, sharey="col", squeeze=False)
            for row, arm in zip(grid, arms, strict=True):
                runs = part[part["arm"] == arm]
                _fan(row[0], runs, "validation", 100, failed)
                _fan(row[1], runs, "train_loss", 1, failed)
                row[0].set_ylabel(_plain(_short(arm, 16)), fontsize=9)
            _limit(grid[0][0], 100 * part.loc[~part["run_id"].isin(diverged), "validation"])
            _limit(grid[0][1], part.loc[~part["run_id"].isin(diverged), "train_loss"])
            grid[0][0].set_title(
                _plain(f"validation {formats.metric(ran['metric'].iloc[0])}, points"), loc="left", fontsize=9
            )
            grid[0][1].set_title("training loss", loc="left", fontsize=9)
            for axes in grid[-1]:
                axes.set_xlabel("% of training")
            svg = _svg(canvas)
        title = f"Learning curves: {_label(scores, encoder, task)}"
        alt = f"Validation score and training loss of {part['run_id'].nunique()} runs in {len(arms)} arms."
        figures.append(Figure(title, alt, svg))
    return figures


def _seeds(axes: Axes, place: int, runs: pd.DataFrame) -> None:
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


def _fan(axes: Axes, runs: pd.DataFrame, column: str, factor: float, failed: set[str]) -> None:
    for run_id, line in runs.groupby("run_id", sort=False):
        line = line.sort_values("progress")
        color, alpha = (VERMILION, 0.8) if run_id in failed else (BLUE, 0.45)
        axes.plot(100 * line["progress"], factor * line[column], color=color, linewidth=0.7, alpha=alpha)
    quantiles = (
        runs.assign(progress=runs["progress"].round(6))
        .groupby("progress")[column]
        .quantile(np.array([0.25, 0.5, 0.75]))
    )
    table = factor * quantiles.unstack()
    x = 100 * table.index.to_numpy()
    axes.fill_between(x, table[0.25], table[0.75], color=GREY, alpha=0.3, linewidth=0)
    axes.plot(x, table[0.5], color=BLACK, linewidth=1.8)
    axes.tick_params(labelsize=8)


def _ratio_row(axes: Axes, place: int, against: Against) -> None:
    found = against.ratio
    if found.estimate and found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
        axes.plot(found.estimate, place, "o", color=BLUE, markersize=6)
        return
    for ratio in _without_interval(against):
        axes.plot(ratio, place, "D", markerfacecolor="white", markeredgecolor=VERMILION, markersize=6)
    words = _plain(_ratio_words(against))
    right = axes.get_yaxis_transform()
    axes.text(0.99, place - 0.28, words, transform=right, ha="right", va="center", color=VERMILION, fontsize=8.5)


def _without_interval(against: Against) -> list[float]:
    """Return the point to draw for an arm that has no interval, if it has one that fits a logarithmic axis."""
    if against.ratio.has_interval:
        return []
    ratio = against.kept_ratio if against.withheld else against.ratio.estimate
    return [ratio] if ratio else []


def _limit(axes: Axes, values: pd.Series[float]) -> None:
    """Fit the axis to the values given: one diverged loss would flatten every other curve."""
    low, high = values.min(), values.max()
    if np.isfinite(low) and np.isfinite(high) and low < high:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [_plain(_short(name, 32)) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axes.get_xlim()
    steps = [10.0**k * m for k in range(-12, 13) for m in (1, 2, 5)]
    inside = [s for s in steps if low <= s <= high]
    axes.xaxis.set_major_locator(FixedLocator(inside[:: max(1, len(inside) // 8)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(axes: Axes, failed: bool, no_skill: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=BLUE, marker="o", linestyle="", markersize=4, label="run")]
    if failed:
        handles.append(Line2D([], [], color=VERMILION, marker="x", linestyle="", markersize=5, label="failed run"))
    if no_skill:
        handles.append(Line2D([], [], color=GREY, linestyle=":", label="no skill"))
    axes.figure.legend(handles=handles, loc="outside lower right", ncols=3, frameon=False, fontsize=9)


def _ratio_words(against: Against) -> str:
    if against.withheld:
        return "interval withheld: failed runs"
    if not against.ratio.has_interval:
        return f"{formats.estimate(against.ratio.estimate, None, None)}, no interval"
    return formats.estimate(against.ratio.estimate, against.ratio.low, against.ratio.high)


def _label(scores: pd.DataFrame, encoder: object, task: object) -> str:
    return f"{task} ({encoder})" if scores["encoder"].nunique() > 1 else str(task)


def _short(name: str, limit: int) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _plain(text: str) -> str:
    """Return text that matplotlib prints as it is: `$` would start a formula, control signs break XML."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text).replace("$", r"\$")


def _canvas(height: float) -> Canvas:
    """Return an empty figure of the common width; pyplot and the user's own figures are not touched."""
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(WIDTH, height), layout="constrained")


def _svg(canvas: Canvas) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # text stays text in the SVG, so the reader's browser draws the letters that our font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
