"""Disagreement between the runs of an arm as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stabilitybench.documents.drawing import STYLE, VERMILION, Figure, canvas_of, plain, short, svg_of
from stabilitybench.documents.report import FigureGroup

if TYPE_CHECKING:
    from stabilitybench.comparison.agreement import Agreement


CAPTION = (
    "Each square holds all pairs of runs of an arm: the share of test texts on which the two predict different "
    "classes. Failed runs stand last, behind the orange-red lines."
)


def disagreement_figures(found: Sequence[Agreement]) -> FigureGroup:
    """Draw, per task, a square for each arm: the share of texts on which each pair of its runs differs.

    Runs stand in the order of their seeds, failed ones last, behind a line.  All squares of a task share one scale.

    Parameters
    ----------
    found : sequence of Agreement
        One per encoder, task and arm.
    """
    from matplotlib import rc_context

    groups: dict[tuple[str, str], list[Agreement]] = {}
    for a in found:
        groups.setdefault((a.encoder, a.task), []).append(a)
    several = len({encoder for encoder, _ in groups}) > 1
    figures = []
    for (encoder, task), arms in groups.items():
        top = max(100 * float(a.matrix.max()) for a in arms) or 1.0
        lines = -(-len(arms) // 2)
        with rc_context(STYLE):
            canvas = canvas_of(2.15 * lines + 0.75)
            grid = canvas.subplots(lines, 2, squeeze=False).ravel()
            for axes, a in zip(grid, arms, strict=False):
                drawn = axes.imshow(100 * a.matrix, cmap="cividis", vmin=0, vmax=top, interpolation="none")
                axes.set_title(plain(short(a.arm, 22)), fontsize=9, loc="left")
                axes.set_xticks([])
                axes.set_yticks([])
                good = len(a.failed) - sum(a.failed)
                if 0 < good < len(a.failed):
                    axes.axhline(good - 0.5, color=VERMILION, linewidth=1.2)
                    axes.axvline(good - 0.5, color=VERMILION, linewidth=1.2)
            for axes in grid[len(arms) :]:
                axes.set_axis_off()
            canvas.colorbar(
                drawn, ax=list(grid), orientation="horizontal", shrink=0.7, aspect=30, label="% of texts that differ"
            )
            svg = svg_of(canvas)
        alt = "; ".join(f"{a.arm}: {100 * a.disagreement:.1f} % on average" for a in arms)
        title = f"Disagreement of runs: {task} ({encoder})" if several else f"Disagreement of runs: {task}"
        figures.append(Figure(title, alt, svg))
    return FigureGroup("disagreement", "Disagreement of runs", CAPTION, tuple(figures))
