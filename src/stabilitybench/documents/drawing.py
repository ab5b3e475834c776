"""What all figures share: size, colours, text that is safe to draw, and the finished figure as SVG."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

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
    """A finished figure: SVG text, and what it shows in words for those who cannot see it.

    Attributes
    ----------
    title : str
        Printed above the figure.
    alt : str
        What it shows, in words.
    svg : str
        The drawing; its text stays text.
    """

    title: str
    alt: str
    svg: str

    @property
    def data_uri(self) -> str:
        """Return the figure as the source of an HTML image, which runs no script and shares no ids."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def rows(axes: Axes, names: list[str], limit: int = 32) -> None:
    """Name the rows of a figure, the first at its top.

    Parameters
    ----------
    axes : Axes
        Where row k is drawn at y = k.
    names : list of str
        One for each row.
    limit : int, default 32
        Characters at which a name is cut.
    """
    axes.set_yticks(range(len(names)), [plain(short(name, limit)) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def log_ticks(axes: Axes) -> None:
    """Tick a logarithmic axis at 1, 2 and 5 times powers of ten, as plain numbers.

    Parameters
    ----------
    axes : Axes
        Its x axis is ticked within its limits, which are set before.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axes.get_xlim()
    steps = [10.0**k * m for k in range(-12, 13) for m in (1, 2, 5)]
    inside = [s for s in steps if low <= s <= high]
    axes.xaxis.set_major_locator(FixedLocator(inside[:: -(-len(inside) // 6) or 1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def remark(axes: Axes, place: float, words: str, color: str = VERMILION) -> None:
    """Say in a row what is not drawn there.

    Parameters
    ----------
    axes : Axes
        Where row k is drawn at y = k.
    place : float
        The row.
    words : str
        Printed at its right end.
    color : str, default VERMILION
        Of the words.
    """
    axes.text(
        0.99, place, plain(words), transform=axes.get_yaxis_transform(), ha="right", va="center", color=color,
        fontsize=8.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip


def short(name: str, limit: int) -> str:
    """Cut a long name.

    Parameters
    ----------
    name : str
        Of any length.
    limit : int
        Characters to keep, an ellipsis included.

    Examples
    --------
    >>> short("debiased-adam", 8)
    'debiase…'
    """
    return name if len(name) <= limit else name[: limit - 1] + "…"


def plain(text: str) -> str:
    """Return text that matplotlib prints as it is.

    Parameters
    ----------
    text : str
        Anything: `$` would start a formula, control signs break XML.
    """
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text).replace("$", r"\$")


def canvas_of(height: float) -> Canvas:
    """Return an empty figure of the common width; pyplot and the user's own figures are not touched.

    Parameters
    ----------
    height : float
        In inches.
    """
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(WIDTH, height), layout="constrained")


def svg_of(canvas: Canvas) -> str:
    """Return the drawing as SVG, the same bytes each time.

    Parameters
    ----------
    canvas : matplotlib.figure.Figure
        Finished; it is laid out here and not to be drawn again.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with warnings.catch_warnings():
        # text stays text in the SVG, so the reader's browser draws the letters that our font lacks
        for lacking in ("Glyph .* missing from font", "Matplotlib currently does not support"):  # letters, scripts
            warnings.filterwarnings("ignore", message=lacking)
        engine = canvas.get_layout_engine()
        if engine is not None:  # once: saving would lay out the figure twice, the slowest part of it
            engine.execute(canvas)
            canvas.set_layout_engine("none")
        # savefig would draw a second time, only to find out the size
        FigureCanvasSVG(canvas).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()
