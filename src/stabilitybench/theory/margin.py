"""The max-margin direction through the origin, exactly, and how it moves when one row is left out.

Gradient descent on the logistic loss of separable rows turns toward this direction (Soudry et al. 2018,
arXiv 1710.10345).  It solves the least-distance problem min |w| subject to y_j <w, x_j> >= 1; the multiplier of every
row comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError
from stabilitybench.labels import classes, signs, targets
from stabilitybench.theory.inputs import Floats, Ints, features
from stabilitybench.theory.least_distance import SMALLEST_MARGIN, Optimum, shortest

NOT_SEPARABLE = (
    "the classes cannot be separated by a linear head through the origin: there is no margin, "
    f"or one below {SMALLEST_MARGIN:g} of the largest feature norm"
)


class NotSeparable(UserError):
    """The classes cannot be separated by a linear head through the origin, so that no margin exists."""


@dataclass(frozen=True, eq=False)
class MaxMargin(EqualByContent):
    """The hard-margin solution w = direction / margin = sum_j alpha_j z_j of separable rows.

    Attributes
    ----------
    direction : ndarray, shape (d,) or (C, d)
        Unit weights, (C, d) of unit Frobenius norm for more than two classes.
    margin : float
        gamma, the smallest y_j <direction, x_j>, or <direction_y - direction_c, x_j>; in the unit of x.
    alpha : ndarray, shape (n,) or (n, C)
        Non-negative multipliers (0 at the row's own class); sum alpha = 1 / margin^2.
    support : ndarray of int
        Indices of the rows with a positive multiplier, the only ones that matter.
    """

    direction: Floats
    margin: float
    alpha: Floats
    support: Ints


@dataclass(frozen=True, eq=False)
class MaxMarginLeaveOneOut(EqualByContent):
    """The max-margin solution of all rows and of each leave-one-out set.

    Attributes
    ----------
    full : MaxMargin
        The solution of all rows.
    margin : ndarray, shape (n,)
        gamma_i of the rows without i; at least the margin of all rows.
    distance : ndarray, shape (n,)
        |w - w_i| of the unnormalised solutions w = direction / margin.
    direction : ndarray, shape (n,)
        |u - u_i| of the unit directions; exactly 0 for every row that is no support vector.
    refits : int
        How many rows had to be solved again, the number of support vectors.
    """

    full: MaxMargin
    margin: Floats
    distance: Floats
    direction: Floats
    refits: int


def max_margin(x: npt.ArrayLike, y: npt.ArrayLike) -> MaxMargin:
    """Return the max-margin direction through the origin, its margin and the multipliers.

    There is no bias: append a constant feature to have one, which is then penalised like the others.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows, n >= 2.
    y : array_like, shape (n,)
        Labels; {0, 1} or {-1, 1}, or any whole numbers, of which more than two are read as classes of one weight vector
        each (Kesler's construction [1]_).

    Returns
    -------
    MaxMargin
        The hard-margin solution.

    Raises
    ------
    NotSeparable
        A UserError, where no direction has a positive margin on all rows.
    UserError
        For bad rows or labels.

    References
    ----------
    .. [1] K. Crammer and Y. Singer (2001), "On the algorithmic implementation of multiclass kernel-based vector
       machines", JMLR 2:265.

    Examples
    --------
    >>> found = max_margin([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0])
    >>> found.direction.round(4).tolist(), round(found.margin, 4), found.support.tolist()
    ([0.7071, 0.7071], 1.4142, [0, 1])
    """
    constraints = _Constraints.of(x, y)
    return constraints.solution(constraints.optimum())


def leave_one_out_max_margin(x: npt.ArrayLike, y: npt.ArrayLike) -> MaxMarginLeaveOneOut:
    """Return the max-margin solution and how far it moves when each row in turn is left out.

    This is the limit t -> infinity of `leave_one_out` for the logistic and the softmax loss on separable rows [1]_.
    Only support vectors are solved again, each from the active set that remains without it, and from nothing where
    the outcome is not optimal to rounding (nearly dependent rows); the other rows change nothing.

    Parameters
    ----------
    x, y : array_like
        As in `max_margin`.

    Returns
    -------
    MaxMarginLeaveOneOut
        Margins, distances and direction distances without each row.

    Raises
    ------
    NotSeparable
        A UserError, where the rows cannot be separated.
    UserError
        For bad rows or labels.

    References
    ----------
    .. [1] D. Soudry, E. Hoffer, M. S. Nacson, S. Gunasekar and N. Srebro (2018), "The implicit bias of gradient
       descent on separable data", JMLR 19(70), arXiv 1710.10345.

    Examples
    --------
    >>> found = leave_one_out_max_margin([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0])
    >>> found.margin.round(4).tolist(), found.direction.round(4).tolist(), found.refits
    ([2.0, 2.0, 1.4142], [0.7654, 0.7654, 0.0], 2)
    """
    constraints = _Constraints.of(x, y)
    optimum = constraints.optimum()
    full = constraints.solution(optimum)
    weights = full.direction.ravel() / full.margin
    count = len(full.alpha)
    margin, distance, direction = np.full(count, full.margin), np.zeros(count), np.zeros(count)
    for i in full.support:
        shorter = optimum.without(constraints.owners == i)
        if shorter is None:
            raise NotSeparable(NOT_SEPARABLE)
        without = shorter / constraints.scale
        norm = float(np.linalg.norm(without))
        margin[i] = max(full.margin, 1 / norm)  # a margin only grows, whatever rounding says
        distance[i] = np.linalg.norm(weights - without)
        direction[i] = np.linalg.norm(full.direction.ravel() - without / norm)
    return MaxMarginLeaveOneOut(full, margin, distance, direction, len(full.support))


@dataclass(frozen=True, eq=False)
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

    def optimum(self) -> Optimum:
        """Return the shortest w of the least-distance problem."""
        found = shortest(self.rows)
        if found is None:
            raise NotSeparable(NOT_SEPARABLE)
        return found

    def solution(self, optimum: Optimum) -> MaxMargin:
        """Turn the solution of the least-distance problem into direction, margin and alpha."""
        in_use, norm = optimum.active, float(np.linalg.norm(optimum.weights))
        count = int(self.owners[-1]) + 1
        alpha = np.zeros((count, self.shape[0]) if len(self.shape) == 2 else (count, 1))
        alpha[self.owners[in_use], self.others[in_use]] = np.maximum(optimum.multipliers / self.scale**2, 0.0)
        return MaxMargin(
            direction=(optimum.weights / norm).reshape(self.shape),
            margin=self.scale / norm,
            alpha=alpha if len(self.shape) == 2 else alpha[:, 0],
            support=np.unique(self.owners[in_use]),
        )
