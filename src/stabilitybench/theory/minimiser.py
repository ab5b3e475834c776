"""Minimisers of the l2-penalised logistic loss, on all rows and without each row.

All runs start from the minimiser w of all rows, whose Hessian they share but for a rank-one term of their own, so
that one Cholesky factor and the Sherman-Morrison formula give every run its Newton step.  The Hessian is not renewed:
a run that has converged is dropped, and the few that this does not bring home get Newton's method to themselves.
Where a Hessian is singular to rounding, singular values of the rows, which are not squared, take the factor's place.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.special import expit

from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError
from stabilitybench.theory.distances import distances
from stabilitybench.theory.inputs import Floats, Ints
from stabilitybench.theory.problem import Weight, problem

#: The least penalty, as a share of the largest squared norm of a row.
SMALLEST_L2 = 1e-30
#: Wanted bound on the distance to the exact minimiser, as a share of the norm of the weights.
ACCURACY = 1e-11
#: A gradient below this many rounding errors of its largest term cannot be improved.
ROUNDING = 8
#: Steps with the shared Hessian before a run is left to Newton's method.
SHARED_STEPS = 25
#: A step that promises less than this share of the objective is not held against it: rounding hides what it gains.
RESOLVED = 1e-12
#: Numbers in the scores of one part: what stays in the cache.
PART = 1 << 17


@dataclass(frozen=True, eq=False)
class LeaveOneOutMinimisers(EqualByContent):
    """The regularised minimisers with and without each row.

    Attributes
    ----------
    weights : ndarray, shape (d,)
        The minimiser w on all rows.
    distance : ndarray, shape (n,)
        |w - w_i|.
    direction : ndarray, shape (n,)
        |w/|w| - w_i/|w_i||.
    accuracy : ndarray, shape (n,)
        A bound on the error of each w_i, |gradient| / l2, which strong convexity gives.
    """

    weights: Floats
    distance: Floats
    direction: Floats
    accuracy: Floats


def leave_one_out_minimisers(
    x: npt.ArrayLike, y: npt.ArrayLike, l2: float, *, weight: Weight = "1/n"
) -> LeaveOneOutMinimisers:
    """Minimise c sum_j log(1 + exp(-y_j <w, x_j>)) + l2 |w|^2 / 2 on all rows and without each row.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows, n >= 2; there is no bias.
    y : array_like, shape (n,)
        Labels {0, 1} or {-1, 1}.
    l2 : float
        Penalty, above 0.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        c without a row; on all rows it is 1/n.

    Returns
    -------
    LeaveOneOutMinimisers
        The minimiser, and how far it moves without each row.

    Raises
    ------
    UserError
        For bad rows or labels, and a penalty that vanishes beside the rows.

    Examples
    --------
    >>> found = leave_one_out_minimisers([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0], l2=0.1)
    >>> found.distance.round(4).tolist()
    [0.7033, 0.7033, 0.0205]
    """
    task = problem(x, y, loss="logistic", weight=weight, l2=l2)
    # below that the Hessian of separable rows is singular to rounding
    if not task.l2 > SMALLEST_L2 * float(np.max(np.einsum("nd,nd->n", task.out[0], task.out[0]))):
        raise UserError(
            f"l2 = {task.l2:g}: must be above 0, and not vanish beside the rows, or there may be no minimiser"
        )
    rows, count = task.out[0], task.count
    weights = _newton(rows, 1.0 / count, task.l2, np.zeros(rows.shape[1]))
    without = np.empty_like(rows)
    accuracy = np.empty(count)
    size = max(1, PART // count)
    # a run that the shared Hessian leads astray is started again
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        shared = _SharedHessian.at(rows, task.kept, task.l2, weights)
        for first in range(0, count, size):
            part = np.arange(first, min(first + size, count))
            without[part], accuracy[part] = _minimise(shared, part)
    pair = distances(weights[None, None, None], (without - weights)[None, None])
    return LeaveOneOutMinimisers(weights, pair[0][0], pair[1][0], accuracy)


@dataclass(frozen=True, eq=False)
class _SharedHessian:
    """The problem (signed rows, weight c, penalty), and at `weights` the Hessian of all rows with weight c.

    inverse : of the Hessian.  turned : the rows times it.  strength : of the rank-one term that leaving a row out adds.
    pulls : what leaving a row out adds to the gradient.  drift : the gradient on all rows with weight c.
    """

    rows: Floats
    kept: float
    l2: float
    weights: Floats
    inverse: Floats
    turned: Floats
    strength: Floats
    pulls: Floats
    drift: Floats

    @classmethod
    def at(cls, rows: Floats, kept: float, l2: float, weights: Floats) -> _SharedHessian:
        """Factor the Hessian, and prepare what leaving row i out subtracts from it."""
        wrong = expit(-(rows @ weights))
        curvature = kept * wrong * (1.0 - wrong)
        try:
            factor = linalg.cho_factor((rows.T * curvature) @ rows + l2 * np.eye(rows.shape[1]))
            turned = linalg.cho_solve(factor, rows.T).T
            inverse = linalg.cho_solve(factor, np.eye(rows.shape[1]))
        except linalg.LinAlgError:
            inverse = _inverse(rows, curvature, l2)
            turned = rows @ inverse
        leverage = curvature * np.einsum("nd,nd->n", rows, turned)
        pulls = kept * wrong[:, None] * rows
        drift = l2 * weights - pulls.sum(axis=0)
        return cls(rows, kept, l2, weights, inverse, turned, curvature / (1.0 - leverage), pulls, drift)

    def steps(self, gradients: Floats, left_out: Ints) -> Floats:
        """Return the Newton steps of the runs without each of the rows `left_out`."""
        own = np.einsum("rd,rd->r", gradients, self.turned[left_out]) * self.strength[left_out]
        return np.asarray(-(gradients @ self.inverse) - own[:, None] * self.turned[left_out])

    def gradients(self, weights: Floats, left_out: Ints) -> tuple[Floats, Floats]:
        """Return the gradients of the runs, and the size below which they are rounding error."""
        import torch

        wrong = -(weights @ self.rows.T)
        tensor = torch.from_numpy(wrong)
        torch.sigmoid(tensor, out=tensor)
        wrong[np.arange(len(left_out)), left_out] = 0
        pull = self.kept * (wrong @ self.rows)
        size = np.finfo(float).eps * ROUNDING * self.l2 * np.linalg.norm(weights, axis=1)
        return self.l2 * weights - pull, size + np.finfo(float).eps * np.linalg.norm(pull, axis=1)


def _minimise(shared: _SharedHessian, left_out: Ints) -> tuple[Floats, Floats]:
    """Return the minimisers without each of the rows `left_out` and the bounds on their errors."""
    before = np.tile(shared.weights, (len(left_out), 1))
    steps_before = shared.steps(shared.drift + shared.pulls[left_out], left_out)
    weights = before + steps_before
    accuracy = np.full(len(left_out), np.inf)
    active = np.arange(len(left_out))
    for _ in range(SHARED_STEPS):
        gradients, rounding = shared.gradients(weights[active], left_out[active])
        norms = np.linalg.norm(gradients, axis=1)
        accuracy[active] = norms / shared.l2
        goal = ACCURACY * shared.l2 * np.linalg.norm(weights[active], axis=1)
        moving = ~(norms <= np.maximum(goal, rounding))  # what is not a number has not converged
        active = active[moving]
        if not len(active):
            break
        here, steps = weights[active], shared.steps(gradients[moving], left_out[active])
        # Anderson's mixing of the last two steps, which learns what the shared Hessian has wrong in this direction
        change = steps - steps_before[moving]
        share = np.einsum("rd,rd->r", change, steps) / np.maximum(np.einsum("rd,rd->r", change, change), 1e-300)
        weights[active] = here + steps - share[:, None] * (here - before[moving] + change)
        before, steps_before = here, steps
    for r in active:
        rows = np.delete(shared.rows, left_out[r], axis=0)
        weights[r] = _newton(rows, shared.kept, shared.l2, shared.weights)
        wrong = expit(-(rows @ weights[r]))
        accuracy[r] = np.linalg.norm(shared.l2 * weights[r] - shared.kept * (wrong @ rows)) / shared.l2
    return weights, accuracy


def _newton(rows: Floats, kept: float, l2: float, weights: Floats) -> Floats:
    """Minimise by Newton's method with halved steps where the objective would grow."""

    def objective(at: Floats) -> float:
        return float(kept * np.logaddexp(0.0, -(rows @ at)).sum() + 0.5 * l2 * at @ at)

    value, before = objective(weights), np.inf
    for _ in range(200):
        wrong = expit(-(rows @ weights))
        gradient = l2 * weights - kept * (wrong @ rows)
        step = -_solved(rows, kept * wrong * (1.0 - wrong), l2, gradient)
        promised = -float(gradient @ step)
        if promised <= 1e-30 + 1e-16 * abs(value):  # quadratic convergence: this last step is exact to rounding
            return np.asarray(weights + step)
        if promised <= RESOLVED * abs(value):
            if promised >= before / 2:  # what is left of the gradient is rounding
                return weights
            weights, before = weights + step, promised
            continue
        scale = 1.0
        while not objective(weights + scale * step) <= value - 1e-4 * scale * promised and scale > 1e-10:
            scale /= 2
        weights = weights + scale * step
        value = objective(weights)
    return weights


def _solved(rows: Floats, curvature: Floats, l2: float, gradient: Floats) -> Floats:
    """Return the Hessian's inverse times the gradient."""
    hessian = (rows.T * curvature) @ rows + l2 * np.eye(rows.shape[1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", linalg.LinAlgWarning)
            return np.asarray(linalg.solve(hessian, gradient, assume_a="pos"))
    except (linalg.LinAlgError, linalg.LinAlgWarning):
        return np.asarray(_inverse(rows, curvature, l2) @ gradient)


def _inverse(rows: Floats, curvature: Floats, l2: float) -> Floats:
    """Return the inverse of rows^T diag(curvature) rows + l2, without forming that matrix."""
    _, values, vectors = linalg.svd(np.sqrt(curvature)[:, None] * rows)
    squares = np.zeros(rows.shape[1])
    squares[: len(values)] = values**2
    return np.asarray((vectors.T / (squares + l2)) @ vectors)
