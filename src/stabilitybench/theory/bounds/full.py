"""A2 and the shared-minimiser bound: how far leaving one sample out moves the weights of a convex problem.

R is the mean loss plus l2 ||w||^2 / 2, R^i the same without sample i (weight "1/(n-1)": the mean of the others;
"1/n": their sum over n; the regulariser stays whole in both), mu_i and beta_i the least and largest eigenvalue of
R^i's Hessian.  Both runs start at the same point, so that the distance to the minimiser only acts as a transient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import MOST
from stabilitybench.errors import UserError
from stabilitybench.labels import numbers
from stabilitybench.theory.bounds.result import (
    PROVEN,
    Assumption,
    Bound,
    Weight,
    check_weight,
    one,
)
from stabilitybench.theory.bounds.runs import check_rate, check_start, check_steps, check_trajectory
from stabilitybench.theory.checks import number, whole
from stabilitybench.theory.constants.numeric import leave_one_out_curvature
from stabilitybench.theory.inputs import Loss
from stabilitybench.theory.one_run import follow, labelled

MOVE = "||w_t - w_t^i||"


def full_tuning_one_run(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    loss: Loss,
    rate: float,
    steps: int | Sequence[int],
    l2: float = 0.0,
    weight: Weight = "1/n",
    start: npt.ArrayLike | None = None,
    trajectory: npt.ArrayLike | None = None,
) -> Bound:
    r"""A2 from one run: how far leaving sample i out moves the weights, for every i and step asked for.

    .. math:: \|w_T - w_T^i\| \le \eta \sum_{t<T} q_i^{T-1-t} \|\nabla R(w_t) - \nabla R^i(w_t)\|,
              \quad q_i = \max(|1 - \eta \mu_i|, |1 - \eta \beta_i|)

    In the unit of the weights.  mu_i and beta_i are exact for squared loss; otherwise l2 and an upper bound.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features, n >= 2.
    y : array_like, shape (n,)
        Labels or targets, as the loss reads them.
    loss : {"squared", "logistic", "softmax"}
        Loss of one sample; "squared" is half the square.
    rate : float
        Learning rate eta, at most 2 / beta_i for every i.
    steps : int or sequence of int
        Numbers of steps T, at least 1; the result has them in increasing order.
    l2 : float, default 0
        Adds l2 ||w||^2 / 2 to both problems, at least 0.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.
    start : array_like, shape (d,) or (C, d), optional
        w_0; zero unless given, or the first recorded iterate.
    trajectory : array_like, shape (T + 1, d) or (T + 1, C, d), optional
        Every iterate of a recorded run, checked step by step.

    Returns
    -------
    Bound
        For every i: `per_sample` holds them, `values` their mean over i.

    Raises
    ------
    UserError
        Where the rate is above 2 / beta_i, or the trajectory is not that of this descent.

    Examples
    --------
    >>> bound = full_tuning_one_run([[1.0], [2.0], [1.5]], [1.0, 2.1, 1.4], loss="squared", rate=0.3, steps=[5, 50])
    >>> bound.values.shape, bound.per_sample.shape
    ((2,), (2, 3))
    """
    owner = "A2"
    rows, labels = labelled(x, y, loss)
    check_weight(owner, weight)
    eta = number(owner, "rate", rate, above=0)
    strength = number(owner, "l2", l2, least=0)
    checkpoints = check_steps(owner, steps)
    shape = (labels.shape[1], rows.shape[1])
    first = check_start(owner, start, shape)
    recorded = check_trajectory(owner, trajectory, shape, checkpoints[-1])
    if recorded is not None and start is None:
        first = recorded[0]
    mu, beta = leave_one_out_curvature(rows, loss=loss, l2=strength, weight=weight)
    check_rate(owner, eta, 2 / float(beta.max()) if beta.max() > 0 else math.inf)
    factors = np.maximum(np.abs(1 - eta * mu), np.abs(1 - eta * beta))
    run = follow(
        rows,
        labels,
        loss,
        rate=eta,
        checkpoints=checkpoints,
        weight=weight,
        # at rate 2 / beta the factor is 1, and rounding must not make it more
        factors=np.minimum(factors, 1.0),
        start=first,
        l2=strength,
        trajectory=recorded,
    )
    return Bound(
        "A2, one run",
        MOVE,
        run.distances.mean(axis=1),
        "every i",
        (
            Assumption("rate at most 2 / beta_i for every leave-one-out problem", True),
            Assumption("full-batch gradient descent from a common start", True),
        ),
        PROVEN,
        steps=checkpoints,
        per_sample=run.distances,
    )


def recorded_run(pushes: npt.ArrayLike, *, rate: float, convexity: npt.ArrayLike, smoothness: npt.ArrayLike) -> Bound:
    """A2 for any loss, from recorded gradient differences along one run.

    The formula is that of `full_tuning_one_run`.

    Parameters
    ----------
    pushes : array_like, shape (T, n)
        ||grad R(w_t) - grad R^i(w_t)|| for t = 0 .. T - 1.
    rate : float
        Learning rate eta, at most 2 / beta_i for every i.
    convexity, smoothness : array_like, shape (n,) or float
        mu_i and beta_i, valid on the segments between the two runs; 0 <= mu_i <= beta_i.

    Returns
    -------
    Bound
        At step T, for every i.

    Raises
    ------
    UserError
        For arguments out of their range, or of shapes that do not fit.

    Examples
    --------
    >>> round(recorded_run([[1.0, 2.0], [0.5, 1.0]], rate=0.5, convexity=1.0, smoothness=1.0).value, 3)
    0.75
    """
    owner = "A2"
    recorded = numbers(pushes, "A2: pushes")
    if recorded.ndim != 2 or recorded.size == 0 or not np.all(np.isfinite(recorded)) or np.any(recorded < 0):
        raise UserError("A2: pushes must be finite norms of shape [steps, samples], at least 0")
    eta = number(owner, "rate", rate, above=0)
    mu, beta = numbers(convexity, "A2: convexity"), numbers(smoothness, "A2: smoothness")
    for name, values in (("convexity", mu), ("smoothness", beta)):
        if values.shape not in ((), (recorded.shape[1],)) or not np.all(np.isfinite(values)):
            raise UserError(f"A2: {name} has shape {values.shape}: must be one number, or one for each sample")
    if np.any(mu < 0):
        raise UserError(f"A2: convexity = {mu.min():g}: must be at least 0; the bound needs a convex loss")
    if np.any(beta <= 0) or np.any(mu > beta):
        raise UserError(f"A2: smoothness = {beta.min():g}: must be above 0 and at least the convexity")
    check_rate(owner, eta, 2 / float(beta.max()))
    factors = np.minimum(np.maximum(np.abs(1 - eta * mu), np.abs(1 - eta * beta)), 1.0)
    distance = np.zeros(recorded.shape[1])
    for push in recorded:
        distance = factors * distance + eta * push
    return Bound(
        "A2, recorded run",
        MOVE,
        one(float(distance.mean())),
        "every i",
        (
            Assumption("rate at most 2 / beta_i for every leave-one-out problem", True),
            Assumption("the losses are convex with curvature in [mu_i, beta_i] between the two runs", None),
            Assumption("the gradient differences are those of full-batch gradient descent at this rate", None),
        ),
        PROVEN,
        steps=(len(recorded),),
        per_sample=distance[None, :],
    )


def full_tuning(
    *,
    n: int,
    steps: int,
    rate: float,
    lipschitz: float,
    convexity: float,
    smoothness: float,
    weight: Weight = "1/n",
) -> Bound:
    r"""A2, closed form: how far leaving one sample out moves the weights after T steps.

    .. math:: \|w_T - w_T^i\| \le \frac{2 L}{n \mu} \left(1 - (1 - \eta \mu)^T\right)
              \le \min\left(\frac{2 L \eta T}{n}, \frac{2 L}{n \mu}\right)

    for weight "1/(n-1)"; half of it for weight "1/n".  No interpolation is needed.

    Parameters
    ----------
    n : int
        Samples, at least 2.
    steps : int
        T, at least 1.
    rate : float
        Learning rate eta, at most 2 / (mu + beta).
    lipschitz : float
        L, largest norm of a sample's loss gradient along the run, without the regulariser, which cancels.
    convexity : float
        mu, at most every mu_i, at least 0 (then the first limit is the bound).
    smoothness : float
        beta, at least every beta_i.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.

    Returns
    -------
    Bound
        In the unit of the weights, for every i.

    Raises
    ------
    UserError
        For a larger rate, or mu < 0.

    Examples
    --------
    >>> round(full_tuning(n=50, steps=10**6, rate=1.0, lipschitz=1.0, convexity=0.1, smoothness=1.0).value, 3)
    0.2
    """
    owner = "A2"
    check_weight(owner, weight)
    n = whole(owner, "n", n, least=2)
    t = whole(owner, "steps", steps, least=1)
    eta = number(owner, "rate", rate, above=0)
    length = number(owner, "lipschitz", lipschitz, least=0)
    mu = number(owner, "convexity", convexity)
    beta = number(owner, "smoothness", smoothness, above=0)
    if mu < 0:
        raise UserError(f"A2: convexity = {mu:g}: must be at least 0; the bound needs a convex loss")
    if mu > beta:
        raise UserError(f"A2: convexity = {mu:g}: must be at most smoothness = {beta:g}")
    check_rate(owner, eta, 2 / (mu + beta), "2 / (mu + beta)")
    # the sum of the geometric series, without cancellation for small rate * mu
    series = eta * t if eta * mu * t < 1e-15 else -math.expm1(t * _log_factor(eta * mu)) / mu
    return Bound(
        "A2, closed form",
        MOVE,
        one((2.0 if weight == "1/(n-1)" else 1.0) * length / n * series),
        "every i",
        (
            Assumption("rate at most 2 / (mu + beta)", True),
            Assumption("mu and beta bound the curvature of every leave-one-out problem", None),
            Assumption("L bounds every sample's loss gradient along the run on all samples", None),
        ),
        PROVEN,
        steps=(t,),
    )


def common_minimiser(
    *,
    n: int,
    convexity: float,
    smoothness: float,
    distance: float,
    steps: int | None = None,
    rate: float | None = None,
    weight: Weight = "1/n",
) -> Bound:
    r"""Bound for losses that share their minimiser, the setting of P1: the stability has the limit 0.

    .. math:: \|w_T - w_T^i\| \le \frac{D}{n} T (1 - \mu/\beta)^T \le \frac{\kappa D}{e n}

    at rate 1 / beta and weight "1/(n-1)"; kappa = beta / mu, the second form being the largest value over T.
    In general, for a rate eta <= 1 / beta, (eta (beta - mu) D / n) T (1 - eta mu)^(T-1), and with weight "1/n"
    (eta beta D / n) T (1 - eta mu')^(T-1), mu' = mu (n - 1) / n.

    Parameters
    ----------
    n : int
        Samples, at least 2.
    convexity, smoothness : float
        mu and beta of every sample, 0 < mu <= beta.
    distance : float
        D = ||w_0 - w_*||.
    steps : int, optional
        T, at least 1; without it, the largest value over all T.
    rate : float, optional
        Learning rate eta, at most 1 / beta, which it is unless given.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.

    Returns
    -------
    Bound
        In the unit of the weights, for every i.

    Raises
    ------
    UserError
        For mu <= 0 or a rate above 1 / beta.

    Examples
    --------
    >>> call = {"n": 30, "convexity": 0.1, "smoothness": 1.0, "distance": 1.0, "weight": "1/(n-1)"}
    >>> round(common_minimiser(steps=10, **call).value, 4), round(common_minimiser(**call).value, 4)
    (0.1162, 0.1162)
    """
    owner = "common minimiser"
    check_weight(owner, weight)
    n = whole(owner, "n", n, least=2)
    beta = number(owner, "smoothness", smoothness, above=0)
    mu = number(owner, "convexity", convexity)
    far = number(owner, "distance", distance, least=0)
    if mu <= 0:
        raise UserError(f"{owner}: convexity = {mu:g}: must be above 0; the bound is undefined without it")
    if mu > beta:
        raise UserError(f"{owner}: convexity = {mu:g}: must be at most smoothness = {beta:g}")
    eta = 1 / beta if rate is None else number(owner, "rate", rate, above=0)
    check_rate(owner, eta, 1 / beta, "1 / beta")
    if weight == "1/(n-1)":
        shrink, height = eta * mu, eta * (beta - mu)
    else:
        shrink, height = eta * mu * (n - 1) / n, eta * beta
    log = _log_factor(min(shrink, 1.0))
    if steps is None:
        if log > -1 / MOST:
            raise UserError(f"{owner}: rate = {eta:g}: too small: the largest value lies beyond any run; give steps")
        # T q^(T-1) is largest at one of the whole numbers beside -1 / ln q
        peak = max(1, math.floor(-1 / log)) if log > -math.inf else 1
        best = max((t for t in (peak, peak + 1)), key=lambda t: _transient(t, log))
    else:
        best = whole(owner, "steps", steps, least=1)
    return Bound(
        "common minimiser",
        MOVE if steps is not None else f"{MOVE} at every t",
        one(height * far / n * _transient(best, log)),
        "every i",
        (
            Assumption("rate at most 1 / beta", True),
            Assumption("every sample's loss has the same minimiser and curvature in [mu, beta]", None),
            Assumption("full-batch gradient descent from a common start", None),
        ),
        PROVEN,
        steps=() if steps is None else (best,),
    )


def _transient(t: int, log: float) -> float:
    """Return t q^(t-1), q given by its logarithm (minus infinity for q = 0)."""
    return t * (1.0 if t == 1 else math.exp((t - 1) * log))


def _log_factor(shrink: float) -> float:
    """Return ln |1 - shrink|, minus infinity at 1; shrink lies in (0, 1] or is at most 2 mu / (mu + beta) <= 1."""
    return -math.inf if shrink >= 1 else math.log1p(-shrink)
