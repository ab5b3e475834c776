"""One dataset measured, and its bounds compared with what was measured."""

from __future__ import annotations

from typing import Any

from stabilitybench.errors import UserError
from stabilitybench.suites.bound_checks import check_bound
from stabilitybench.suites.measurements.registry import KINDS
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset


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
        "bounds": {name: check_bound(kind.bounds[name], run) for name in settings.bounds},
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
