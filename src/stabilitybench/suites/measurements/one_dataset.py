"""One dataset measured, and its bounds compared with what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stabilitybench.errors import UserError
from stabilitybench.suites.measurements.base import MeasuredBound
from stabilitybench.suites.measurements.registry import KINDS
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset
from stabilitybench.theory.bounds import violated
from stabilitybench.theory.bounds.result import PUBLISHED


def measure(data: Dataset, settings: Settings) -> dict[str, Any]:
    """Return the measured quantities and, for each bound asked for, its value, tightness and violations.

    A bound that its own function refuses (a rate beyond 2 / beta, no margin) is listed with the reason.

    Parameters
    ----------
    data : Dataset
        The dataset.
    settings : Settings
        How it is measured.

    Raises
    ------
    UserError
        Where the generator does not fit the kind of measurement.
    """
    check(data, settings)
    kind = KINDS[settings.kind]
    found, run = kind.measure(data, settings)
    return {
        "measured": {name: float(value) for name, value in found.items()},
        "bounds": {name: _compared(kind.bounds[name], run) for name in settings.bounds},
        "constants": dict(data.constants),
    }


def check(data: Dataset, settings: Settings) -> None:
    """Raise UserError where a dataset of this generator cannot be measured in this way.

    Parameters
    ----------
    data : Dataset
        The dataset.
    settings : Settings
        How it would be measured.

    Raises
    ------
    UserError
        With the reason.
    """
    if reason := KINDS[settings.kind].unfit(data, settings):
        raise UserError(f'{data.name}: measure.kind = "{settings.kind}": {reason}')


def _compared(make: Callable[[Any], MeasuredBound], run: Any) -> dict[str, Any]:
    try:
        held = make(run)
    except UserError as error:
        return {"refused": str(error)}
    bound, measured = held.bound, held.measured
    limit = bound.per_sample[-1] if bound.per_sample is not None and measured.ndim else np.array(bound.value)
    average = float(measured.mean())
    return {
        "value": bound.value,
        "measured": average,
        "tightness": bound.value / average if average > 0 else None,
        "checks": int(np.size(measured)),
        "violations": int(np.sum(violated(measured, limit))),
        "scope": bound.scope,
        "published": bound.source == PUBLISHED,
        "trivial": bound.trivial if math.isfinite(bound.trivial) else None,
    }
