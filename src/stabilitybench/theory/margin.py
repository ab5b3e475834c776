"""The max-margin direction through the origin, exactly, and how it moves when one row is left out.

Gradient descent on the logistic loss of separable rows turns toward this direction (Soudry et al. 2018,
arXiv 1710.10345).  It solves the least-distance problem min |w| subject to y_j <w, x_j> >= 1, which Lawson & Hanson
(1974, chapter 23) turn into non-negative least squares; the multiplier of every row comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import linalg

from stabilitybench.errors import UserError
from stabilitybench.labels import classes, signs, targets
from stabilitybench.theory.rows import Floats, Ints, features

Number = TypeVar("Number", bound=np.generic)

#: A margin, as a share of the largest feature norm, below which rows count as not separable.
SMALLEST_MARGIN = 1e-7


#: How far a warm solution may miss its constraints, and its multipliers 0, to be believed.
OPTIMAL = 1e-12

NOT_SEPARABLE = "the classes cannot be separated by a linear head through the origin: there is no margin"


class NotSeparable(UserError):
    """The classes cannot be separated by a linear head through the origin, so that no margin exists."""


@dataclass(frozen=True)
class MaxMargin:
    """The hard-margin solution w = direction / margin = sum_j alpha_j z_j of separable rows.

    direction : unit weights, [d] for two classes, [C, d] (unit Frobenius norm) for more.
    margin : gamma, the smallest y_j <direction, x_j>, or <direction_y - direction_c, x_j>; in the unit of x.
    alpha : non-negative multipliers, [n] or [n, C] (0 at the row's own class); sum alpha = 1 / margin^2.
    support : indices of the rows with a positive multiplier, the only ones that matter.
    """

    direction: Floats
    margin: float
    alpha: Floats
    support: Ints


@dataclass(frozen=True)
class MaxMarginLeaveOneOut:
    """The max-margin solution of all rows and of each leave-one-out set.

    full : the solution of all rows.
    margin : [n], gamma_i of the rows without i; at least the margin of all rows.
    distance : [n], |w - w_i| of the unnormalised solutions w = direction / margin.
    direction : [n], |u - u_i| of the unit directions; exactly 0 for every row that is no support vector.
    refits : how many rows had to be solved again, the number of support vectors.
    """

    full: MaxMargin
    margin: Floats
    distance: Floats
    direction: Floats
    refits: int


def max_margin(x: npt.ArrayLike, y: npt.ArrayLike) -> MaxMargin:
    """Return the max-margin direction through the origin, its margin and the multipliers.

    x : rows [n, d].  y : labels [n]; {0, 1} or {-1, 1}, or any whole numbers, of which more than two are read as
    classes of one weight vector each (Kesler's construction, Crammer & Singer 2001).  There is no bias: append a
    constant feature to have one, which is then penalised like the others.

    Raises NotSeparable (a UserError) where no direction has a positive margin on all rows, and UserError for bad
    input.

    >>> found = max_margin([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0])
    >>> found.direction.round(4).tolist(), round(found.margin, 4), found.support.tolist()
    ([0.7071, 0.7071], 1.4142, [0, 1])
    """
    constraints = _Constraints.of(x, y)
    return constraints.solution(constraints.first())


def leave_one_out_max_margin(x: npt.ArrayLike, y: npt.ArrayLike) -> MaxMarginLeaveOneOut:
    """Return the max-margin solution and how far it moves when each row in turn is left out.

    This is the limit t -> infinity of `leave_one_out` for the logistic and the softmax loss on separable rows.  Only
    support vectors are solved again, each from the active set that remains without it, and from nothing where the
    outcome is not optimal to rounding (nearly dependent rows); the other rows change nothing.  Arguments and errors
    are those of `max_margin`.

    >>> found = leave_one_out_max_margin([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0])
    >>> found.margin.round(4).tolist(), found.direction.round(4).tolist(), found.refits
    ([2.0, 2.0, 1.4142], [0.7654, 0.7654, 0.0], 2)
    """
    constraints = _Constraints.of(x, y)
    multipliers = constraints.first()
    full = constraints.solution(multipliers)
    weights = full.direction.ravel() / full.margin
    count = len(full.alpha)
    margin, distance, direction = np.full(count, full.margin), np.zeros(count), np.zeros(count)
    active = np.flatnonzero(multipliers)
    inverse = np.asarray(np.linalg.inv(constraints.rows[active] @ constraints.rows[active].T + 1.0), dtype=np.float64)
    for i in full.support:
        kept, start, u = active, inverse, multipliers[active]
        for place in np.flatnonzero(constraints.owners[active] == i)[::-1]:
            kept, start, u = _dropped(kept, place), _shrunk(start, place), _dropped(u, place)
        allowed = constraints.owners != i
        warm = _active_set(constraints.rows, kept, start, u, allowed)
        without = (constraints.without(allowed) if warm is None else warm) / constraints.scale
        norm = float(np.linalg.norm(without))
        margin[i] = 1 / norm
        distance[i] = np.linalg.norm(weights - without)
        direction[i] = np.linalg.norm(full.direction.ravel() - without / norm)
    return MaxMarginLeaveOneOut(full, margin, distance, direction, len(full.support))


@dataclass(frozen=True)
class _Constraints:
    """Rows z of the constraints <w, z> >= 1, divided by `scale`, the row of the data each belongs to, w's shape."""

    rows: Floats
    scale: float
    owners: Ints
    others: Ints
    shape: tuple[int, ...]

    @classmethod
    def of(cls, x: npt.ArrayLike, y: npt.ArrayLike) -> _Constraints:
        """Read rows and labels; two classes need one constraint a row, C classes C - 1 of them."""
        data = features(x)
        count, width = data.shape
        distinct = np.unique(targets(y, count)).tolist()
        if distinct in ([0, 1], [-1, 1]) or len(distinct) == 1:
            rows = data * signs(y, count)[:, None]
            owners, others = np.arange(count), np.zeros(count, dtype=np.intp)
            shape: tuple[int, ...] = (width,)
        else:
            labels = classes(y, count)
            number = int(labels.max()) + 1
            owners, others = np.nonzero(np.arange(number) != labels[:, None])
            blocks = np.zeros((len(owners), number, width))
            pairs = np.arange(len(owners))
            blocks[pairs, labels[owners]] = data[owners]
            blocks[pairs, others] = -data[owners]
            rows, shape = blocks.reshape(len(owners), -1), (number, width)
        largest = float(np.abs(rows).max())
        if largest and not 1e-100 < largest < 1e100:
            raise UserError(
                f"x holds entries of up to {largest:.3g}: rescale it, its squares leave the range of float64"
            )
        scale = float(np.sqrt(np.max(np.einsum("ij,ij->i", rows, rows))))
        if scale == 0:
            raise NotSeparable("x is zero everywhere: there is no margin")
        return cls(rows / scale, scale, owners, others, shape)

    def first(self) -> Floats:
        """Return the non-negative solution u of min |Z^T u|^2 + (1 - sum u)^2, from nothing."""
        from scipy import optimize  # costs half a second, which most of the theory does not need

        system = np.vstack([self.rows.T, np.ones(len(self.rows))])
        goal = np.zeros(len(system))
        goal[-1] = 1.0
        try:
            multipliers, _ = optimize.nnls(system, goal)
        except RuntimeError:  # no convergence: only met where the margin is lost in rounding
            raise NotSeparable(NOT_SEPARABLE) from None
        return np.asarray(multipliers, dtype=np.float64)

    def solution(self, multipliers: Floats) -> MaxMargin:
        """Turn the multipliers of the least-distance problem into direction, margin and alpha."""
        in_use, weights = self._weights(multipliers)
        active, norm = self.rows[in_use], float(np.linalg.norm(weights))
        shares = linalg.lstsq(active.T, weights)[0] / self.scale**2
        count = int(self.owners[-1]) + 1
        alpha = np.zeros((count, self.shape[0]) if len(self.shape) == 2 else (count, 1))
        alpha[self.owners[in_use], self.others[in_use]] = np.maximum(shares, 0.0)
        return MaxMargin(
            direction=(weights / norm).reshape(self.shape),
            margin=self.scale / norm,
            alpha=alpha if len(self.shape) == 2 else alpha[:, 0],
            support=np.unique(self.owners[in_use]),
        )

    def without(self, allowed: npt.NDArray[np.bool_]) -> Floats:
        """Return the shortest w with <w, z> >= 1 on the rows allowed, from nothing."""
        rest = replace(self, rows=self.rows[allowed])
        return rest._weights(rest.first())[1]

    def _weights(self, multipliers: Floats) -> tuple[Ints, Floats]:
        """Return the rows in use and the w that meets them with equality."""
        in_use = np.flatnonzero(multipliers)
        weights = np.zeros(self.rows.shape[1])
        if len(in_use):
            weights = linalg.lstsq(self.rows[in_use], np.ones(len(in_use)))[0]
        norm = float(np.linalg.norm(weights))
        if norm == 0 or not np.min(self.rows @ weights) / norm > SMALLEST_MARGIN:
            raise NotSeparable(NOT_SEPARABLE)
        return in_use, np.asarray(weights)


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
