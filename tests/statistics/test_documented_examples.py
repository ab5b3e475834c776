"""The pages on planning and on instability show code that runs, the numbers it gives, and tables that hold."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from stabilitybench.statistics import minimal_detectable_rate, minimal_detectable_ratio, sd_precision, seeds_for_ratio

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["planning.md", "instability.md"])
def test_the_examples_of_a_page(page: str) -> None:
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert tried > 5
    assert failed == 0


def test_the_table_of_what_seeds_show() -> None:
    text = (DOCS / "planning.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) == 8
    for first, rest in rows:
        n, cells = int(first), rest.split(" | ")
        ratios = [minimal_detectable_ratio(n, n, level).above for level in (0.05, 0.05 / 4, 0.05 / 24)]
        ratios.append(minimal_detectable_ratio(n, n, scores="t4").above)
        assert cells[:4] == ["none" if r is None else f"{r:.2f}" for r in ratios]
        never, half = minimal_detectable_rate(n, n, 0.0), minimal_detectable_rate(n, n, 0.5)
        assert cells[4] == f"{100 * never.above:.0f} %"
        assert cells[5] == ("none" if half.below is None else f"{100 * half.below:.0f} % / {100 * half.above:.0f} %")
        assert cells[6] == "{:.2f}-{:.2f}".format(*sd_precision(n))


def test_the_table_of_seeds_needed() -> None:
    text = (DOCS / "planning.md").read_text(encoding="utf-8")
    for ratio, *needed in re.findall(r"^\| SD ratio ([\d.]+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)[1:]:
        assert [seeds_for_ratio(float(ratio), level) for level in (0.05, 0.05 / 4, 0.05 / 24)] == [*map(int, needed)]
