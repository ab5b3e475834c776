"""Tables of simulations on the pages of the documentation: printed, and held against what the page says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table; shares are written with three digits."""
    written = [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *written]]


def assert_published(head: Sequence[str], rows: Sequence[Sequence[object]], tolerance: float = 0.0025) -> None:
    """The page has this table: equal names, numbers as close as other versions of libraries leave them."""
    lines = markdown(head, rows)
    print("", *lines, sep="\n")
    said = PAGE.read_text(encoding="utf-8").splitlines()
    start = said.index(lines[0])
    for row, line in zip(rows, said[start + 2 :], strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == len(row)
        for cell, value in zip(cells, row, strict=True):
            if isinstance(value, float):
                assert float(cell) == pytest.approx(value, abs=tolerance)
            else:
                assert cell == str(value)
