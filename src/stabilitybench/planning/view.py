"""A plan as tables and sentences for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.documents.formats import ratio
from stabilitybench.planning.cost import Cost
from stabilitybench.planning.effects import percentage
from stabilitybench.planning.plan import Plan
from stabilitybench.power.brown_forsythe import sd_precision
from stabilitybench.power.failures import failure_reach
from stabilitybench.power.questions import Reach, level_reach, spread_reach
from stabilitybench.power.simulated_studies import MOST_RUNS
from stabilitybench.statistics.decisions import ALPHA

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def plan_view(plan: Plan) -> RenderableType:
    """Return a plan as tables for the terminal, below lines that say of what.

    Parameters
    ----------
    plan : Plan
        Powers and minimal detectable effects are computed here.
    """
    from rich.console import Group
    from rich.text import Text

    each = "1 test for each question" if plan.tests == 1 else f"{plan.tests} tests for each question"
    holm = "" if plan.tests == 1 else f"; Holm's first step: each at {ALPHA:g} / {plan.tests} = {plan.alpha:.2g}"
    parts: list[RenderableType] = [] if plan.study is None else [Text(plan.study.headline)]
    parts += [Text(f"{each} at {percentage(ALPHA)}{holm}"), Text(plan.assumed.words)]
    if plan.looks:
        parts.append(Text(_looks_words(plan)))
    for n in plan.seeds if plan.detectable else ():
        head = f"\nWhat {n} seeds per arm show with {percentage(plan.power)} power"
        parts += [Text(head, style="bold"), _shown(plan, n)]
    parts += [Text("\nSeeds that a claim needs", style="bold"), _needed(plan)]
    if plan.detectable:
        parts += map(Text, _conclusions(plan))
    if plan.cost:
        parts += [Text(""), *map(Text, _cost_lines(plan.cost))]
    parts += [Text(f"note: {note}", style="yellow") for note in plan.notes]
    return Group(*parts)


def reach_words(found: Reach, printed: str) -> str:
    """Say in words which effects on either side of none are shown.

    Parameters
    ----------
    found : Reach
        As the functions of `stabilitybench.statistics` return it.
    printed : {"ratio", "rate"}
        What the effects are.

    Examples
    --------
    >>> reach_words(Reach(0.48, 2.1), "ratio"), reach_words(Reach(None, 0.3), "rate")
    ('up to 0.48, or from 2.10', 'from 30 %')
    """
    form = ratio if printed == "ratio" else percentage
    parts = [] if found.below is None else [f"up to {form(found.below)}"]
    parts += [] if found.above is None else [f"from {form(found.above)}"]
    return ", or ".join(parts) or "none"


def _shown(plan: Plan, n: int) -> RenderableType:
    table = _grid("question", "shown")
    looks, conditions = plan.looks_of(n), plan.conditions
    spread = reach_words(spread_reach(looks, conditions, plan.power), "ratio")
    table.add_row("how far do runs scatter?", f"spread ratios {spread}")
    level = level_reach(looks, conditions, plan.power)
    table.add_row("how good are they?", "no difference" if level is None else f"differences from {level:.2g} points")
    for rate in plan.baseline_rates:
        when = "never fails" if rate == 0 else f"fails in {percentage(rate)}"
        rates = reach_words(failure_reach(rate, looks, conditions.paired, plan.power), "rate")
        table.add_row(f"how often do they fail, where the baseline {when}?", f"failures {rates}")
    low, high = sd_precision(n)
    table.add_row("how large is one SD (normal scores)?", f"95 % interval: {low:.2f} to {high:.2f} times the SD seen")
    return table


def _needed(plan: Plan) -> RenderableType:
    cost = plan.cost
    columns = [*(f"power with {n}" for n in plan.seeds), f"seeds for {percentage(plan.power)}"]
    columns += ["runs in all", *(["hours"] if cost and cost.hours_per_seed is not None else [])] if cost else []
    table = _grid("difference", *columns)
    for effect in plan.effects:
        needed = plan.seeds_of(effect)
        row = [_power_words(plan.power_of(effect, n)) for n in plan.seeds]
        row.append(f"over {MOST_RUNS:,}" if needed is None else str(needed))
        if cost:
            row.append("" if needed is None else str(needed * cost.per_seed))
            if cost.hours_per_seed is not None:
                row.append("" if needed is None else _hours(needed * cost.hours_per_seed))
        table.add_row(str(effect), *row)
    return table


def _conclusions(plan: Plan) -> list[str]:
    """Say in words which of the differences each number of seeds can show, and which it cannot."""
    lines = []
    for n in plan.seeds:
        powers = {str(effect): plan.power_of(effect, n) for effect in plan.effects}
        can = [name for name, power in powers.items() if power >= plan.power]
        cannot = [name for name, power in powers.items() if power < plan.power]
        said = [f"can show {', '.join(can)}"] if can else []
        said += [f"cannot be relied on to show {', '.join(cannot)}"] if cannot else []
        lines.append(f"{n} seeds {'; they '.join(said)}.")
    return lines


def _looks_words(plan: Plan) -> str:
    levels = [f"{look.arm} seeds at level {look.level:.2g}" for look in plan.looks_of(plan.seeds[-1])]
    return f"looks ({plan.bounds} bounds): {', '.join(levels)}; other numbers of seeds are looked at in proportion"


def _cost_lines(cost: Cost) -> list[str]:
    to_do = "" if cost.hours_to_do is None else f", about {_hours(cost.hours_to_do)} hours of one worker"
    return [f"as planned: {cost.runs} runs, {cost.stored} of them in the store{to_do}", cost.timed]


def _grid(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 or column == "shown" else "right")
    return table


def _power_words(power: float) -> str:
    return "under 1 %" if power < 0.005 else "over 99 %" if power > 0.995 else f"{100 * power:.0f} %"


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 0.095 else f"{hours:.2g}"
