"""The least-distance problem: the shortest w with <w, z> >= 1 for every row z, exactly, and again without some rows.

Rows have norms of at most 1, so that 1 / |w| is their margin as a share of the largest norm.  Three ways lead to w,
each faster and less sure than the next; what one finds is believed only where it is optimal to rounding:

changed : from the optimum of more rows, by an inverse that is changed row by row (`Optimum.without`).
non-negative least squares : Lawson & Hanson (1974, chapter 23), which loses the active set where margins are small.
dual : Goldfarb & Idnani (1983), every step by an orthogonal factorisation of the rows themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import linalg

from stabilitybench.errors import UserError
from stabilitybench.theory.inputs import Floats, Ints

Number = TypeVar("Number", bound=np.generic)

#: A margin, as a share of the largest norm of a row, below which rows count as not separable.
SMALLEST_MARGIN = 1e-7
#: How far a solution may miss its constraints, and its multipliers 0, to be believed.
OPTIMAL = 1e-12
EPSILON = float(np.finfo(np.float64).eps)
#: What a product <w, z> may be off by, in rounding errors of |w|.
ROUNDING = 64
#: Changes of the dual active set, as a multiple of the rows, before it is given up.
MOST_CHANGES = 20


@dataclass(frozen=True, eq=False)
class Optimum:
    """The shortest w = sum_j multipliers_j z_j with <w, z> >= 1 on all rows z, j running over the active ones.

    Attributes
    ----------
    rows : ndarray, shape (n, d)
        z, of norms up to 1.
    active : ndarray of int, shape (k,)
        Indices of the rows in use, where <w, z> = 1.
    weights : ndarray, shape (d,)
        w.
    multipliers : ndarray, shape (k,)
        Of the active rows, not negative but for rounding.
    """

    rows: Floats
    active: Ints
    weights: Floats
    multipliers: Floats

    def without(self, left_out: npt.NDArray[np.bool_]) -> Floats | None:
        """Return the shortest w with <w, z> >= 1 on fewer rows.

        Parameters
        ----------
        left_out : ndarray of bool, shape (n,)
            Rows that no longer count.

        Returns
        -------
        ndarray, shape (d,), or None
            w; None where the other rows have no margin.
        """
        found = self._changed(left_out)
        if found is not None:
            return found
        alone = shortest(self.rows[~left_out])
        return None if alone is None else alone.weights

    def _changed(self, left_out: npt.NDArray[np.bool_]) -> Floats | None:
        if self._inverse is None:
            return None
        active, inverse = self.active, self._inverse
        try:
            with np.errstate(divide="raise", over="raise", invalid="raise"):
                u = inverse.sum(axis=1)
                for place in np.flatnonzero(left_out[active])[::-1]:
                    active, inverse, u = _dropped(active, place), _shrunk(inverse, place), _dropped(u, place)
                return _active_set(self.rows, active, inverse, u, ~left_out)
        except (ArithmeticError, np.linalg.LinAlgError):  # rows that are dependent to rounding
            return None

    @cached_property
    def _inverse(self) -> Floats | None:
        used = self.rows[self.active]
        try:
            return np.asarray(np.linalg.inv(used @ used.T + 1.0), dtype=np.float64)
        except np.linalg.LinAlgError:
            return None

    def _is_optimal(self) -> bool:
        if not len(self.active) or not float(self.multipliers.min()) >= -EPSILON * float(self.multipliers.max()):
            return False
        products = self.rows @ self.weights
        off = max(1.0 - float(products.min()), float(np.abs(products[self.active] - 1.0).max()))
        return off <= _tolerance(self.weights)


def shortest(rows: Floats) -> Optimum | None:
    """Return the shortest w with <w, z> >= 1 on all rows, from nothing.

    Parameters
    ----------
    rows : ndarray, shape (n, d)
        z, of norms up to 1.

    Returns
    -------
    Optimum or None
        None where the margin is no more than `SMALLEST_MARGIN`.

    Raises
    ------
    UserError
        Where rounding keeps the dual method from an end, which no rows are known to do.
    """
    from scipy import optimize  # costs half a second, which most of the theory does not need

    system = np.vstack([rows.T, np.ones(len(rows))])
    goal = np.zeros(len(system))
    goal[-1] = 1.0
    try:
        shares = np.asarray(optimize.nnls(system, goal)[0], dtype=np.float64)
    except (RuntimeError, np.linalg.LinAlgError):  # no convergence
        return _dual(rows)
    # no margin is larger than the norm of an average of the rows
    if np.linalg.norm(shares @ rows) <= SMALLEST_MARGIN * shares.sum():
        return None
    found = _tight(rows, np.flatnonzero(shares))
    if not found._is_optimal():
        return _dual(rows)
    return found if np.linalg.norm(found.weights) * SMALLEST_MARGIN < 1 else None


def _tight(rows: Floats, active: Ints) -> Optimum:
    """Return the shortest w with <w, z> = 1 on the active rows, and its multipliers of any sign."""
    used = rows[active]
    weights = np.asarray(linalg.lstsq(used, np.ones(len(active)))[0], dtype=np.float64)
    return Optimum(rows, active, weights, np.asarray(linalg.lstsq(used.T, weights)[0], dtype=np.float64))


def _tolerance(weights: Floats) -> float:
    return OPTIMAL + ROUNDING * EPSILON * float(np.linalg.norm(weights))


def _dual(rows: Floats) -> Optimum | None:
    """Return the optimum by Goldfarb & Idnani's dual method; None where there is no margin.

    The shortest w for some of the rows is made longer by the row that it violates most, while rows whose multiplier
    would turn negative leave, until no row is violated.
    """
    if float(np.linalg.norm(rows, axis=1).min()) <= SMALLEST_MARGIN:
        return None
    found = Optimum(rows, np.zeros(0, dtype=np.intp), np.zeros(rows.shape[1]), np.zeros(0))
    for _ in range(MOST_CHANGES * len(rows)):
        if np.linalg.norm(found.weights) * SMALLEST_MARGIN >= 1:
            return None
        violation = 1.0 - rows @ found.weights
        violation[found.active] = 0.0
        entering = int(np.argmax(violation))
        if violation[entering] <= _tolerance(found.weights):
            return found
        larger = _with(found, entering)
        if larger is None:
            return None
        found = larger
    raise UserError("the max-margin direction is lost in rounding: the rows are dependent but for their last digits")


def _with(found: Optimum, entering: int) -> Optimum | None:
    """Return the shortest w for the active rows and one more, some of which leave; None where there is none."""
    rows, active, u, weights = found.rows, found.active, found.multipliers, found.weights
    row, own = rows[entering], 0.0
    while True:
        used = rows[active]
        # the row is sum_k pull_k z_k of the active ones and a rest at right angles to them
        pull, rest = np.zeros(len(active)), row
        for _ in range(2 if len(active) else 0):
            more = linalg.lstsq(used.T, rest)[0]
            pull, rest = pull + more, rest - more @ used
        square = float(rest @ rest)
        dependent = square <= (ROUNDING * EPSILON) ** 2
        full = np.inf if dependent else (1.0 - float(row @ weights)) / square
        falling = np.flatnonzero(pull > 0)
        limits = u[falling] / pull[falling]
        if full <= (float(limits.min()) if len(falling) else np.inf):
            if dependent:  # the row is the opposite of a sum of active ones
                return None
            return _non_negative(rows, np.append(active, entering))
        step, leaving = float(limits.min()), int(falling[np.argmin(limits)])
        u, own = np.maximum(u - step * pull, 0.0), own + step
        weights = weights if dependent else weights + step * rest
        active, u = np.delete(active, leaving), np.delete(u, leaving)


def _non_negative(rows: Floats, active: Ints) -> Optimum:
    """Return `_tight` without the rows whose multiplier is negative, which by now is rounding."""
    found = _tight(rows, active)
    while float(found.multipliers.min()) < 0:
        active = np.delete(active, int(np.argmin(found.multipliers)))
        found = _tight(rows, active)
    return found


def _active_set(
    rows: Floats, active: Ints, inverse: Floats, u: Floats, allowed: npt.NDArray[np.bool_]
) -> Floats | None:
    """Return the shortest w with <w, z> >= 1 on the rows allowed, from the optimal set without one of its rows.

    None where rounding has got in the way: w is then not optimal to `OPTIMAL`, or not found.

    Lawson & Hanson's active-set iteration for |Z^T u|^2 + (1 - sum u)^2 over u >= 0.  The inverse of its normal
    equations, Z Z^T + 1 on the rows in use, is changed by one row at a time.  The negative gradient at u is
    (1 - sum u) (1 - <w, z>), so that the row to enter next is the most violated constraint.
    """
    gone: set[int] = set()  # rows that left since the inverse was last computed afresh
    for _ in range(3 * len(rows)):
        wanted = inverse.sum(axis=1)
        while wanted.size and wanted.min() <= 0:
            blocking = np.flatnonzero(wanted <= 0)
            ratios = u[blocking] / (u[blocking] - wanted[blocking])
            leaving = int(blocking[np.argmin(ratios)])
            u = np.maximum(u + ratios.min() * (wanted - u), 0.0)
            gone.add(int(active[leaving]))
            active, inverse, u = _dropped(active, leaving), _shrunk(inverse, leaving), _dropped(u, leaving)
            wanted = inverse.sum(axis=1)
        u = wanted
        slack = 1.0 - float(u.sum())
        used = rows[active]
        weights = u @ used
        violation = slack - rows @ weights
        violation[active] = 0.0
        violation *= allowed
        entering = int(np.argmax(violation))
        if violation[entering] <= 1e-10 * slack + 1e-14:
            weights, shares = weights / slack, u / slack
            for _ in range(2):  # refinement takes away what the changes of the inverse have left
                left = inverse @ (1.0 - used @ weights)
                left += u * (left.sum() / slack)
                weights, shares = weights + left @ used, shares + left
            tight = not len(used) or float(np.abs(1.0 - used @ weights).max()) <= OPTIMAL
            met = float((rows @ weights)[allowed].min()) >= 1.0 - OPTIMAL
            dual = not len(shares) or float(shares.min()) >= -OPTIMAL * float(shares.max())
            return np.asarray(weights) if tight and met and dual else None
        if entering in gone:  # where the changed inverse has drifted, rows would come and go for ever: look again
            inverse, gone = np.asarray(np.linalg.inv(used @ used.T + 1.0)), set()
            continue
        border = used @ rows[entering] + 1.0
        turned = inverse @ border
        rest = float(rows[entering] @ rows[entering] + 1.0 - border @ turned)
        size = len(active)
        grown = np.empty((size + 1, size + 1))
        np.multiply(turned[:, None], turned / rest, out=grown[:size, :size])
        grown[:size, :size] += inverse
        grown[size, :size] = grown[:size, size] = -turned / rest
        grown[size, size] = 1.0 / rest
        active, inverse, u = np.append(active, entering), grown, np.append(u, 0.0)
    return None


def _shrunk(inverse: Floats, leaving: int) -> Floats:
    """Return the inverse of the matrix without one row and column, given its inverse; the last takes their place."""
    column = inverse[leaving]
    shrunk = inverse - column[:, None] * (column / column[leaving])
    shrunk[leaving] = shrunk[-1]
    shrunk[:, leaving] = shrunk[:, -1]
    return np.asarray(shrunk[:-1, :-1])


def _dropped(values: npt.NDArray[Number], leaving: int) -> npt.NDArray[Number]:
    """Return the values without one, whose place the last one takes."""
    kept = values[:-1].copy()
    if leaving < len(kept):
        kept[leaving] = values[-1]
    return kept
