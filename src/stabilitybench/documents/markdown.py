"""The report as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stabilitybench.documents.table import Table

if TYPE_CHECKING:
    from stabilitybench.documents.report import Report


def markdown(report: Report) -> str:
    """Return the whole report but its figures; names cannot start HTML, a link or a table cell."""
    facts = report.facts
    lines = [f"# {escape(facts.name)}", "", escape(report.headline), ""]
    lines += [f"> **Note.** {escape(note)}\n" for note in report.notes]
    for section in report.sections:
        for table in section.tables:
            lines += _table(table)
    lines += ["## Methods", ""]
    lines += [f"{escape(paragraph)}\n" for paragraph in report.methods]
    lines += ["## References", "", *(f"- {escape(r)}" for r in report.references), ""]
    lines += [
        "## Words",
        "",
        *(f"- **{escape(word)}**: {escape(text)}" for word, text in report.glossary),
        "",
    ]
    if facts.spec_toml:
        lines += ["## Resolved study file", "", _fenced(facts.spec_toml, "toml"), ""]
    if facts.environment:
        lines += [
            "## Environment",
            "",
            *(f"- {escape(k)}: {escape(v)}" for k, v in facts.environment.items()),
            "",
        ]
    return "\n".join(lines)


def escape(text: str) -> str:
    r"""Return text that Markdown prints as it is, on one line.

    >>> escape("a|b <script> [x](y)")
    'a\\|b &lt;script&gt; \\[x\\](y)'
    """
    text = " ".join(text.split())
    text = re.sub(r"([\\`*|\[\]])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(table: Table) -> list[str]:
    lines = [f"## {table.title}", "", escape(table.caption), ""]
    if not table.rows:
        return [*lines, "Nothing to list.", ""]
    lines.append("| " + " | ".join(escape(c.title) for c in table.columns) + " |")
    lines.append("|" + "|".join("---:" if c.numeric else "---" for c in table.columns) + "|")
    lines += ["| " + " | ".join(escape(e.text) for e in row) + " |" for row in table.rows]
    return [*lines, ""]


def _fenced(text: str, language: str) -> str:
    """Fence a block with more backticks than it holds in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
