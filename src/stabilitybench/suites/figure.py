"""The figure of a suite: bounds and measurement against the factor, every dataset a point."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.documents.drawing import BLACK, BLUE, GREY, STYLE, VERMILION, Figure, canvas_of, plain, svg_of

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.suites.file import SuiteFile

# Okabe & Ito's palette; bounds are lines with points of one shape each
GREEN, ORANGE, SKY, PURPLE = "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
MEASURED = (("data", BLUE, "o"), ("worst", SKY, "."), ("seed", GREEN, "s"), ("max-margin", GREY, "x"))
#: Distances below this are rounding.
FLOOR = 1e-9
BOUNDS = (
    (VERMILION, "^"),
    (ORANGE, "v"),
    (PURPLE, "D"),
    (BLACK, "+"),
    ("#8B5A2B", "*"),
    ("#999933", "P"),
    ("#882255", "h"),
)


def factor_figure(file: SuiteFile, frame: pd.DataFrame) -> Figure:
    """Draw a suite: filled lines join medians of measurements, broken ones medians of bounds.

    Both axes are logarithmic; a factor with the value 0 gets evenly spaced places instead.  Distances that are
    rounding, or exactly 0, are left out.

    Parameters
    ----------
    file : SuiteFile
        The suite.
    frame : DataFrame
        Its results, as `SuiteResults.to_frame` gives them.
    """
    from matplotlib import rc_context
    from matplotlib.ticker import NullFormatter, NullLocator

    values = [float(v) for v in file.values]
    places = dict(zip(values, values if min(values) > 0 else range(len(values)), strict=True))
    with rc_context(STYLE):
        canvas = canvas_of(4.2)
        axes = canvas.subplots()
        axes.set_yscale("log")
        if min(values) > 0 and len(values) > 1:
            axes.set_xscale("log")
        for name, color, marker in MEASURED:
            part = frame[(frame["kind"] == "measured") & (frame["item"] == name)]
            _cloud(axes, part, places, color, marker, "-", name)
        for name, (color, marker) in zip(file.measure.bounds, cycle(BOUNDS), strict=False):
            part = frame[(frame["kind"] == "bound") & (frame["item"] == name)]
            _cloud(axes, part, places, color, marker, "--", name)
        axes.set_xticks([places[v] for v in values], [f"{v:g}" for v in values])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(plain(_axis(file)))
        axes.set_ylabel("distance of " + ("directions" if file.measure.kind in ("head", "max-margin") else "weights"))
        canvas.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
        svg = svg_of(canvas)
    count = frame["dataset"].nunique()
    return Figure(file.title, f"{count} datasets: bounds and measurements against {file.axis}, log-log.", svg)


def _axis(file: SuiteFile) -> str:
    return file.axis if file.axis == file.factor else f"{file.factor} ({file.axis})"


def _cloud(  # type: ignore[no-untyped-def]
    axes, part: pd.DataFrame, places: dict[float, float], color: str, marker: str, line: str, name: str
) -> None:
    part = part[part["amount"] > FLOOR]
    if part.empty:
        return
    x = part["value"].map(places).to_numpy(np.float64)
    axes.plot(x, part["amount"], marker, color=color, markersize=3.5, alpha=0.35, markeredgewidth=0.6)
    middle = part.groupby("value")["amount"].median()
    at = [places[float(v)] for v in middle.index]
    order = np.argsort(at)
    axes.plot(
        np.array(at)[order], middle.to_numpy()[order], line, marker=marker, color=color, markersize=4, linewidth=1.3,
        label=plain(name),
    )  # fmt: skip
