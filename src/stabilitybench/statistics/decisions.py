"""When something is claimed: the rules that reports, plans and checks of published claims share.

A difference is claimed where its p-value, adjusted by Holm's method over the tests of its family, lies below `ALPHA`.
What a test could have shown is told as the effect that it detects with the chance `POWER`.
"""

from __future__ import annotations

import math
from typing import Literal

from stabilitybench.errors import UserError

#: The level of every test, after adjustment within its family.
ALPHA = 0.05
#: The chance with which a detectable effect is detected.
POWER = 0.8
#: The confidence level of intervals.
LEVEL = 0.95

Outcome = Literal["as claimed", "against the claim", "not detected"]


def is_claimed(adjusted: float | None, alpha: float = ALPHA) -> bool:
    """Tell whether a difference is claimed.

    Parameters
    ----------
    adjusted : float or None
        Its p-value after adjustment within the family; None where there was no test.
    alpha : float, default 0.05
        The level of the family.

    Examples
    --------
    >>> is_claimed(0.049), is_claimed(0.05), is_claimed(None)
    (True, False, False)
    """
    return adjusted is not None and adjusted < alpha


def outcome(adjusted: float | None, ahead: bool) -> Outcome:
    """Return what a test says of a claim that has a direction.

    Parameters
    ----------
    adjusted : float or None
        The p-value after adjustment within the family; None where there was no test.
    ahead : bool
        Whether the effect lies in the direction of the claim.

    Examples
    --------
    >>> outcome(0.01, True), outcome(0.01, False), outcome(0.2, True)
    ('as claimed', 'against the claim', 'not detected')
    """
    if not is_claimed(adjusted):
        return "not detected"
    return "as claimed" if ahead else "against the claim"


def first_step_level(tests: int, alpha: float = ALPHA) -> float:
    """Return the level of the first step of Holm's method, the hardest one.

    Parameters
    ----------
    tests : int
        Size of the family, at least 1.
    alpha : float, default 0.05
        The level of the family.

    Raises
    ------
    UserError
        For a family without tests.

    Examples
    --------
    >>> first_step_level(5)
    0.01
    """
    if tests < 1:
        raise UserError(f"tests = {tests}: must be at least 1")
    return alpha / tests


def seeds_for_effect(n: int, reach: float, effect: float) -> int | None:
    """Return about how many runs per arm detect an effect, where n of them detect one of the size `reach`.

    Detectable effects shrink as one over the square root of the runs.

    Parameters
    ----------
    n : int
        Runs per arm.
    reach : float
        The effect that they detect.
    effect : float
        The effect to be detected, in the same unit, above 0.

    Returns
    -------
    int or None
        None where a million runs are not enough.

    Examples
    --------
    >>> seeds_for_effect(20, reach=2.0, effect=1.0)
    80
    """
    wanted = n * (reach / effect) ** 2
    return math.ceil(wanted) if math.isfinite(wanted) and wanted < 1e6 else None
