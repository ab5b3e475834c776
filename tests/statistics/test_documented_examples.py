"""The pages on planning and on instability show code that runs, the numbers it gives, and tables that hold."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from stabilitybench.planning.effects import FailureEffect, LevelEffect, SpreadEffect
from stabilitybench.power import sd_precision
from stabilitybench.power.failures import failure_reach
from stabilitybench.power.questions import level_reach, one_look, spread_power, spread_reach
from stabilitybench.power.simulated_studies import Conditions

LEVELS = (0.05, 0.05 / 4, 0.05 / 24)
CONDITIONS = {
    "normal": Conditions(),
    "correlation 0.8": Conditions(0.8),
    "unpaired": Conditions(None),
    "t3": Conditions(shape="t3"),
    "contaminated": Conditions(shape="contaminated"),
    "SD 1, 138 rows": Conditions(sd=1.0, rows=138),
    "SD 2, 138 rows": Conditions(rows=138),
    "10 % fail": Conditions(failures=(0.1, 0.1)),
    "30 % fail": Conditions(failures=(0.3, 0.3)),
}

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["planning.md", "instability.md"])
def test_the_examples_of_a_page(page: str) -> None:
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert tried > 5
    assert failed == 0


def table_below(head: str) -> list[list[str]]:
    """Cells of the table of the page on planning that begins with `head`."""
    text = (DOCS / "planning.md").read_text(encoding="utf-8")
    lines = text[text.index(f"| {head} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def quick(rows: list[list[str]], some: set[str]) -> list[object]:
    """Rows of a table as parameters: some are checked always, the others with the slow tests."""
    return [pytest.param(row, id=row[0], marks=[] if row[0] in some else pytest.mark.slow) for row in rows]


@pytest.mark.parametrize("row", quick(table_below("n per arm")[1:], {"8", "20"}))
def test_the_table_of_what_seeds_show(row: list[str]) -> None:
    n, cells = int(row[0]), row[1:]
    looks = [one_look(n, level) for level in LEVELS]
    given = [(look, Conditions()) for look in looks]
    given += [(looks[0], Conditions(0.8)), (looks[0], Conditions(shape="t3"))]
    assert cells[:5] == [f"{spread_reach(*one).below:.2f}" for one in given]
    assert cells[5:7] == [f"{level_reach(looks[0], Conditions(rho, sd=1.0)):.2f}" for rho in (0.0, 0.8)]
    never, half = (failure_reach(rate, looks[0]) for rate in (0.0, 0.5))
    assert cells[7] == f"{100 * never.above:.0f} %"
    assert cells[8] == ("none" if half.below is None else f"{100 * half.below:.0f} % / {100 * half.above:.0f} %")
    assert cells[9] == "{:.2f}-{:.2f}".format(*sd_precision(n))


def test_the_table_of_what_scores_are_like() -> None:
    (_, *names), *rows = table_below("n")
    assert names == list(CONDITIONS)
    for first, *cells in rows:
        look = one_look(int(first), 0.05)
        assert cells == [f"{100 * spread_power(0.5, look, given):.0f} %" for given in CONDITIONS.values()]


@pytest.mark.parametrize(
    "row", quick(table_below("difference")[1:], {"spread ratio 0.5", "level 1 SDs", "failures 10 % against 40 %"})
)
def test_the_table_of_seeds_needed(row: list[str]) -> None:
    name, *cells = row
    numbers = [float(x) for x in re.findall(r"[\d.]+", name)]
    kind = {"spread": SpreadEffect, "level": LevelEffect}.get(name.split()[0])
    effect = kind(numbers[0]) if kind else FailureEffect(*(x / 100 for x in numbers))
    for level, needed in zip(LEVELS, map(int, cells), strict=True):
        powers = [effect.power(one_look(n, level), Conditions(sd=1.0)) for n in (needed - 1, needed)]
        assert powers[0] < 0.8 <= powers[1]
