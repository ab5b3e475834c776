"""The report as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stabilitybench.documents.report import BulletList, Code, Definitions, Prose
from stabilitybench.documents.table import Table
from stabilitybench.printing import LAYOUT, printable

if TYPE_CHECKING:
    from stabilitybench.documents.report import Block, Report


def markdown(report: Report) -> str:
    """Return a report as Markdown, without its figures and its data.

    Parameters
    ----------
    report : Report
        Every text in it is escaped: names cannot start HTML, a link or a table cell.
    """
    lines = [f"# {escape(report.title)}", "", escape(report.headline), ""]
    lines += [f"> **Note.** {escape(note)}\n" for note in report.notes]
    for section in (*report.sections, *report.appendices):
        for block in section.blocks:
            printed = _block(block)
            lines += [f"## {block.title or section.title}", "", *printed] if printed else []
    return "\n".join(lines)


def _block(block: Block) -> list[str]:
    """Return the lines of a block, the last one empty; none for figures."""
    match block:
        case Table():
            return _table(block)
        case Prose():
            return [f"{escape(paragraph)}\n" for paragraph in block.paragraphs]
        case BulletList():
            return [*(f"- {escape(item)}" for item in block.items), ""]
        case Definitions(short=True):
            return [*(f"- {escape(word)}: {escape(text)}" for word, text in block.entries), ""]
        case Definitions():
            return [*(f"- **{escape(word)}**: {escape(text)}" for word, text in block.entries), ""]
        case Code():
            return [_fenced(block.text, block.language), ""]
        case _:
            return []


def escape(text: str) -> str:
    r"""Return text that Markdown prints as it is, on one line.

    Parameters
    ----------
    text : str
        Anything; white space in a row becomes one space.

    Examples
    --------
    >>> escape("a|b <script> [x](y)")
    'a\\|b &lt;script&gt; \\[x\\](y)'
    """
    text = printable(" ".join(text.split()))
    text = re.sub(r"([\\`*|\[\]])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(table: Table) -> list[str]:
    lines = [escape(table.caption), ""]
    if not table.rows:
        return [*lines, "Nothing to list.", ""]
    lines.append("| " + " | ".join(escape(c.title) for c in table.columns) + " |")
    lines.append("|" + "|".join("---:" if c.numeric else "---" for c in table.columns) + "|")
    lines += ["| " + " | ".join(escape(cell.text) for cell in table.cells(row)) + " |" for row in table.rows]
    return [*lines, ""]


def _fenced(text: str, language: str) -> str:
    """Fence a block with more backticks than it holds in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text.rstrip(), LAYOUT)}\n{fence}"
