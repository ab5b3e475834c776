"""A1: how far leaving one sample out moves the minimiser of a strongly convex problem.

R is the mean loss plus l2 ||w||^2 / 2, R^i the same without sample i, mu_i the least eigenvalue of R^i's Hessian.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.theory.bounds.result import PROVEN, Assumption, Bound, Weight, check_weight, one
from stabilitybench.theory.bounds.runs import check_start
from stabilitybench.theory.checks import number
from stabilitybench.theory.constants.numeric import leave_one_out_curvature
from stabilitybench.theory.inputs import Loss
from stabilitybench.theory.one_run import labelled, residuals


def at_convergence(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    loss: Loss,
    l2: float = 0.0,
    weight: Weight = "1/n",
) -> Bound:
    r"""A1: how far the minimiser moves when sample i is left out.

    .. math:: \|w_S - w_{S^i}\| \le \frac{\|\nabla R^i(w_S)\|}{\mu_i} = \frac{\|g_i(w_S)\|}{m \mu_i}

    the last form at the exact minimiser: weight "1/n", m = n and g_i the gradient of sample i's loss; weight
    "1/(n-1)", m = n - 1 and g_i with its share of the regulariser.  The first form is computed, so that weights near
    the minimiser of all samples are good enough: the bound is on the distance from these weights.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features, n >= 2.
    y : array_like, shape (n,)
        Labels or targets, as the loss reads them.
    weights : array_like, shape (d,) or (C, d)
        w_S, the minimiser of all samples or near it.
    loss : {"squared", "logistic", "softmax"}
        Loss of one sample; "squared" is half the square.
    l2 : float, default 0
        Adds l2 ||w||^2 / 2 to both problems, at least 0.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.

    Returns
    -------
    Bound
        In the unit of the weights, for every i.

    Raises
    ------
    UserError
        Where some mu_i is not positive.

    Examples
    --------
    >>> rows, targets = [[1.0], [2.0], [1.5]], [1.0, 2.1, 1.4]
    >>> bound = at_convergence(rows, targets, [7.3 / 7.25], loss="squared")
    >>> exact = abs(7.3 / 7.25 - (2.0 * 2.1 + 1.5 * 1.4) / (4 + 2.25))
    >>> bool(abs(bound.per_sample[0, 0] - exact) < 1e-12)
    True
    """
    owner = "A1"
    rows, labels = labelled(x, y, loss)
    check_weight(owner, weight)
    strength = number(owner, "l2", l2, least=0)
    w = check_start(owner, weights, (labels.shape[1], rows.shape[1]), "weights")
    mu, _ = leave_one_out_curvature(rows, loss=loss, l2=strength, weight=weight)
    if not np.all(mu > 0):
        raise UserError(
            f"A1: without sample {int(mu.argmin())} the convexity is {mu.min():g}: must be above 0; "
            "the bound is undefined"
        )
    pull = residuals(rows @ w.T, labels, loss)
    total = pull.T @ rows
    others = (len(rows) - 1) if weight == "1/(n-1)" else len(rows)
    each = (total - pull[:, :, None] * rows[:, None, :]) / others + strength * w
    with np.errstate(over="ignore"):
        distance = np.linalg.norm(each.reshape(len(rows), -1), axis=1) / mu
    if not np.all(np.isfinite(distance)):
        raise UserError(f"A1: l2 = {strength:g}: too small beside the gradients; the bound leaves the range of numbers")
    return Bound(
        "A1, at convergence",
        "||w_S - w_(S^i)|| of the minimisers",
        one(float(distance.mean())),
        "every i",
        (Assumption("every leave-one-out problem is strongly convex, mu_i > 0", True),),
        PROVEN,
        per_sample=distance[None, :],
    )
