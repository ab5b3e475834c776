"""Single numbers and names as a caller hands them in: read, or refused in one sentence that names them."""

from __future__ import annotations

import math

import numpy as np

from stabilitybench.errors import UserError, shown


def number(owner: str, name: str, value: object, *, above: float | None = None, least: float | None = None) -> float:
    """Return `value` as a finite float within its limits, or raise UserError naming it."""
    if value is None:
        raise UserError(f"{owner}: {name} = None: must be a number; where there is none the bound is undefined")
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"{owner}: {name} = {shown(value)}: must be a number") from None
    if isinstance(value, (bool, str)):
        raise UserError(f"{owner}: {name} = {shown(value)}: must be a number")
    if not math.isfinite(read):
        raise UserError(f"{owner}: {name} = {read}: must be finite")
    if above is not None and not read > above:
        raise UserError(f"{owner}: {name} = {read:g}: must be above {above:g}")
    if least is not None and not read >= least:
        raise UserError(f"{owner}: {name} = {read:g}: must be at least {least:g}")
    return read


def whole(owner: str, name: str, value: object, *, least: int) -> int:
    """Return `value` as a whole number of at least `least`, or raise UserError naming it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UserError(f"{owner}: {name} = {shown(value)}: must be a whole number of at least {least}")
    return int(value)


def choice(owner: str, name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise UserError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise UserError(f"{owner}: {name} = {shown(value)}: must be one of {', '.join(allowed)}")
