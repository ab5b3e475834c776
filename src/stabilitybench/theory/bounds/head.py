"""B3: how far a linear head turns without one sample, after any number of steps.

Gradient descent on the mean logistic or softmax loss from w_0, without a free bias.  By non-expansiveness of a step
at a rate of at most 2 / beta, ||w_t - w_t^i|| <= d_i, the summed rate times gradient difference along one run.
With a zero start w_t = sum_j a_j z_j, d_i <= a_i ||z_i|| and ||w_t|| >= gamma sum_j a_j, hence the closed form.
Not valid for Adam, nor while the encoder moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.theory.bounds.max_margin_bound import radius_and_margin
from stabilitybench.theory.bounds.result import (
    PROVEN,
    Assumption,
    Bound,
    Floats,
    Weight,
    check_weight,
    direction,
    one,
)
from stabilitybench.theory.bounds.runs import check_batches, check_rate, check_start, check_steps, check_trajectory
from stabilitybench.theory.checks import choice, number, whole
from stabilitybench.theory.constants.numeric import leave_one_out_curvature
from stabilitybench.theory.one_run import CURVATURE, HeadLoss, OneRun, follow, head_rows

TURN = "distance of the directions of w_t and w_t^i"


def head_tuning_one_run(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    rate: float,
    steps: int | Sequence[int],
    loss: HeadLoss = "logistic",
    weight: Weight = "1/n",
    start: npt.ArrayLike | None = None,
    batches: Sequence[npt.ArrayLike] | None = None,
    trajectory: npt.ArrayLike | None = None,
) -> Bound:
    r"""B3 from one run: how far a linear head turns when sample i is left out, for every i and step asked for.

    .. math:: \|w_t - w_t^i\| \le d_i = \eta \sum_{s<t} \|\nabla R(w_s) - \nabla R^i(w_s)\|

    and the angle of the two has a sine of at most d_i / ||w_t|| where that is below 1 (else the bound is 2).
    Cost: that of the one run.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features, separable or not.
    y : array_like, shape (n,)
        Labels.
    rate : float
        Learning rate eta, at most 2 / beta of every leave-one-out problem.
    steps : int or sequence of int
        Numbers of steps t, at least 1; the result has them in increasing order.
    loss : {"logistic", "softmax"}, default "logistic"
        Loss of one sample.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.
    start : array_like, shape (d,) or (C, d), optional
        w_0; zero unless given, or the first recorded iterate.
    batches : sequence of array_like of int, optional
        Row numbers of each step, for mini-batch descent: same order in both runs, sample i skipped, divisor kept.
        Needs weight "1/n" and a rate of at most 8 / B^2 (softmax 4 / B^2).
    trajectory : array_like, shape (T + 1, d) or (T + 1, C, d), optional
        Every iterate w_0 .. w_T of a full-batch run that was recorded; it is checked step by step.

    Returns
    -------
    Bound
        Direction distances for every i, 2 at most.

    Raises
    ------
    UserError
        Where the rate is too large for the proof, or the trajectory is not that of this descent.

    Examples
    --------
    >>> bound = head_tuning_one_run([[1.0, 0.2], [0.8, -0.3], [-1.0, 0.1]], [1, 1, 0], rate=4.0, steps=[10, 100])
    >>> bound.values.shape, bound.per_sample.shape, bool((bound.values < 1).all())
    ((2,), (2, 3), True)
    """
    owner = "B3"
    rows, labels = head_rows(x, y, loss)
    check_weight(owner, weight)
    eta = number(owner, "rate", rate, above=0)
    checkpoints = check_steps(owner, steps)
    shape = (labels.shape[1], rows.shape[1])
    first = check_start(owner, start, shape)
    recorded = check_trajectory(owner, trajectory, shape, checkpoints[-1])
    if recorded is not None and start is None:
        first = recorded[0]
    if batches is None:
        limit = _full_batch_limit(rows, loss, weight, eta)
        how = "rate at most 2 / beta of every leave-one-out problem"
    else:
        if weight != "1/n" or trajectory is not None:
            raise UserError('B3: batches: need weight = "1/n" and no recorded trajectory')
        check_batches(owner, batches, len(rows), checkpoints[-1])
        limit = 2 / (CURVATURE[loss] * float((rows**2).sum(axis=1).max()))
        how = "rate at most 2 / beta of every mini-batch"
    check_rate(owner, eta, limit)
    run = follow(
        rows,
        labels,
        loss,
        rate=eta,
        checkpoints=checkpoints,
        weight=weight,
        factors=1.0,
        start=first,
        batches=batches,
        trajectory=recorded,
    )
    return _head_bound(run, how)


def head_tuning(
    *,
    n: int,
    radius: float,
    margin: float,
    rate: float,
    weight: Weight = "1/n",
    loss: HeadLoss = "logistic",
    smoothness: float | None = None,
    start_norm: float = 0.0,
    norm: float | None = None,
) -> Bound:
    r"""B3, closed form: how far a linear head turns on average when one sample is left out, at every step t >= 1.

    .. math:: \frac{1}{n} \sum_i \Big\| \frac{w_t}{\|w_t\|} - \frac{w_t^i}{\|w_t^i\|} \Big\|
              \le \frac{2 B}{n \gamma} \Big(1 + \frac{\|w_0\|}{\|w_t\|}\Big)

    The constant 2 is for logistic loss and weight "1/n"; weight "1/(n-1)" doubles it, softmax multiplies it by
    sqrt(2) (gamma is then the margin of the class pairs).

    Parameters
    ----------
    n : int
        Samples, at least 2.
    radius : float
        B, largest feature norm.
    margin : float
        gamma, largest margin of a head without free bias.
    rate : float
        Learning rate eta, at most 2 / beta.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.
    loss : {"logistic", "softmax"}, default "logistic"
        Loss of one sample.
    smoothness : float, optional
        beta of the mean loss on all samples, against which the rate is checked.  Without it a rate up to 8 / B^2
        (softmax 4 / B^2) is known to be small enough, for mini-batches too, one above 8 / gamma^2 too large, and
        between the two the result says that it was not checked.
    start_norm : float, default 0
        ||w_0||.
    norm : float, optional
        ||w_t||, needed where `start_norm` is not 0.

    Returns
    -------
    Bound
        On average over i; dimensionless, and it says something below 2.

    Raises
    ------
    UserError
        For a rate that is too large, and for a margin that the radius does not allow.

    Examples
    --------
    >>> bound = head_tuning(n=60, radius=1.0, margin=0.2, rate=4.0)
    >>> round(bound.value, 4), bound.scope
    (0.1667, 'average over i')
    """
    owner = "B3"
    choice(owner, "loss", loss, get_args(HeadLoss))
    check_weight(owner, weight)
    n = whole(owner, "n", n, least=2)
    b, gamma = radius_and_margin(owner, radius, margin, loss)
    eta = number(owner, "rate", rate, above=0)
    how: Assumption
    if smoothness is None:
        # with margin gamma, X'X / n has an eigenvalue of at least gamma^2 (class pairs: gamma^2 / 2), at most B^2
        certain, possible = 2 / (CURVATURE[loss] * b * b), 8 / max(gamma**2, 1e-300)
        check_rate(owner, eta, possible)
        how = Assumption("rate at most 2 / beta of every leave-one-out problem", True if eta <= certain else None)
    else:
        # without sample i the others weigh n / (n - 1) times as much
        heavier = 1.0 if weight == "1/n" else n / (n - 1)
        check_rate(owner, eta, 2 / (number(owner, "smoothness", smoothness, above=0) * heavier))
        how = Assumption("rate at most 2 / beta of every leave-one-out problem", True)
    before = number(owner, "start_norm", start_norm, least=0)
    if before > 0 and norm is None:
        raise UserError(f"B3: start_norm = {before:g}: norm, the norm of w_t, is then needed too")
    growth = 1.0 if before == 0 else 1 + before / number(owner, "norm", norm, above=0)
    constant = 2.0 * (1.0 if weight == "1/n" else 2.0) * (1.0 if loss == "logistic" else math.sqrt(2.0))
    return Bound(
        "B3, closed form",
        f"average over i of the {TURN}, for every t >= 1",
        one(constant * b / (n * gamma) * growth),
        "average over i",
        (
            how,
            Assumption("B is the largest feature norm, gamma the maximal margin of a head without free bias", None),
            Assumption(
                f"gradient descent on the mean {loss} loss of frozen features, no bias, weight {weight}, "
                + ("zero start" if before == 0 else "the start and norm given"),
                None,
            ),
        ),
        PROVEN,
        trivial=2.0,
    )


def _full_batch_limit(rows: Floats, loss: HeadLoss, weight: Weight, rate: float) -> float:
    """Return 2 / max_i beta_i, or a smaller number that is cheaper to find and still at least `rate`."""
    # removing a row shrinks X'X, so that the full matrix bounds them all
    top = float(np.linalg.norm(rows, 2)) ** 2 * CURVATURE[loss]
    cheap = math.inf if top == 0 else 2 * (len(rows) - (weight == "1/(n-1)")) / top
    if rate <= cheap:
        return cheap
    return 2 / float(leave_one_out_curvature(rows, loss=loss, weight=weight)[1].max())


def _head_bound(run: OneRun, how: str) -> Bound:
    each = direction(run.distances, np.broadcast_to(run.norms[:, None], run.distances.shape))
    return Bound(
        "B3, one run",
        TURN,
        each.mean(axis=1),
        "every i",
        (Assumption(how, True), Assumption("gradient descent on frozen features without a free bias", True)),
        PROVEN,
        steps=tuple(int(t) for t in run.steps),
        per_sample=each,
        trivial=2.0,
    )
