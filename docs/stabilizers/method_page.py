"""One page for each stabilizer: its docstring, what it takes and refuses, and what was measured of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from stabilitybench.documents import formats
from stabilitybench.encoders import Layout
from stabilitybench.encoders.layout import ARCHITECTURES
from stabilitybench.errors import UserError, shown
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Stabilizer, TaskFacts, compose

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.model import ArmResult, Comparison

#: Depth of the encoders that are asked what they refuse: that of the base models.
DEPTH = 12
FAMILIES, KINDS, MODES = tuple(ARCHITECTURES), ("classification", "regression"), ("full", "head")
LABELS = re.compile(r"^(Modifies|Defaults|Deviations):")


def method_page(
    cls: type[Stabilizer], comparison: Comparison | None, runs: pd.DataFrame | None, cost: Mapping[str, float] | None
) -> str:
    """Return the page of a stabilizer as Markdown.

    comparison, runs : the arms that consist of this method, beside the baseline, and their runs with a column
    `stabilizers`; None where nothing was measured.  cost : `time` and `memory`, ratios to a plain step.
    """
    lines = [f"# {cls.name}", "", cls.summary(), ""]
    lines += [f"**Paper.** {cls.paper or 'none: a control of this project'}", ""]
    lines += _prose(cls)
    lines += ["## Parameters", "", *_parameters(cls), ""]
    lines += ["## Where it works", "", *_refusals(cls()), ""]
    lines += ["## Cost", "", *_cost(cost), ""]
    lines += ["## Measured", "", *_measured(cls.name, comparison, runs)]
    return "\n".join(lines).rstrip() + "\n"


def paragraphs(cls: type[Stabilizer]) -> list[str]:
    """Return the paragraphs of a docstring after its first line, each on one line, code as Markdown writes it."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("\n")[2]
    joined = [" ".join(part.split()) for part in text.split("\n\n")]
    return [part.replace("``", "`") for part in joined if part]


def _prose(cls: type[Stabilizer]) -> list[str]:
    lines: list[str] = []
    for part in paragraphs(cls):
        lines += [LABELS.sub(r"**\1:**", part), ""]
    return lines


# -- parameters ---------------------------------------------------------------------------------------------------


def _parameters(cls: type[Stabilizer]) -> list[str]:
    given = fields(cls)  # type: ignore[arg-type]
    if not given:
        return ["None."]
    hints = get_type_hints(cls)
    rows = ["| name | allowed | default |", "|---|---|---|"]
    for f in given:
        default = f.default if f.default is not MISSING else None
        rows.append(f"| `{f.name}` | {_allowed(cls, f.name, hints[f.name])} | {_value(default)} |")
    return rows


def _value(value: object) -> str:
    return "unset" if value is None else f"`{shown(value)}`"


