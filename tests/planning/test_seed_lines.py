"""The line that a study begins with: true to its tests' powers, with a warning where a factor of 2 is not shown."""

from __future__ import annotations

import re

import pytest

from stabilitybench.planning.seed_lines import seed_lines
from stabilitybench.power.failures import failure_power
from stabilitybench.power.questions import level_power, one_look, spread_power
from stabilitybench.power.simulated_studies import Conditions
from stabilitybench.studies import Study

STUDY = {
    "name": "demo",
    "encoders": ["pocket/bert-small"],
    "tasks": ["pocket/sentiment", "pocket/entailment"],
    "seeds": 20,
    "baseline": "plain",
    "arms": {"plain": [], "reinit": ["reinit"]},
}


def said(**changes) -> list[str]:
    return seed_lines(Study.from_dict({**STUDY, **changes}).file)


@pytest.mark.parametrize("n", [12, 20, 50])
def test_what_the_line_says_is_shown_in_80_of_100_studies(n: int) -> None:
    line = said(seeds=n)[0]
    form = (
        r"(\d+) seeds show in 80 of 100 studies: spread ratios up to ([\d.]+) or from ([\d.]+), levels ([\d.]+) SDs "
        r"apart, failures from (\d+) % against none"
    )
    seeds, below, above, level, rate = map(float, re.fullmatch(form, line).groups())
    look = one_look(n, 0.025)  # two tasks, one arm on each
    assert seeds == n
    assert [spread_power(r, look, Conditions()) for r in (below, above)] == pytest.approx([0.8] * 2, abs=0.03)
    assert level_power(level, look, Conditions(sd=1.0)) == pytest.approx(0.8, abs=0.04)
    assert failure_power(rate / 100, 0.0, look) == pytest.approx(0.8, abs=0.04)


def test_a_warning_where_a_factor_of_two_is_out_of_reach() -> None:
    warning = said()[1]
    needed = int(re.search(r"a factor of 2 in spread, which takes about (\d+); see `stabilitybench plan`", warning)[1])
    assert warning.startswith("warning: they cannot be relied on to show ")
    assert len(said(seeds=needed)) == 1
    assert len(said(seeds=needed - 3)) == 2


def test_few_crossed_many_seeds_and_looks() -> None:
    assert said(seeds=2)[0] == "2 seeds show nothing: every run of an arm beats all others by chance in 1 of 6"
    assert said(seeds=3)[0].endswith("in 1 of 20")
    assert "nothing of spread (needs 7)" in said(seeds=5)[0]
    assert said(seeds={"init": 4, "order": 5})[0].startswith("20 seeds show, at best in 80 of 100 studies: ")
    looked = said(seeds=10, looks={"sizes": [10, 20]})[0]
    assert looked.startswith(
        "20 seeds, the last of 2 declared looks, show in 80 of 100 studies: spread ratios up to 0.41"
    )
    assert "spread ratios up to 0.43" in said(seeds=20)[0], "without looks they show more"
    assert said(seeds=2000) == []
    assert said(arms={"plain": []}) == []
