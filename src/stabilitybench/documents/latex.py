"""Tables for a paper: LaTeX with booktabs, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable

from stabilitybench.documents.table import Column, Table, TableCell
from stabilitybench.printing import printable

HEAD = r"""% Made by stabilitybench; \input this file, or copy single tables.
% Needs \usepackage{booktabs} and \usepackage{graphicx}.
% Letters beyond Latin need XeLaTeX or LuaLaTeX and a font that has them.
"""
SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "`": r"\textasciigrave{}",
    "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "²": r"\textsuperscript{2}", "–": "--", "…": r"\dots{}",  # noqa: RUF001
}  # fmt: skip


def latex(tables: Iterable[Table]) -> str:
    r"""Return tables for a paper, each in a `table` of its own with its caption below.

    Parameters
    ----------
    tables : iterable of Table
        Every text in them is escaped; those without rows are left out.

    Returns
    -------
    str
        A file for ``\input``, which needs booktabs and graphicx.

    Examples
    --------
    >>> from stabilitybench.documents.table import texts
    >>> arms = Table("arms", "Arms", "All of them.", texts(arm="arm"), ({"arm": TableCell("plain")},))
    >>> print(latex([arms]).splitlines()[-3])
    \caption{Arms. All of them.}
    """
    return HEAD + "".join(f"\n{_table(table)}" for table in tables if table.rows)


def escape(text: str) -> str:
    r"""Return text that LaTeX prints as it is, on one line.

    Parameters
    ----------
    text : str
        Anything; what commands a terminal is written out.

    Examples
    --------
    >>> print(escape("a_b & 5 % {x}"))
    a\_b \& 5 \% \{x\}
    """
    return "".join(SPECIAL.get(c, c) for c in printable(" ".join(text.split())))


def _table(table: Table) -> str:
    columns = "".join(_column(c) for c in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        " & ".join(escape(c.title) for c in table.columns) + r" \\",
        r"\midrule",
        *(" & ".join(_entry(cell) for cell in table.cells(row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\caption{{{escape(table.title)}. {escape(table.caption)}}}",
        rf"\label{{tab:{table.key}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _column(column: Column) -> str:
    return "p{4.5cm}" if column.wraps else "r" if column.numeric else "l"


def _entry(cell: TableCell) -> str:
    return escape(cell.text) or "{}"
