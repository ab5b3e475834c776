"""B1 and B2: how far a head is from the max-margin direction, and how far that turns without one sample.

Separable rows z_j = y_j x_j (with C classes: z_jc = (e_y - e_c) (x) x_j), max-margin unit vector u through the
origin, w = u / gamma = sum_j alpha_j z_j with sum_j alpha_j = 1 / gamma^2.  There is no free bias: the dual of a
head with an unpenalised bias has one more condition, and these proofs fail there.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import of_kind
from stabilitybench.errors import UserError
from stabilitybench.labels import numbers
from stabilitybench.theory.bounds.result import (
    PROVEN,
    ROUNDING,
    Assumption,
    Bound,
    Floats,
    chord,
    one,
)
from stabilitybench.theory.checks import choice, number, whole
from stabilitybench.theory.inputs import squarable
from stabilitybench.theory.margin import MaxMargin
from stabilitybench.theory.one_run import HeadLoss, head_rows, residuals

#: Distances of two max-margin directions, one of a subset of the other's rows: never more than a right angle.
RIGHT_ANGLE = float(np.sqrt(2.0))


def max_margin_direction(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    loss: HeadLoss = "logistic",
    margin: float | None = None,
) -> Bound:
    r"""B1: distance of a head's direction from the max-margin direction, without solving for the latter.

    .. math:: \|v - u\| \le \sqrt{2 (1 - \gamma_v / \gamma)}

    because <u, v> >= gamma_v / gamma, gamma_v being the least margin of the unit vector v.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    y : array_like, shape (n,)
        Labels.
    weights : array_like, shape (d,) or (C, d)
        The head, (C, d) for "softmax"; of any norm.
    loss : {"logistic", "softmax"}, default "logistic"
        "logistic" for two classes, "softmax" for C; any head is certified, however it was trained.
    margin : float, optional
        gamma if it is known (for "softmax" that of the class pairs); otherwise it is replaced by the upper bound
        ||sum_j q_j z_j||, q the loss derivatives at `weights` divided by their sum (duality gap).

    Returns
    -------
    Bound
        Dimensionless, below sqrt(2) where it says something.

    Raises
    ------
    UserError
        Where the head does not separate the rows: v has then no positive margin to certify.

    Examples
    --------
    >>> bound = max_margin_direction([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0], [1.0, 0.8])
    >>> bool(np.linalg.norm(np.array([1.0, 0.8]) / 1.64**0.5 - 0.5**0.5) <= bound.value <= 1.5)
    True
    """
    owner = "B1"
    rows, labels = head_rows(x, y, loss)
    w = np.atleast_2d(numbers(weights, "B1: weights"))
    if w.shape != (labels.shape[1], rows.shape[1]) or not np.all(np.isfinite(w)):
        raise UserError(
            f"B1: weights have shape {w.shape}: must be finite and of shape {labels.shape[1], rows.shape[1]}"
        )
    scores = rows @ w.T
    norm = float(np.linalg.norm(w))
    if loss == "logistic":
        gaps = scores[:, 0] * labels[:, 0]
    else:
        true = labels.argmax(axis=1)
        others = np.where(labels > 0, -np.inf, scores)
        gaps = scores[np.arange(len(rows)), true] - others.max(axis=1)
    least = float(gaps.min())
    if not least > 0:
        raise UserError(f"B1: the head separates the rows by {least:.3g}: must be above 0 to certify its direction")
    own = least / norm
    if margin is None:
        pull = residuals(scores, labels, loss)
        # the share of each row in the sum of its loss derivatives: 1 - p_y, half the 1-norm for softmax
        total = float(np.abs(pull).sum()) / (1 if loss == "logistic" else 2)
        if total == 0:
            raise UserError(
                "B1: every loss derivative underflows at these weights: give the margin, or scale them down"
            )
        largest = float(np.linalg.norm(pull.T @ rows)) / total
        how = Assumption("gamma is replaced by a computed upper bound (duality gap)", True)
    else:
        largest = number(owner, "margin", margin, above=0)
        if own > largest * (1 + 1e-9):
            raise UserError(f"B1: margin = {largest:g}: below the head's own margin {own:g}: not the maximal one")
        how = Assumption("gamma is the maximal margin of these rows", None)
    value = np.sqrt(2 * max(0.0, 1 - own / largest) + ROUNDING)
    return Bound(
        "B1, direction certificate",
        "distance of the head's direction from the max-margin direction",
        one(float(value)),
        "every i",
        (Assumption("the head separates the rows without a bias", True), how),
        PROVEN,
        trivial=RIGHT_ANGLE,
    )


def max_margin_refit(*, margin: float, margins: npt.ArrayLike) -> Bound:
    r"""B2 after refitting: how far the max-margin direction turns, from the margins without each sample.

    .. math:: \|u - u^i\| \le \sqrt{2 (1 - \gamma / \gamma_i)}

    since w is feasible without i and w^i is the projection of 0 there.

    Parameters
    ----------
    margin : float
        gamma of all samples.
    margins : array_like, shape (n,)
        gamma_i without sample i, each at least gamma.

    Returns
    -------
    Bound
        Dimensionless, for every i.

    Raises
    ------
    UserError
        For a gamma_i below gamma.

    Examples
    --------
    >>> max_margin_refit(margin=1.0, margins=[1.0, 2.0]).per_sample.round(4).tolist()
    [[0.0, 1.0]]
    """
    owner = "B2"
    gamma = number(owner, "margin", margin, above=0)
    without = numbers(margins, "B2: margins")
    if without.ndim != 1 or len(without) < 2 or not np.all(np.isfinite(without)):
        raise UserError("B2: margins must be a list of at least 2 finite numbers, one for each left-out sample")
    if np.any(without < gamma * (1 - 1e-9)):
        raise UserError(f"B2: a margin without one sample is {without.min():g}: must be at least margin = {gamma:g}")
    gap = np.maximum(0.0, 1 - gamma / without)
    each = np.where(without == gamma, 0.0, np.sqrt(2 * gap + ROUNDING))
    return _turned(
        "B2, after refitting",
        each,
        (
            Assumption("gamma and gamma_i are the maximal margins of a head without free bias", None),
            Assumption("gamma_i >= gamma for every i", True),
        ),
    )


def max_margin_one_fit(x: npt.ArrayLike, solution: MaxMargin) -> Bound:
    r"""B2 from one fit: how far the max-margin direction turns, from the multipliers of all samples.

    .. math:: \|w - w^i\| \le \alpha_i \|x_i\|, \quad \|u - u^i\| \le \sqrt{2 (1 - \sqrt{1 - a_i^2})},
              \quad a_i = \min(1, \gamma \alpha_i \|x_i\|)

    With C classes alpha_i ||x_i|| becomes ||sum_c alpha_ic z_ic||.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    solution : MaxMargin
        ``max_margin(x, y)`` of the same rows.

    Returns
    -------
    Bound
        Dimensionless, for every i; 0 where the sample is no support vector.

    Raises
    ------
    UserError
        Where x does not belong to the solution.

    Examples
    --------
    >>> from stabilitybench.theory.margin import max_margin
    >>> rows = [[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]]
    >>> max_margin_one_fit(rows, max_margin(rows, [1, 1, 0])).per_sample.round(4).tolist()
    [[0.7654, 0.7654, 0.0]]
    """
    of_kind("solution", solution, "what max_margin returns", MaxMargin)
    rows = squarable(x)
    if len(rows) != len(solution.alpha) or rows.shape[1] != solution.direction.shape[-1]:
        raise UserError(f"B2: x has shape {rows.shape}: the solution is of other rows")
    alpha = solution.alpha
    # ||sum_c alpha_c (e_y - e_c)||^2 = (sum_c alpha_c)^2 + sum_c alpha_c^2
    moved = alpha if alpha.ndim == 1 else np.sqrt(alpha.sum(axis=1) ** 2 + (alpha**2).sum(axis=1))
    sine = solution.margin * moved * np.linalg.norm(rows, axis=1)
    assumed = (Assumption("the multipliers are those of the hard-margin solution without free bias", True),)
    return _turned("B2, one fit", chord(sine), assumed)


def max_margin(*, n: int, radius: float, margin: float, loss: HeadLoss = "logistic") -> Bound:
    r"""B2, closed form: how far the max-margin direction turns on average when one sample is left out.

    .. math:: \frac{1}{n} \sum_i \|u - u^i\| \le \sqrt{2} \frac{B}{n \gamma}

    (2 B / (n gamma) for C classes, "softmax", with gamma the margin of the class pairs).  On orthonormal rows the bound
    is within sqrt(2) of the truth.

    Parameters
    ----------
    n : int
        Samples, at least 2.
    radius : float
        B, largest feature norm.
    margin : float
        gamma, at most radius (class pairs: sqrt(2) radius).
    loss : {"logistic", "softmax"}, default "logistic"
        "softmax" for C classes.

    Returns
    -------
    Bound
        Dimensionless, on average over i.

    Raises
    ------
    UserError
        For a margin that the radius does not allow.

    Examples
    --------
    >>> round(max_margin(n=60, radius=1.0, margin=0.2).value, 4)
    0.1179
    """
    owner = "B2"
    choice(owner, "loss", loss, get_args(HeadLoss))
    n = whole(owner, "n", n, least=2)
    b, gamma = radius_and_margin(owner, radius, margin, loss)
    value = (RIGHT_ANGLE if loss == "logistic" else 2.0) * b / (n * gamma)
    return Bound(
        "B2, closed form",
        "average over i of the distance of the max-margin directions with and without i",
        one(value),
        "average over i",
        (Assumption("B is the largest feature norm, gamma the maximal margin of a head without free bias", None),),
        PROVEN,
        trivial=RIGHT_ANGLE,
    )


def radius_and_margin(owner: str, radius: float, margin: float, loss: HeadLoss) -> tuple[float, float]:
    """Return radius and margin as floats, if some data can have both.

    Parameters
    ----------
    owner : str
        Bound that an error names.
    radius : float
        B, above 0.
    margin : float
        gamma, above 0; at most B, and sqrt(2) B for class pairs.
    loss : {"logistic", "softmax"}
        "softmax" for the margin of class pairs.

    Returns
    -------
    radius, margin : float
        The two numbers.

    Raises
    ------
    UserError
        For a margin that no data of this radius can have.
    """
    b = number(owner, "radius", radius, above=0)
    gamma = number(owner, "margin", margin, above=0)
    limit = b if loss == "logistic" else RIGHT_ANGLE * b
    if gamma > limit * (1 + 1e-9):
        raise UserError(f"{owner}: margin = {gamma:g}: must be at most {limit:g}, what radius = {b:g} allows")
    return b, gamma


def _turned(name: str, each: Floats, assumptions: tuple[Assumption, ...]) -> Bound:
    return Bound(
        name,
        "distance of the max-margin directions with and without i",
        one(float(each.mean())),
        "every i",
        assumptions,
        PROVEN,
        per_sample=each[None, :],
        trivial=RIGHT_ANGLE,
    )
