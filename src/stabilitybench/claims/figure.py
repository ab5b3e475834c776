"""The figure of a claim: the effect of every check with its interval, coloured by verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

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
    svg_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stabilitybench.claims import ClaimVerdict

COLORS = {"supported": BLUE, "contradicted": VERMILION}
MARKS = {"supported": "o", "contradicted": "X"}
#: Characters of a line of a row's name, and of all of its lines.
LINE, NAME = 32, 90
#: Units of which 1, not 0, is no effect.
RATIOS = ("SD ratio", "largest / smallest", "ratio")


def claim_figure(judged: Sequence[ClaimVerdict]) -> Figure:
    """Draw the checks of one claim: a row each, an axis for each unit, a line where there is no effect.

    A check that is held against other limits (a margin, another value than none) has these drawn in its row.  What
    has no number (a closed form, runs that nobody has made yet, an arm without spread) is said in its row.

    Parameters
    ----------
    judged : sequence of ClaimVerdict
        All of one claim, at least one.
    """
    from matplotlib import rc_context

    claim = judged[0].claim
    units = list(dict.fromkeys(j.finding.unit if j.finding.effect is not None else "" for j in judged))
    groups = [[j for j in judged if (j.finding.unit if j.finding.effect is not None else "") == u] for u in units]
    with rc_context(STYLE):
        canvas = canvas_of(0.5 + sum(0.55 + 0.42 * len(group) for group in groups))
        axes = canvas.subplots(len(groups), 1, squeeze=False, height_ratios=[len(g) + 1.2 for g in groups])[:, 0]
        for axis, unit, group in zip(axes, units, groups, strict=True):
            _forest(axis, unit, group)
        svg = svg_of(canvas)
    told = ", ".join(f"{j.check.tier} {j.check.label}: {j.verdict}" for j in judged)
    return Figure(claim.id, f"Effects with 95 % intervals. {told}.", svg)


def _forest(axes: Axes, unit: str, group: Sequence[ClaimVerdict]) -> None:
    names = [" ".join(part for part in (j.check.tier, j.check.label) if part) for j in group]
    rows(axes, [fill(name, LINE) for name in names], NAME)
    ratio = unit in RATIOS
    numbers = [
        v for j in group for v in (j.finding.effect, j.finding.low, j.finding.high, *j.finding.limits)
        if v is not None and math.isfinite(v) and (not ratio or v > 0)
    ]  # fmt: skip
    if not numbers:
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
    else:
        if ratio:
            axes.set_xscale("log")
        axes.axvline(1.0 if ratio else 0.0, color=GREY, linewidth=1)
        axes.set_xlabel(plain(unit or "effect"))
    for place, j in enumerate(group):
        f = j.finding
        if f.effect is None or (ratio and not f.effect > 0):
            remark(axes, place, j.verdict, COLORS.get(j.verdict, GREY))
            continue
        axes.vlines(f.limits, place - 0.35, place + 0.35, color=GREY, linewidth=1, linestyle="dashed")
        color = COLORS.get(j.verdict, GREY)
        if f.low is not None and f.high is not None:
            axes.plot([f.low, f.high], [place, place], color=color, linewidth=2)
        axes.plot([f.effect], [place], MARKS.get(j.verdict, "s"), color=color, markersize=6)
    if numbers and ratio:
        low, high = min([*numbers, 1.0]), max([*numbers, 1.0])
        axes.set_xlim(low / 1.15, high * 1.15)
        log_ticks(axes)