def _allowed(cls: type[Stabilizer], name: str, hint: Any) -> str:
    """Say what a parameter may be: from its type, and from what the class says to a value that is out of range."""
    options = [o for o in get_args(hint) if o is not type(None)]
    if get_origin(hint) is Literal:
        return " or ".join(f"`{shown(o)}`" for o in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {' or '.join(f'`{shown(o)}`' for o in get_args(options[0]))}"
    if type(None) in get_args(hint):
        return f"{_allowed(cls, name, options[0])}, or unset"
    if hint is bool:
        return "`true` or `false`"
    if hint is str:
        return "a text"
    kind = "a whole number" if hint is int else "a number"
    for wrong in (-1, 10**9):
        try:
            cls(**{name: hint(wrong)})
        except (ValueError, UserError) as error:
            said = re.search(rf"{name} = .*?: must (?:be |lie )?(.*)$", str(error))
            return f"{kind} {said.group(1)}" if said else kind
    return kind


# -- refusals -----------------------------------------------------------------------------------------------------


def _refusals(method: Stabilizer) -> list[str]:
    """Ask the method about every family, kind of task and mode; one line for each answer."""
    answers: dict[str, list[tuple[str, str, str]]] = {}
    for family, kind, mode in product(FAMILIES, KINDS, MODES):
        facts = TaskFacts("the task", kind, 2 if kind == "classification" else 1, 1000)
        try:
            method.supports(Recipe(mode=mode), Layout(family, depth=DEPTH), facts)  # type: ignore[arg-type]
        except UserError as refusal:
            answers.setdefault(str(refusal), []).append((family, kind, mode))
    lines = [f"- {_where(places)}: *{text}*" for text, places in answers.items()]
    lines += [f"- beside [`{other}`]({other}.md): *{text}*" for other, text in _exclusions(method).items()]
    if not lines:
        return ["On all five families, classification and regression, full and head tuning, beside every other method."]
    return ["Everywhere (five families, classification and regression, full and head tuning) but:", "", *lines]


def _where(places: Sequence[tuple[str, str, str]]) -> str:
    families, kinds, modes = (sorted({p[i] for p in places}, key=everything.index) for i, everything in enumerate(
        (FAMILIES, KINDS, MODES)
    ))  # fmt: skip
    said = []
    if len(families) < len(FAMILIES):
        said.append(", ".join(ARCHITECTURES[f].title for f in families))
    if len(kinds) < len(KINDS):
        said.append(kinds[0])
    if len(modes) < len(MODES) and (modes == ["head"] or not said):
        said.append(f"{modes[0]} tuning")
    return ", ".join(said) or "everywhere"


def _exclusions(method: Stabilizer) -> dict[str, str]:
    """Return the remedy named by each other method, in its defaults, that cannot stand beside this one on BERT."""
    from stabilitybench.stabilizers import catalogue

    found = {}
    for name, cls in catalogue().items():
        if name == method.name:
            continue
        try:
            compose((method, cls()), Layout("bert", depth=DEPTH))
        except UserError as refusal:
            found[name] = str(refusal).partition("exclude each other: ")[2]
    return found


# -- what was measured --------------------------------------------------------------------------------------------


def _cost(cost: Mapping[str, float] | None) -> list[str]:
    if cost is None:
        return ["Not measured yet."]
    return [
        f"A step takes {cost['time']:.2f} times the CPU time of a plain one (embedded encoder, median of rounds in "
        "turn with the plain recipe on a shared machine: good to a tenth or so), and weights, gradients, optimizer and "
        f"the method's own state {cost['memory']:.2f} times the memory. Longer training, and stages before it, come on "
        "top."
    ]


def _measured(name: str, comparison: Comparison | None, runs: pd.DataFrame | None) -> list[str]:
    if comparison is None or runs is None:
        return ["Not measured yet."]
    if name == comparison.baseline:
        return ["The baseline of the other pages.", "", *_seeds(comparison, runs)]
    return [
        f"Against `{comparison.baseline}`, in pairs of equal seeds; test scores in points, mean ± SD across seeds, "
        "last checkpoint. Verdict: how often runs fail; how far they scatter (mean distance to the median over the "
        "baseline's, among the runs that did not fail, below 1 closer together); how good they are. Intervals: 95 %, "
        "the inverse of the test before Holm's adjustment, which goes over all methods and tasks. Time: median "
        "seconds of a run over those of the baseline, of runs that shared a busy machine.",
        "",
        *_results(comparison, runs),
        "",
        f"![Every seed of this method and of the baseline]({name}.svg)",
        "",
        *_seeds(comparison, runs),
    ]  # fmt: skip


def _results(comparison: Comparison, runs: pd.DataFrame) -> list[str]:
    heads = ("task", "arm", "n", "failed", "mean ± SD", "correlation", "time", "verdict")
    rows = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * 5 + "---|"]
    for cell in comparison.cells:
        base = comparison.baseline_of(cell)
        entries = [cell.task, "(baseline)" if cell.is_baseline else f"`{_called(cell, runs)}`", str(cell.n)]
        entries += [f"{cell.failure.failed}/{cell.n}", formats.mean_sd(cell.mean, cell.sd)]
        if cell.against is None or cell.verdict is None:
            entries += [""] * 3
        else:
            r = cell.against.correlation
            entries += [formats.ABSENT if r is None else f"{r:.2f}", _time(cell, base, runs), cell.verdict.text]
        rows.append("| " + " | ".join(entries) + " |")
    return rows


def _called(cell: ArmResult, runs: pd.DataFrame) -> str:
    of_arm = runs[runs["arm"] == cell.arm]
    return str(of_arm["stabilizers"].iloc[0])


def _time(cell: ArmResult, base: ArmResult, runs: pd.DataFrame) -> str:
    own, plain = (
        runs.loc[(runs["task"] == c.task) & (runs["encoder"] == c.encoder) & (runs["arm"] == c.arm), "seconds"].median()
        for c in (cell, base)
    )
    return formats.ratio(own / plain) if plain > 0 else formats.ABSENT


def _seeds(comparison: Comparison, runs: pd.DataFrame) -> list[str]:
    """Return every score in the order of the seeds; those of failed runs are struck through."""
    lines = ["Every seed, in points; failed runs are struck through:", ""]
    lines += ["| task | arm | scores of seeds 0, 1, 2, ... |", "|---|---|---|"]
    for cell in comparison.cells:
        if cell.is_baseline and len(comparison.cells) > len({(c.encoder, c.task) for c in comparison.cells}):
            continue  # on its own page
        own = runs[(runs["task"] == cell.task) & (runs["encoder"] == cell.encoder) & (runs["arm"] == cell.arm)]
        texts = [
            f"~~{formats.points(score)}~~" if failed else formats.points(score)
            for score, failed in own.sort_values("seed")[["score", "failed"]].itertuples(index=False)
        ]
        lines.append(f"| {cell.task} | `{_called(cell, runs)}` | {' '.join(texts)} |")
    return lines
