"""A certificate of head tuning in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stabilitybench.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

    from stabilitybench.suites.certificate import Certificate

LIMIT = "limit"


def certify_and_print(encoder: str, task: str, console: Console, **settings: Any) -> None:
    """Load an encoder and a task, certify, and print.

    Parameters
    ----------
    encoder : str
        Name, hub id or folder of an encoder.
    task : str
        Name of a task, or a folder with or without ``file:``.
    console : Console
        Where to print.
    **settings : Any
        As `stabilitybench.suites.certificate.certify` takes them.

    Raises
    ------
    UserError
        For what cannot be loaded, and for settings out of their range.
    """
    from stabilitybench.encoders import load_encoder
    from stabilitybench.suites.certificate import certify
    from stabilitybench.tasks import load_task

    name = f"file:{task}" if Path(task).is_dir() else task
    _print_certificate(certify(load_encoder(encoder), load_task(name), **settings), console)


def _print_certificate(found: Certificate, console: Console) -> None:
    """Print what was assumed, the constants, and at each number of steps what was measured beside the bounds."""
    from rich.table import Table
    from rich.text import Text

    for line in _facts(found):
        console.print(Text(printable(line)))
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("steps", "data", "worst", "flips", "bound, one run", "bound, closed form"):
        table.add_column(head, justify="right")
    for row in _rows(found):
        table.add_row(*map(Text, row))
    console.print(table)
    console.print()
    console.print(Text(_caption(found), style="dim"))
    for name, reason in found.refused.items():
        console.print(Text(f"no {name}: {reason}", style="yellow"))
    for note in found.notes:
        console.print(Text(printable(f"note: {note}"), style="yellow"))
    for line in found.assumptions:
        console.print(Text(f"assumes {line}", style="dim"))


def _facts(found: Certificate) -> list[str]:
    head = f"{found.classes} classes, {'logistic' if found.classes == 2 else 'softmax'} loss"
    bias = f"constant feature {found.bias:g}, penalised like the others" if found.bias else "no bias"
    start = f"start of norm {found.start_norm:.3g}" if found.start_norm else "zero start"
    lines = [
        f"{found.task} on {found.encoder}: {found.rows} rows of {found.width} {found.features} features, {head}",
        f"head: {bias}, {start}, full-batch gradient descent at learning rate {found.rate:.4g} = "
        f"{found.rate * found.smoothness:.3g} / beta, the other rows weigh {found.measured.weight} without one",
        f"B = {found.radius:.4g} (99 % of the rows below {found.typical_radius:.4g}), beta = {found.smoothness:.4g}, "
        f"training accuracy {100 * found.accuracy:.1f} %",
    ]
    if found.margin is None:
        return [
            *lines,
            "gamma: none, the classes are not separable by a linear head without bias",
        ]
    trivial = ", as any are with at least as many features as rows" if found.width >= found.rows else ""
    return [*lines, f"gamma = {found.margin:.4g}, gamma / B = {found.margin / found.radius:.4g}: separable{trivial}"]


def _rows(found: Certificate) -> list[tuple[str, ...]]:
    measured = found.measured
    rows: list[tuple[str, ...]] = []
    for k, t in enumerate(measured.steps):
        flips = "" if measured.flips is None else f"{100 * measured.flips[k, 0].mean():.2f} %"
        rows.append(
            (
                str(t), f"{measured.direction[k, 0].mean():.4g}", f"{measured.direction[k, 0].max():.4g}", flips,
                _value(found.one_run.values[k]) if found.one_run else "",
                _value(found.closed[k].value) if found.closed else "",
            )
        )  # fmt: skip
    if found.limit is not None:
        turned = found.limit.direction
        _, one_fit, closed = (bound.value for bound in found.max_margin)
        rows.append((LIMIT, f"{turned.mean():.4g}", f"{turned.max():.4g}", "", _value(one_fit), _value(closed)))
    return rows


def _value(value: float) -> str:
    return f"{value:.4g}{' (vacuous)' if value >= 2 else ''}" if np.isfinite(value) else ""


def _caption(found: Certificate) -> str:
    text = (
        "data: average over i of the distance between the directions of the head with and without row i; worst: the "
        "largest; flips: rows whose predicted class changes, on average. Lower is more stable. Bounds are on data: B3 "
        "at each number of steps"
    )
    if found.limit is None:
        return text + "."
    distance = (
        ""
        if found.direction is None
        else f" At the last step the head is at most {found.direction.value:.3g} from it (B1)."
    )
    return (
        f"{text}, B2 (one fit, closed form) in the limit, the max-margin direction; refitting all {found.limit.refits} "
        f"support vectors gives {found.max_margin[0].value:.4g}.{distance}"
    )
