"""Documents of any subject: keyed tables, and every kind of block in HTML, Markdown and LaTeX."""

from __future__ import annotations

import re

import pytest

from stabilitybench.documents.html import html
from stabilitybench.documents.latex import latex
from stabilitybench.documents.markdown import markdown
from stabilitybench.documents.report import BulletList, Code, Definitions, FigureGroup, Prose, Report, Section
from stabilitybench.documents.table import Column, Table, TableCell, numeric, sentences, texts
from stabilitybench.errors import UserError

COLUMNS = (*texts(arm="arm"), *numeric(p="p-value"), *sentences(verdict="verdict"))


def row(arm: str, p: float, verdict: str) -> dict[str, TableCell]:
    return {"arm": TableCell(arm), "p": TableCell(f"{p}", p), "verdict": TableCell(verdict)}


def table(columns: tuple[Column, ...] = COLUMNS, *rows: dict[str, TableCell]) -> Table:
    return Table("t", "Arms", "What they are.", columns, rows or (row("plain", 0.25, "same"),))


def test_cells_stand_in_the_order_of_the_columns_whatever_that_of_the_row():
    backwards = dict(reversed(row("plain", 0.25, "same").items()))
    found = table(COLUMNS, backwards)
    assert [cell.text for cell in found.cells(found.rows[0])] == ["plain", "0.25", "same"]


def test_an_inserted_column_moves_no_cell():
    wider = (COLUMNS[0], *numeric(n="n"), *COLUMNS[1:])
    found = table(wider, {**row("plain", 0.25, "same"), "n": TableCell("20", 20)})
    assert "| plain | 20 | 0.25 | same |" in markdown(report(Section("s", "S", (found,))))
    assert "plain & 20 & 0.25 & same" in latex([found])


@pytest.mark.parametrize(
    ("columns", "cells", "said"),
    [
        (
            COLUMNS,
            {"arm": TableCell("a"), "p": TableCell("1")},
            'table "t": row 2 has no cell "verdict"; the columns are',
        ),
        (COLUMNS[:2], row("a", 1.0, "b"), 'row 1 has a cell "verdict" without a column; the columns are arm, p'),
        (
            (*COLUMNS, Column("p", "again")),
            row("a", 1.0, "b"),
            'two columns have the key "p"; every column needs its own',
        ),
    ],
)
def test_rows_have_exactly_the_keys_of_the_columns(columns, cells, said):
    with pytest.raises(UserError, match=said) as caught:
        table(columns, row("plain", 0.25, "same"), cells)
    assert "\n" not in str(caught.value)


def report(*sections: Section) -> Report:
    kinds = (
        Prose("text", "", ("First <b>.", "Second.")),
        BulletList("list", "References", ("One | two.",)),
        Definitions("words", "Words meant", (("n", "how many"),)),
        Definitions("versions", "Versions", (("python", "3"),), short=True),
        Code("code", "A file", "a = 1\n```\n", "toml"),
        FigureGroup("none", "Figures", "Not in Markdown.", ()),
    )
    return Report("A <title>", "One line.", ("Beware.",), sections, (Section("end", "The end", kinds),), table())


def test_markdown_prints_every_kind_but_figures_under_its_title_or_that_of_the_section():
    said = markdown(report(Section("s", "S", (table(),))))
    assert re.findall("^#+ .*$", said, re.M) == [
        "# A &lt;title&gt;", "## Arms", "## The end", "## References", "## Words meant", "## Versions", "## A file",
    ]  # fmt: skip
    for line in (
        "First &lt;b&gt;.",
        "- One \\| two.",
        "- **n**: how many",
        "- python: 3",
        "````toml",
        "> **Note.** Beware.",
    ):
        assert line in said.splitlines()
    assert "Not in Markdown." not in said


def test_html_prints_every_kind_and_links_every_part():
    page = html(report(Section("s", "S", (table(), Prose("more", "More", ("Text.",))))))
    assert "<h1>A &lt;title&gt;</h1>" in page
    for part in (
        "First &lt;b&gt;.",
        "<li>One | two.</li>",
        "<dt>n</dt><dd>how many</dd>",
        "<code>a = 1",
        "Not in Markdown.",
    ):
        assert part in page
    ids = re.findall(r'\bid="([^"]*)"', page)
    links = re.findall(r'href="#([^"]*)"', page)
    assert {"s", "part-t", "part-more", "end", "part-list", "data"} <= set(links) <= set(ids)
    assert page.index('id="part-list"') > page.index("Second.")


def test_latex_leaves_out_tables_without_rows():
    empty = Table("none", "Nothing", "", COLUMNS, ())
    assert latex([empty]) == latex([])
    assert latex([empty, table()]).count(r"\begin{table}") == 1
