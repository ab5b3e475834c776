"""What the tables of a comparison share: the cells of an arm, its three answers, and the caption."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from stabilitybench.documents import formats
from stabilitybench.documents.table import Column, TableCell, span, texts

if TYPE_CHECKING:
    from stabilitybench.comparison.model import ArmResult, Comparison
    from stabilitybench.statistics.questions import Answer


class Placed(Protocol):
    """Anything that is said of one arm on one task with one encoder."""

    @property
    def encoder(self) -> str:
        """The encoder's label."""

    @property
    def task(self) -> str:
        """The task's label."""

    @property
    def arm(self) -> str:
        """The arm's name."""


def _several_encoders(found: Iterable[Placed]) -> bool:
    """Tell whether encoders need names."""
    return len({f.encoder for f in found}) > 1


def place(found: Iterable[Placed], one: Placed) -> dict[str, TableCell]:
    """Return the cells that name an arm on a task; its encoder only where there are several.

    Parameters
    ----------
    found : iterable of Placed
        All rows of the table.
    one : Placed
        The one to name.
    """
    named = {"task": TableCell(one.task), "arm": TableCell(one.arm)}
    return {"encoder": TableCell(one.encoder), **named} if _several_encoders(found) else named


def place_columns(found: Iterable[Placed]) -> tuple[Column, ...]:
    """Return the columns of `place`.

    Parameters
    ----------
    found : iterable of Placed
        All rows of the table.
    """
    encoder = texts(encoder="encoder") if _several_encoders(found) else ()
    return (*encoder, *texts(task="task", arm="arm"))


def caption(comparison: Comparison, varied: str, fixed: str) -> str:
    """Say what every number of the score tables is: n, metric, direction, what varied, what was fixed.

    Parameters
    ----------
    comparison : Comparison
        At least one arm.
    varied, fixed : str
        Seed streams that differ between runs and those that do not, in words.
    """
    tasks: dict[str, list[str]] = {}
    for c in comparison.cells:
        if c.task not in tasks.setdefault(c.metric, []):
            tasks[c.metric].append(c.task)
    metrics = "; ".join(f"{formats.metric(metric)} on {', '.join(names)}" for metric, names in tasks.items())
    what = "scores as given" if comparison.elsewhere else "test split, last checkpoint"
    n = span(c.n for c in comparison.cells)
    return (
        f"n = {n} finished {'run' if n == '1' else 'runs'} per arm. {metrics}: {what}, in points (x100), "
        f'higher is better. SD across seeds (ddof = 1). Baseline: "{comparison.baseline}". '
        f"Varied: {varied}. Fixed: {fixed}."
    )


def deviation(cell: ArmResult) -> TableCell:
    """Return the deviation ratio with its interval, among the runs that did not fail.

    Parameters
    ----------
    cell : ArmResult
        An arm or the baseline.
    """
    if cell.against is None:
        return TableCell("(baseline)", 1.0)
    found = cell.against.spread
    return TableCell(formats.estimate(found.estimate, found.low, found.high), found.estimate)


def difference(cell: ArmResult) -> TableCell:
    """Return the difference of the means with its interval, in points.

    Parameters
    ----------
    cell : ArmResult
        An arm or the baseline.
    """
    if cell.against is None:
        return TableCell("(baseline)", 0.0)
    found = cell.against.level
    if found.estimate is None:
        return TableCell(formats.ABSENT)
    text = f"{100 * found.estimate:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")
    if found.low is not None and found.high is not None:
        text += f" [{formats.points(found.low)}, {formats.points(found.high)}]"
    return TableCell(text, found.estimate)


def p_values(cell: ArmResult, found: Answer | None, key: str) -> dict[str, TableCell]:
    """Return the cells of p and of Holm's p of an answer; empty for the baseline.

    Parameters
    ----------
    cell : ArmResult
        An arm or the baseline.
    found : Answer or None
        One of the arm's.
    key : str
        What the keys of the two columns begin with.
    """
    p, holm = (found.p, found.holm) if found is not None else (None, None)
    return {f"{key}_p": p_cell(cell, p), f"{key}_holm": p_cell(cell, holm)}


def p_cell(cell: ArmResult, p: float | None) -> TableCell:
    """Return the cell of a p-value; empty for the baseline.

    Parameters
    ----------
    cell : ArmResult
        An arm or the baseline.
    p : float or None
        None is printed as absent.
    """
    return TableCell("" if cell.is_baseline else formats.p_value(p), p)


def sd_ratio(cell: ArmResult) -> TableCell:
    """Return the SD ratio with its interval, or why there is none to print.

    Parameters
    ----------
    cell : ArmResult
        An arm or the baseline.
    """
    if cell.against is None:
        return TableCell("(baseline)", 1.0)
    found = cell.against.ratio
    if cell.against.withheld:
        return TableCell("withheld")
    return TableCell(formats.estimate(found.estimate, found.low, found.high), found.estimate)


def failed(cell: ArmResult) -> TableCell:
    """Return how many runs failed of how many, as far as that is known.

    Parameters
    ----------
    cell : ArmResult
        An arm or the baseline.
    """
    f = cell.failure
    if not cell.failures_known:
        return TableCell(f"≥ {f.failed}/{cell.n}" if f.failed else f"?/{cell.n}")
    return TableCell(f"{f.failed}/{cell.n}", f.rate)
