"""A plan as tables and sentences for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.documents.formats import ratio
from stabilitybench.planning.effects import percentage
from stabilitybench.planning.plan import Cost, Plan
from stabilitybench.statistics import minimal_detectable_rate, minimal_detectable_ratio, sd_precision
from stabilitybench.statistics.decisions import ALPHA
from stabilitybench.statistics.failure_power import MOST_SEEDS_FISHER
from stabilitybench.statistics.power import Scores

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def plan_view(plan: Plan) -> RenderableType:
    """Return a plan as tables for the terminal, below a line that says of what.

    Parameters
    ----------
    plan : Plan
        Powers and minimal detectable effects are computed here.
    """
    from rich.console import Group
    from rich.text import Text

    each = "1 test" if plan.tests == 1 else f"{plan.tests} tests of spread and as many of failures"
    holm = "" if plan.tests == 1 else f"; Holm's first step: each at {ALPHA:g} / {plan.tests} = {plan.level:.2g}"
    parts: list[RenderableType] = [] if plan.study is None else [Text(plan.study.headline)]
    parts.append(Text(f"{each} at {percentage(ALPHA)}{holm}; {_shape_words(plan.scores)}"))
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


def _shown(plan: Plan, n: int) -> RenderableType:
    table = _grid("question", "shown")
    table.add_row("is the spread different?", _ratio_words(n, plan))
    for rate in plan.baseline_rates if n <= MOST_SEEDS_FISHER else ():
        when = "never fails" if rate == 0 else f"fails in {percentage(rate)}"
        table.add_row(f"do failures differ, where the baseline {when}?", _rate_words(n, rate, plan))
    if n >= 2:
        low, high = sd_precision(n)
        table.add_row(
            "how large is one SD (normal scores)?", f"95 % interval: {low:.2f} to {high:.2f} times the SD seen"
        )
    return table


def _ratio_words(n: int, plan: Plan) -> str:
    found = minimal_detectable_ratio(n, n, plan.level, plan.power, plan.scores)
    if found.below is None or found.above is None:
        return "no SD ratio, however large"
    return f"SD ratios up to {ratio(found.below)}, or from {ratio(found.above)}"


def _rate_words(n: int, rate: float, plan: Plan) -> str:
    found = minimal_detectable_rate(n, n, rate, plan.level, plan.power)
    below = None if found.below is None else f"up to {percentage(found.below)}"
    above = None if found.above is None else f"from {percentage(found.above)}"
    said = " or ".join(part for part in (below, above) if part)
    return f"the arm's failures {said}" if said else "no failure rate, not even 0 or 100 %"


def _needed(plan: Plan) -> RenderableType:
    cost = plan.cost
    columns = [*(f"power with {n}" for n in plan.seeds), f"seeds for {percentage(plan.power)}"]
    columns += ["runs in all", *(["hours"] if cost and cost.hours_per_seed is not None else [])] if cost else []
    table = _grid("difference", *columns)
    for effect in plan.effects:
        needed = effect.seeds(plan.level, plan.power)
        row = [_power_words(effect.power(n, plan.level)) for n in plan.seeds]
        row.append(f"over {effect.most}" if needed is None else str(needed))
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
        powers = {effect.short: effect.power(n, plan.level) for effect in plan.effects}
        can = [name for name, power in powers.items() if power is not None and power >= plan.power]
        cannot = [name for name, power in powers.items() if power is not None and power < plan.power]
        said = [f"can show {', '.join(can)}"] if can else []
        said += [f"cannot be relied on to show {', '.join(cannot)}"] if cannot else []
        lines += [f"{n} seeds {'; they '.join(said)}."] if said else []
    return lines


def _cost_lines(cost: Cost) -> list[str]:
    to_do = "" if cost.hours_to_do is None else f", about {_hours(cost.hours_to_do)} hours of one worker"
    return [f"as planned: {cost.runs} runs, {cost.stored} of them in the store{to_do}", cost.timed]


def _shape_words(scores: Scores) -> str:
    if isinstance(scores, str):
        return f"spread from {'normal' if scores == 'normal' else 'heavy-tailed (t, 4 df)'} scores"
    return f"spread from the pilot's own {len(list(scores))} scores, resampled"  # type: ignore[arg-type]


def _grid(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 or column == "shown" else "right")
    return table


def _power_words(power: float | None) -> str:
    if power is None:
        return f"not counted over {MOST_SEEDS_FISHER}"
    return "under 1 %" if power < 0.005 else "over 99 %" if power > 0.995 else f"{100 * power:.0f} %"


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 0.095 else f"{hours:.2g}"
