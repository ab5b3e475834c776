"""Bands for the expected best of m runs that hold for every distribution of scores, and for all m at once."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from stabilitybench.argument_checks import number
from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.location import expected_best
from stabilitybench.statistics.results import Floats, check_level, sample


def expected_best_bands(
    scores: npt.ArrayLike,
    budgets: npt.ArrayLike,
    bounds: tuple[float | None, float | None],
    level: float = 0.95,
) -> pd.DataFrame:
    r"""Return the expected maximum of m runs, for several m, with a simultaneous band free of assumptions.

    With probability `level` each order statistic's chance :math:`F(x_{(i)})` lies between equal tails of its beta
    distribution, for all i at once [1]_; so the whole distribution function lies in a band, and with it
    :math:`E \max = \int x \, dF^m` for every m [2]_.  What F has beyond the extreme scores lies at the bounds, which is
    all that a sample of any size can promise.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores of independent runs, higher is better.
    budgets : array_like of int, shape (k,)
        The numbers of runs m, from 1 to n.
    bounds : tuple of float or None
        The lowest and the highest score there can be, such as (0, 1); None where there is none, which leaves the band
        open on that side.
    level : float, default 0.95
        Confidence that all limits hold, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        One row for each budget, by m: estimate (`expected_best`), low, high, note.  An open limit is infinite, and the
        note says so.

    Raises
    ------
    UserError
        As in `expected_best`, for scores beyond the bounds, bounds that are no range, or a level outside (0, 1).

    References
    ----------
    .. [1] Aldor-Noiman, Brown, Buja, Rolke & Stine (2013), American Statistician 67:249-260.
    .. [2] Lourie, Cho & He (2024), Show your work with confidence, NAACL.

    Examples
    --------
    >>> scores = [0.61, 0.64, 0.66, 0.67, 0.67, 0.68, 0.68, 0.69, 0.70, 0.72]
    >>> expected_best_bands(scores, [1, 5], (0, 1))[["estimate", "low", "high"]].round(2).values.tolist()
    [[0.67, 0.37, 0.82], [0.71, 0.66, 0.98]]
    """
    values = np.sort(sample(scores, "expected_best_bands"))
    best = expected_best(values, budgets)
    lowest, highest = _range(bounds, values)
    m = np.atleast_1d(np.asarray(budgets)).astype(np.float64)[:, None]
    low, high = _local_limits(values.size, check_level(level))
    # the largest F that the band admits has the mass of its first step at the lowest score, the smallest its last one
    # at the highest
    above = np.diff(np.append(high, 1.0) ** m, axis=1) @ values + _at(lowest, high[0] ** m[:, 0])
    below = np.diff(low**m, axis=1, prepend=0.0) @ values + _at(highest, 1 - low[-1] ** m[:, 0])
    sides = [side for side, bound in (("below", lowest), ("above", highest)) if math.isinf(bound)]
    note = f"open {' and '.join(sides)}: no {'bounds are' if len(sides) == 2 else 'bound is'} given" if sides else ""
    table = {"estimate": best, "low": np.minimum(above, best), "high": np.maximum(below, best), "note": note}
    return pd.DataFrame(table, index=pd.Index(m[:, 0].astype(np.intp), name="m"))


def _range(bounds: tuple[float | None, float | None], values: Floats) -> tuple[float, float]:
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise UserError(Argument("bounds", bounds), ": must be the lowest and the highest score, such as (0, 1)")
    ends = [
        default if bound is None else number("bounds", bound, "must be finite", math.isfinite)
        for bound, default in zip(bounds, (-math.inf, math.inf), strict=True)
    ]
    if values.size and not ends[0] <= values[0] <= values[-1] <= ends[1]:
        raise UserError(
            Argument("bounds", bounds), f": the scores go from {values[0]:g} to {values[-1]:g}: must lie within bounds"
        )
    return ends[0], ends[1]


def _at(bound: float, mass: Floats) -> Floats:
    return mass * bound if math.isfinite(bound) else np.full(mass.size, bound)


@lru_cache(maxsize=64)
def _local_limits(n: int, level: float) -> tuple[Floats, Floats]:
    """Return limits of the order statistics of n uniform numbers, with equal tails, that hold together at `level`."""
    from scipy.optimize import brentq

    i = np.arange(1, n + 1)

    def limits(log_tail: float) -> tuple[Floats, Floats]:
        tail = math.exp(log_tail)
        ends = stats.beta.ppf(tail, i, n + 1 - i), stats.beta.isf(tail, i, n + 1 - i)
        return np.asarray(ends[0]), np.asarray(ends[1])

    one = math.log((1 - level) / 2)
    found = brentq(lambda tail: _all_within(*limits(tail)) - level, one - math.log(n) - 1e-9, one + 1e-9, xtol=1e-7)
    return limits(found)


def _all_within(low: Floats, high: Floats) -> float:
    """Return the chance that each order statistic of n uniform numbers lies within its limits, which ascend.

    The numbers below t count like a Poisson process that is known to reach n at 1; at each limit passed, its count has
    a least and a largest value.
    """
    n = low.size
    times = np.append(np.sort(np.concatenate([low, high])), 1.0)
    least, most = np.searchsorted(high, times, side="right"), np.searchsorted(low, times, side="left")
    least[-1] = most[-1] = n
    chance, first, before = np.ones(1), 0, 0.0
    for time, a, b in zip(times, least, most, strict=True):
        steps = stats.poisson.pmf(np.arange(b - first + 1), n * (time - before))
        chance = np.convolve(chance, steps)[a - first : b - first + 1]
        first, before = a, time
    return float(chance[0] / stats.poisson.pmf(n, n))
