"""The search for the smallest number of seeds that reaches a power, and what may be asked of a design."""

from __future__ import annotations

from collections.abc import Callable

from stabilitybench.argument_checks import count, inside

#: No study of this size is planned; a search that reaches it says so.
MOST_SEEDS = 10_000


def first_reaching(reaches: Callable[[int], bool], low: int, most: int, after: int) -> int | None:
    """Return the smallest n that reaches the power and is followed by others that do, or None.

    Power grows with n but for small dips: exact tests have steps, and an odd n gives Brown-Forsythe a distance of 0.

    Parameters
    ----------
    reaches : callable
        Tells whether n runs per arm reach the power.
    low, most : int
        Smallest and largest n.
    after : int
        How many numbers beyond n must reach it too.

    Examples
    --------
    >>> first_reaching(lambda n: n in (5, 6) or n > 7, 2, 100, after=2)
    8
    """
    high = low
    while high < most and not reaches(high):
        low, high = high + 1, min(2 * high, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    found = low
    while found <= most:
        dips = [n for n in range(found, min(found + after, most) + 1) if not reaches(n)]
        if not dips:
            return found
        found = dips[-1] + 1
    return None


def check_design(n_arm: int, n_baseline: int, level: float, power: float = 0.8) -> None:
    """Refuse numbers of runs, levels and powers that no design can have.

    Parameters
    ----------
    n_arm, n_baseline : int
        Runs of the two arms, in [1, `MOST_SEEDS`].
    level : float
        Significance level, in (0, 1).
    power : float, default 0.8
        Probability of detection, in (0, 1).

    Raises
    ------
    UserError
        For an argument out of these ranges.
    """
    for name, n in (("n_arm", n_arm), ("n_baseline", n_baseline)):
        count(name, n, 1, MOST_SEEDS)
    for name, value in (("level", level), ("power", power)):
        inside(name, value, 0, 1)
