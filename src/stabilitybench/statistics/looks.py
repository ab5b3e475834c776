"""Tests at several looks at growing numbers of runs: levels and p-values with which the error holds over all looks.

Looks overlap: what is seen at n_2 runs contains what was seen at n_1. On the scale of normal scores, which p-values of
any test are brought to, looks j < k correlate by sqrt(n_j / n_k), as partial sums do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import special, stats

from stabilitybench.argument_checks import choice, number, several, whole
from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.decisions import ALPHA
from stabilitybench.statistics.results import Floats

Bounds = Literal["pocock", "obrien-fleming"]
#: Looks of one study; and how much the last may exceed the first under the bounds of O'Brien and Fleming: early levels
#: are no numbers any more beyond.
MOST_LOOKS, WIDEST = 20, 100
BOUNDS: tuple[Bounds, ...] = ("pocock", "obrien-fleming")


@dataclass(frozen=True)
class DeclaredLook:
    """One of the looks at a study that were declared before its first run.

    Attributes
    ----------
    sizes : tuple of int
        Seeds per arm at each look, ascending.
    number : int
        Which look this is, from 1.
    bounds : {"pocock", "obrien-fleming"}, default "pocock"
        How the error is shared out.

    Examples
    --------
    >>> look = DeclaredLook((10, 20), 1)
    >>> round(look.level, 4), round(look.adjusted(0.0294), 3)
    (0.0294, 0.05)
    """

    sizes: tuple[int, ...]
    number: int
    bounds: Bounds = "pocock"

    @cached_property
    def level(self) -> float:
        """The level of a test at this look; intervals have the confidence 1 - level."""
        return look_levels(self.sizes, ALPHA, self.bounds)[self.number - 1]

    def adjusted(self, p: float) -> float:
        """Return a p-value of this look, adjusted for all of them.

        Parameters
        ----------
        p : float
            Two-sided, in [0, 1].
        """
        return looks_adjusted(p, self.number, self.sizes, self.bounds)


def look_levels(sizes: Sequence[int], alpha: float = ALPHA, bounds: Bounds = "pocock") -> tuple[float, ...]:
    r"""Return the level of the test at each look, such that the error over all looks is `alpha`.

    Pocock's bounds [1]_ have one level for all looks; O'Brien and Fleming's [2]_ have a critical value that falls as
    :math:`1 / \sqrt{n_k}`, so that early looks claim little and the last one is hardly dearer than a single one.  The
    interval that belongs to a look has the confidence 1 - level.

    Parameters
    ----------
    sizes : sequence of int
        Runs (or pairs) of an arm at each look, ascending, at least 2.
    alpha : float, default 0.05
        The chance of a false claim at any look, in (0, 1).
    bounds : {"pocock", "obrien-fleming"}, default "pocock"
        How the error is shared out.

    Raises
    ------
    UserError
        For sizes that do not ascend, an alpha outside (0, 1), or other bounds.

    References
    ----------
    .. [1] Pocock (1977), Biometrika 64:191-199.
    .. [2] O'Brien & Fleming (1979), Biometrics 35:549-556.

    Examples
    --------
    >>> [round(level, 4) for level in look_levels([10, 20])]
    [0.0294, 0.0294]
    >>> [round(level, 4) for level in look_levels([10, 20], bounds="obrien-fleming")]
    [0.0052, 0.048]
    """
    from scipy.optimize import brentq

    n, shape = _checked(sizes, bounds)
    allowed = number("alpha", alpha, "must lie between 0 and 1, for example 0.05", lambda share: 0 < share < 1)
    one, all_of_it = special.ndtri([1 - allowed / 2, 1 - allowed / (2 * len(n))])
    last = brentq(lambda z: _crossing(n, z * shape) - allowed, one * 0.99, all_of_it * 1.01 + 0.01, xtol=1e-10)
    return tuple(float(level) for level in 2 * stats.norm.sf(last * shape))


def looks_adjusted(p: float, look: int, sizes: Sequence[int], bounds: Bounds = "pocock") -> float:
    """Return the p-value of a look, adjusted for all declared looks: the smallest error over all looks with a claim.

    It lies below alpha exactly where p lies below the level of the look.

    Parameters
    ----------
    p : float
        Of any test on the runs of this look, two-sided, in [0, 1].
    look : int
        Which look, from 1.
    sizes : sequence of int
        As in `look_levels`: all declared looks, those still to come too.
    bounds : {"pocock", "obrien-fleming"}, default "pocock"
        As declared.

    Raises
    ------
    UserError
        For a p outside [0, 1], a look that is not declared, and as in `look_levels`.

    Examples
    --------
    >>> round(looks_adjusted(0.0294, 1, [10, 20]), 3)
    0.05
    """
    n, shape = _checked(sizes, bounds)
    at = whole("look", look, f"must be a look from 1 to {len(n)}", lambda k: 1 <= k <= len(n)) - 1
    share = number("p", p, "must lie in [0, 1]", lambda x: 0 <= x <= 1)
    z = -float(special.ndtri(share / 2))
    return share if math.isinf(z) else _crossing(n, z * shape / shape[at])


def undeclared_error(sizes: Sequence[int], alpha: float = ALPHA) -> float:
    """Return the chance of a false claim at any look where each was tested at `alpha`, as if it were the only one.

    Parameters
    ----------
    sizes : sequence of int
        As in `look_levels`.
    alpha : float, default 0.05
        The level of each test, in (0, 1).

    Raises
    ------
    UserError
        As in `look_levels`.

    Examples
    --------
    >>> round(undeclared_error([10, 20]), 3)
    0.083
    """
    level = number("alpha", alpha, "must lie between 0 and 1, for example 0.05", lambda share: 0 < share < 1)
    return looks_adjusted(level, 1, sizes)


def _checked(sizes: Sequence[int], bounds: Bounds) -> tuple[Floats, Floats]:
    """Return the sizes, and the critical value at each look over that at the last."""
    given = several("sizes", sizes, "numbers of runs", object)
    n = np.array([whole("sizes", size, "must be at least 2", lambda n: n >= 2) for size in given], np.float64)
    if n.size == 0 or (np.diff(n) <= 0).any():
        raise UserError(Argument("sizes", sizes), ": must be numbers of runs that ascend from look to look")
    if n.size > MOST_LOOKS:
        raise UserError(Argument("sizes", sizes), f": must be at most {MOST_LOOKS} looks")
    if choice("bounds", bounds, BOUNDS) == "pocock":
        return n, np.ones(n.size)
    if n[-1] > WIDEST * n[0]:
        raise UserError(Argument("sizes", sizes), f": the last must be at most {WIDEST} times the first")
    return n, np.sqrt(n[-1] / n)


def _crossing(sizes: Floats, critical: Floats) -> float:
    """Return the chance that |Z| exceeds its critical value at any look, by integration from look to look [1]_.

    .. [1] Armitage, McPherson & Rowe (1969), JRSS A 132:235-244.
    """
    edges, sds = critical * np.sqrt(sizes), np.sqrt(np.diff(sizes, prepend=0.0))
    crossed, place, mass = 0.0, np.zeros(1), np.ones(1)
    for k, (edge, sd) in enumerate(zip(edges, sds, strict=True)):
        tails = stats.norm.sf((edge - place) / sd) + stats.norm.cdf((-edge - place) / sd)
        crossed += float(mass @ tails)
        if k + 1 == len(edges):
            break
        # as fine as the narrower of this look's steps and the next one's
        nodes = int(min(64 + 8 * edge / min(sd, sds[k + 1]), 2000))
        x, weights = special.roots_legendre(nodes)
        ahead = edge * x
        mass = edge * weights * (stats.norm.pdf((ahead[:, None] - place) / sd) / sd @ mass)
        place = ahead
    return min(crossed, 1.0)
