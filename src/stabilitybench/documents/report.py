"""What a report is made of: sections of few kinds of blocks, printed alike in HTML and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from stabilitybench.documents.drawing import Figure
from stabilitybench.documents.table import Table


@dataclass(frozen=True)
class FigureGroup:
    """Figures of one kind with the caption that says how to read them; Markdown leaves them out.

    Attributes
    ----------
    key : str
        Names the block in links.
    title : str
        Heading, empty to stand under that of the section.
    caption : str
        How to read the figures.
    figures : tuple of Figure
        Drawn one below the other.
    """

    kind: ClassVar[str] = "figures"

    key: str
    title: str
    caption: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Prose:
    """Paragraphs.

    Attributes
    ----------
    key, title : str
        As in `FigureGroup`.
    paragraphs : tuple of str
        Plain text, one entry each.
    """

    kind: ClassVar[str] = "prose"

    key: str
    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class BulletList:
    """A list of sentences.

    Attributes
    ----------
    key, title : str
        As in `FigureGroup`.
    items : tuple of str
        Plain text, one entry each.
    """

    kind: ClassVar[str] = "bullets"

    key: str
    title: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Definitions:
    """Terms and what they mean.

    Attributes
    ----------
    key, title : str
        As in `FigureGroup`.
    entries : tuple of (str, str)
        Each term with its meaning.
    short : bool, default False
        Whether each stands on one line, as versions do.
    """

    kind: ClassVar[str] = "definitions"

    key: str
    title: str
    entries: tuple[tuple[str, str], ...]
    short: bool = False


@dataclass(frozen=True)
class Code:
    """A text printed as it is.

    Attributes
    ----------
    key, title : str
        As in `FigureGroup`.
    text : str
        Lines.
    language : str, default ""
        Such as "toml", for readers that colour it.
    """

    kind: ClassVar[str] = "code"

    key: str
    title: str
    text: str
    language: str = ""


Block: TypeAlias = Table | FigureGroup | Prose | BulletList | Definitions | Code


@dataclass(frozen=True)
class Section:
    """A heading of a report and what stands under it.

    Attributes
    ----------
    key : str
        Names the section in links.
    title : str
        The heading.
    blocks : tuple of Block
        One without a title stands under that of the section.
    listed : bool, default True
        Whether the contents name its blocks, where there are several.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    listed: bool = True

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the section."""
        return tuple(b for b in self.blocks if isinstance(b, Table))


@dataclass(frozen=True)
class Report:
    """Everything that a report shows, before it becomes HTML or Markdown.

    Attributes
    ----------
    title : str
        Of the page.
    headline : str
        What it is about, in one line.
    notes : tuple of str
        What stands in the way of trust, one sentence each.
    sections : tuple of Section
        The findings.
    appendices : tuple of Section
        Methods, references, words and the like.
    data : Table
        The table behind it all, folded up at the end of the page; Markdown leaves it out.
    """

    title: str
    headline: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    appendices: tuple[Section, ...]
    data: Table

    @property
    def contents(self) -> tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]:
        """The table of contents: key and title of each section, and of the parts of those that have several."""
        found = []
        for s in (*self.sections, *self.appendices):
            parts = s.blocks if s.listed and len(s.blocks) > 1 else ()
            found.append((s.key, s.title, tuple((f"part-{b.key}", b.title) for b in parts if b.title)))
        return (*found, ("data", self.data.title, ()))
