"""Texts that nobody has vouched for: printable, on one line, no formula."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import stabilitybench
from stabilitybench.documents.comma_separated import comma_separated
from stabilitybench.documents.html import html
from stabilitybench.documents.latex import latex
from stabilitybench.documents.report import Prose, Report, Section
from stabilitybench.documents.table import Table, TableCell, texts
from stabilitybench.printing import LAYOUT, LONGEST, harmless_cell, one_line, printable

#: Unicode's controls, formats, surrogates and separators of lines; joiners stay.
COMMANDING = {"Cc", "Cs", "Zl", "Zp"}
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=400)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(ANYTHING)
def test_nothing_that_commands_is_left_and_the_rest_is_as_it_was(text: str) -> None:
    told = printable(text)
    assert not [c for c in told if unicodedata.category(c) in COMMANDING]
    told.encode()
    if not [c for c in text if unicodedata.category(c) in {*COMMANDING, "Cf"}]:
        assert told == text
    assert printable(told) == told


def test_every_character_that_turns_or_hides_text_is_written_out() -> None:
    turning = [
        chr(k)
        for k in range(0x110000)
        if unicodedata.bidirectional(chr(k)) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]
    assert len(turning) == 9
    for character in [*turning, "\u200b", "\ufeff", "\u061c", "\U000e0041"]:
        assert printable(character).startswith("\\")
    assert printable("a\u200db\u200cc") == "a\u200db\u200cc"


def test_line_breaks_of_ours_stay_where_asked() -> None:
    assert printable("a\n\tb\r", LAYOUT) == "a\n\tb\\r"


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(st.characters(exclude_categories=()), max_size=2000))
def test_a_sentence_is_one_line_of_bounded_length_with_both_its_ends(text: str) -> None:
    told = one_line(text)
    assert len(told) <= LONGEST
    assert not [c for c in told if unicodedata.category(c) in COMMANDING]
    if len(text) <= LONGEST and text.isprintable():
        assert told == text
    elif text.isprintable():
        assert told.startswith(text[:100])
        assert told.endswith(text[-100:])


@settings(deadline=None, derandomize=True, max_examples=200)
@given(ANYTHING)
def test_no_cell_of_a_text_is_a_formula(text: str) -> None:
    told = harmless_cell(text)
    assert not told.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_numbers_of_a_table_stay_numbers_and_whole() -> None:
    frame = pd.DataFrame(
        {
            "arm": ["=1+1", "-x", "+x", "@x", "\t=x"],
            "score": [-0.5, 1.0, 2.0, 3.0, 4.0],
            "n": [1, None, 2, 3, 4],
            "k": [-1, 2, 3, 4, 5],
            "ok": [True, None, False, True, True],
        }
    ).astype({"n": object})
    rows = comma_separated(frame).splitlines()
    assert rows[1] == "'=1+1,-0.5,1.0,-1,True"
    assert [row.split(",")[0] for row in rows[1:]] == ["'=1+1", "'-x", "'+x", "'@x", "'\\t=x"]


def test_one_place_writes_csv_and_consoles_are_plain_ones() -> None:
    home = Path(stabilitybench.__file__).parent

    def found(pattern: str) -> list[str]:
        return [str(p.relative_to(home)) for p in sorted(home.rglob("*.py")) if re.search(pattern, _code(p))]

    assert found(r"\.to_csv\(") == ["documents/comma_separated.py"]
    assert found(r"(?<!class Plain)(?<!Plain)\bConsole\(") == []
    assert found(r"(?m)^\s*print\(") == ["cli/__init__.py"]  # the version, and errors, which are one line


def _code(path: Path) -> str:
    return "\n".join(line for line in path.read_text("utf-8").splitlines() if ">>>" not in line and "... " not in line)


def test_pages_and_papers_escape_what_they_are_given() -> None:
    evil = "<script>alert(1)</script> \x1b[31m \\input{x} $x$ | `a` \u202e"
    table = Table("t", evil, evil, texts(arm=evil), ({"arm": TableCell(evil)},))
    report = Report(evil, evil, (evil,), (Section("s", evil, (table, Prose("p", evil, (evil,)))),), (), table)
    page = html(report)
    assert "<script>alert" not in page
    assert "\x1b" not in page + latex([table])
    assert "\\input{x}" not in latex([table])
