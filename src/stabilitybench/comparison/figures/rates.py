"""How often runs fail, as bars with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.documents.drawing import BLACK, GREY, STYLE, VERMILION, Figure, canvas_of, rows, svg_of
from stabilitybench.documents.report import FigureGroup

if TYPE_CHECKING:
    from stabilitybench.comparison.model import ArmResult, Comparison


CAPTION = "Bars are shares of failed runs, lines their 95 % Wilson intervals; the baseline is grey."


def rate_figures(comparison: Comparison) -> FigureGroup:
    """Draw the failure rate of each arm with its Wilson interval, per task with finished runs.

    Parameters
    ----------
    comparison : Comparison
        Gives rates and intervals; an arm of which no failures are known has an empty row.
    """
    from matplotlib import rc_context

    groups: dict[tuple[str, str], list[ArmResult]] = {}
    for cell in comparison.cells:
        if cell.n:
            groups.setdefault((cell.encoder, cell.task), []).append(cell)
    several = len({encoder for encoder, _ in groups}) > 1
    figures = []
    for (encoder, task), cells in groups.items():
        with rc_context(STYLE):
            canvas = canvas_of(0.36 * len(cells) + 0.95)
            axes = canvas.subplots()
            for place, cell in enumerate(cells):
                f = cell.failure
                if f.rate is None or f.low is None or f.high is None:
                    continue
                axes.barh(place, 100 * f.rate, height=0.6, color=GREY if cell.is_baseline else VERMILION, alpha=0.75)
                axes.plot(
                    [100 * f.low, 100 * f.high], [place, place], color=BLACK, linewidth=1.6, solid_capstyle="butt"
                )
                axes.text(
                    1.01, place, f"{f.failed}/{f.n}", transform=axes.get_yaxis_transform(), va="center", fontsize=9
                )
            rows(axes, [c.arm for c in cells])
            axes.set_xlim(0, 100)
            axes.set_xlabel("% of runs that failed, 95 % Wilson interval")
            svg = svg_of(canvas)
        alt = "; ".join(
            f"{c.arm}: {c.failure.failed} of {c.n} failed" if c.failures_known else f"{c.arm}: unknown" for c in cells
        )
        title = f"Failures: {task} ({encoder})" if several else f"Failures: {task}"
        figures.append(Figure(title, alt, svg))
    return FigureGroup("rates", "Failures", CAPTION, tuple(figures))
