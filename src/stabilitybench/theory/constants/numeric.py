"""Constants of numeric data: radius, margin, curvature, gradient norms, distance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, shown
from stabilitybench.labels import numbers
from stabilitybench.theory.checks import choice, number
from stabilitybench.theory.inputs import LARGEST, Floats, Loss, squarable
from stabilitybench.theory.margin import max_margin
from stabilitybench.theory.one_run import CURVATURE, labelled, residuals


def radius(x: npt.ArrayLike, quantile: float = 1.0) -> float:
    """Return B, the largest Euclidean norm of a row of x.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    quantile : float, default 1
        In (0, 1]; below 1, that quantile of the norms in place of the largest, to see how far one far row is from the
        rest (a bound needs the largest).

    Returns
    -------
    float
        In the unit of x.

    Raises
    ------
    UserError
        For rows that are not finite numbers, and a quantile out of its range.

    Examples
    --------
    >>> radius([[3.0, 4.0], [1.0, 0.0]])
    5.0
    """
    share = number("radius", "quantile", quantile, above=0)
    if share > 1:
        raise UserError(f"radius: quantile = {share:g}: must be at most 1")
    return float(np.quantile(np.linalg.norm(squarable(x), axis=1), share))


def margin(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return gamma, the largest margin of a linear head without a free bias.

    Two classes: max over unit u of min_i y_i <u, x_i>.  More: over weights of unit Frobenius norm, the least lead of
    the true class.  `max_margin` also gives the direction and the multipliers alpha.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    y : array_like, shape (n,)
        Labels; {0, 1} or {-1, 1}, or more than two whole numbers.

    Returns
    -------
    float
        In the unit of x, above 0.

    Raises
    ------
    NotSeparable
        A UserError, where there is none.

    Examples
    --------
    >>> round(margin([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0]), 4)
    1.4142
    """
    return max_margin(x, y).margin


def smoothness(x: npt.ArrayLike, *, loss: Loss, l2: float = 0.0) -> float:
    """Return beta, the largest curvature of the mean loss plus l2 ||w||^2 / 2 over all weights.

    The largest eigenvalue of X'X / n times the largest second derivative of the loss (1 squared, 1/4 logistic, 1/2
    softmax) plus l2: exact for squared loss, else an upper bound.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    loss : {"squared", "logistic", "softmax"}
        Loss of one sample; "squared" is half the square.
    l2 : float, default 0
        Regularisation, at least 0.

    Returns
    -------
    float
        In squared units of x.

    Raises
    ------
    UserError
        For bad rows, an unknown loss, or l2 < 0.

    Examples
    --------
    >>> smoothness([[2.0, 0.0], [0.0, 1.0]], loss="logistic")
    0.5
    """
    rows = squarable(x)
    return float(np.linalg.norm(rows, 2)) ** 2 / len(rows) * _curvature(loss) + number("curvature", "l2", l2, least=0)


def convexity(x: npt.ArrayLike, *, loss: Loss, l2: float = 0.0) -> float:
    """Return mu, the least curvature of the mean loss plus l2 ||w||^2 / 2 over all weights.

    The least eigenvalue of X'X / n plus l2 for squared loss (exactly l2 where n < d); l2 for the others, whose
    curvature vanishes far out.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    loss : {"squared", "logistic", "softmax"}
        Loss of one sample; "squared" is half the square.
    l2 : float, default 0
        Regularisation, at least 0.

    Returns
    -------
    float
        In squared units of x.  0 means: not strongly convex, and a bound that divides by mu is undefined.

    Raises
    ------
    UserError
        For bad rows, an unknown loss, or l2 < 0.

    Examples
    --------
    >>> convexity([[2.0, 0.0], [0.0, 1.0]], loss="squared"), convexity([[2.0, 1.0], [0.0, 1.0]], loss="logistic")
    (0.5, 0.0)
    """
    rows = squarable(x)
    _curvature(loss)
    least = _least(rows.T @ rows, rows) / len(rows) if loss == "squared" else 0.0
    return least + number("curvature", "l2", l2, least=0)


