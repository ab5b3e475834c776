"""Single numbers and names as a caller hands them in: read, or refused in one sentence that names them."""

from __future__ import annotations

import math

import numpy as np

from stabilitybench.argument_checks import MOST
from stabilitybench.errors import UserError, plain, shown


def number(owner: str, name: str, value: object, *, above: float | None = None, least: float | None = None) -> float:
    """Return a value as a finite float within its limits.

    Parameters
    ----------
    owner : str
        Function or bound that an error names.
    name : str
        Argument that an error names.
    value : object
        What was handed in.
    above : float, optional
        Limit that the number must exceed.
    least : float, optional
        Limit that the number may reach.

    Returns
    -------
    float
        The number.

    Raises
    ------
    UserError
        For what is no number, not finite, or beyond a limit.

    Examples
    --------
    >>> number("B3", "rate", 1, above=0)
    1.0
    """
    if value is None:
        raise UserError(f"{owner}: {name} = None: must be a number; where there is none the bound is undefined")
    try:
        read = float(value)  # type: ignore[arg-type]
    except OverflowError:
        raise UserError(f"{owner}: {name} = {shown(value)}: must be finite") from None
    except (TypeError, ValueError):
        raise UserError(f"{owner}: {name} = {shown(value)}: must be a number") from None
    if isinstance(plain(value), (bool, str)):
        raise UserError(f"{owner}: {name} = {shown(value)}: must be a number")
    if not math.isfinite(read):
        raise UserError(f"{owner}: {name} = {read}: must be finite")
    if above is not None and not read > above:
        raise UserError(f"{owner}: {name} = {read:g}: must be above {above:g}")
    if least is not None and not read >= least:
        raise UserError(f"{owner}: {name} = {read:g}: must be at least {least:g}")
    return read


def whole(owner: str, name: str, value: object, *, least: int) -> int:
    """Return a value as a whole number.

    Parameters
    ----------
    owner : str
        Function or bound that an error names.
    name : str
        Argument that an error names.
    value : object
        What was handed in.
    least : int
        Smallest number allowed.

    Returns
    -------
    int
        The number.

    Raises
    ------
    UserError
        For anything but an integer of at least `least`; 2.0 and True are none.

    Examples
    --------
    >>> whole("B3", "n", 5, least=2)
    5
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UserError(f"{owner}: {name} = {shown(value)}: must be a whole number of at least {least}")
    if value > MOST:
        raise UserError(f"{owner}: {name} = {shown(value)}: must be at most {MOST}")
    return int(value)


def choice(owner: str, name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise UserError unless a value is one of those allowed.

    Parameters
    ----------
    owner : str
        Function or bound that the error names.
    name : str
        Argument that the error names.
    value : object
        What was handed in.
    allowed : tuple of str
        The values allowed.
    """
    if not isinstance(value, str) or value not in allowed:
        raise UserError(f"{owner}: {name} = {shown(value)}: must be one of {', '.join(allowed)}")
