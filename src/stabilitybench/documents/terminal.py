"""The way to a terminal or a log: whatever a file brought along is made printable here."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from stabilitybench.printing import LAYOUT, printable


class PlainConsole(Console):
    r"""A console on which no text commands the terminal, and nothing that a user wrote is markup.

    Parameters
    ----------
    **settings : Any
        As of `rich.console.Console`.

    Examples
    --------
    >>> PlainConsole(width=40).print("[red]\x1b[31mname")
    [red]\x1b[31mname
    """

    def __init__(self, **settings: object) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})  # type: ignore[arg-type]

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the pieces of anything that can be printed, each of them printable.

        Parameters
        ----------
        renderable : RenderableType
            What is printed.
        options : ConsoleOptions, optional
            As of `rich.console.Console`.
        """
        # Texts are made printable before they are laid out, so that what was written out wraps and is not cut.
        if isinstance(renderable, str):
            renderable = printable(renderable, LAYOUT)
        elif isinstance(renderable, Text) and (told := printable(renderable.plain, LAYOUT)) != renderable.plain:
            renderable = Text(told, renderable.style, justify=renderable.justify, overflow=renderable.overflow)
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, LAYOUT), segment.style)