def leave_one_out_curvature(
    x: npt.ArrayLike, *, loss: Loss, l2: float = 0.0, weight: str = "1/n"
) -> tuple[Floats, Floats]:
    """Return mu_i and beta_i, least and largest curvature of the problem without sample i.

    As `convexity` and `smoothness`; the regulariser stays whole.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    loss : {"squared", "logistic", "softmax"}
        Loss of one sample; "squared" is half the square.
    l2 : float, default 0
        Regularisation, at least 0.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.

    Returns
    -------
    mu, beta : ndarray, shape (n,)
        Exact for squared loss; for the others mu_i = l2, and beta_i is an upper bound.

    Raises
    ------
    UserError
        For bad rows, an unknown loss, or l2 < 0.

    Examples
    --------
    >>> rows = [[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> mu, beta = leave_one_out_curvature(rows, loss="squared", weight="1/(n-1)")
    >>> mu.tolist(), beta.tolist()
    ([0.0, 0.5, 0.5], [1.0, 2.0, 2.0])
    """
    rows = squarable(x)
    strength = number("curvature", "l2", l2, least=0)
    choice("curvature", "weight", weight, ("1/n", "1/(n-1)"))
    scale = _curvature(loss) / (len(rows) - 1 if weight == "1/(n-1)" else len(rows))
    n, d = rows.shape
    # the nonzero eigenvalues of X'X and XX' agree: work with the smaller one
    mu, beta = np.zeros(n), np.zeros(n)
    if d < n:
        full = rows.T @ rows
        for i in range(n):
            values = np.linalg.eigvalsh(full - np.outer(rows[i], rows[i]))
            mu[i], beta[i] = values[0], values[-1]
    else:
        gram = rows @ rows.T
        kept = ~np.eye(n, dtype=bool)
        for i in range(n):
            beta[i] = np.linalg.eigvalsh(gram[np.ix_(kept[i], kept[i])])[-1]
    # what rounding leaves of a zero eigenvalue is no convexity
    mu[mu <= n * np.finfo(np.float64).eps * beta] = 0.0
    if loss != "squared":
        mu[:] = 0.0
    return mu * scale + strength, np.maximum(beta, 0.0) * scale + strength


def lipschitz(x: npt.ArrayLike, y: npt.ArrayLike, weights: npt.ArrayLike, *, loss: Loss) -> float:
    """Return the largest norm of one sample's loss gradient at given weights, without any regulariser.

    A maximum over the points visited is a lower bound of L on the region: `OneRun.lipschitz` has it for a whole run.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    y : array_like, shape (n,)
        Labels or targets, as the loss reads them.
    weights : array_like, shape (d,) or (C, d)
        Where the gradients are taken; (C, d) for softmax.
    loss : {"squared", "logistic", "softmax"}
        Loss of one sample; "squared" is half the square.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    UserError
        For bad rows or labels, an unknown loss, or weights of another shape.

    Examples
    --------
    >>> lipschitz([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0], [0.0, 0.0], loss="squared")
    2.0
    """
    rows, labels = labelled(x, y, loss)
    w = np.atleast_2d(numbers(weights, "lipschitz: weights"))
    if w.shape != (labels.shape[1], rows.shape[1]):
        raise UserError(f"lipschitz: weights have shape {w.shape}: must be finite, {labels.shape[1], rows.shape[1]}")
    with np.errstate(over="ignore", invalid="ignore"):
        scores = rows @ w.T
    if not np.abs(scores).max() <= LARGEST:
        raise UserError("lipschitz: weights are so large that the scores leave the range of numbers")
    pull = residuals(scores, labels, loss)
    return float((np.linalg.norm(pull, axis=1) * np.linalg.norm(rows, axis=1)).max())


def _least(product: Floats, rows: Floats) -> float:
    n, d = rows.shape
    if n < d:
        return 0.0
    values = np.linalg.eigvalsh(product)
    return 0.0 if values[0] <= n * np.finfo(np.float64).eps * values[-1] else float(values[0])


def _curvature(loss: Loss) -> float:
    if not isinstance(loss, str) or loss not in CURVATURE:
        raise UserError(f"loss = {shown(loss)}: must be one of {', '.join(CURVATURE)}")
    return CURVATURE[loss]
