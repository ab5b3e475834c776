"""One gradient descent run on all samples, and how far each leave-one-out run can be from it.

Let w_t be the run on R = mean loss + l2 ||w||^2 / 2 and w_t^i the run without sample i from the same start, on R^i.
One step of R^i's map changes the distance of two points by a factor of at most
q_i = max(|1 - rate mu_i|, |1 - rate beta_i|), mu_i and beta_i the extreme eigenvalues of R^i's Hessian, so that

    ||w_t - w_t^i|| <= D_t,   D_{t+1} = q_i D_t + rate ||grad R(w_t) - grad R^i(w_t)||,   D_0 = 0.

Nothing is retrained: every number comes from the one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, shown
from stabilitybench.labels import classes, signs, targets
from stabilitybench.theory.checks import choice
from stabilitybench.theory.inputs import Floats, Ints, Loss, squarable

HeadLoss = Literal["logistic", "softmax"]
#: Largest second derivative of the loss in its scores.
CURVATURE: dict[Loss, float] = {"logistic": 0.25, "softmax": 0.5, "squared": 1.0}


@dataclass(frozen=True, eq=False)
class OneRun:
    """What one run says about all n leave-one-out runs.

    Attributes
    ----------
    steps : ndarray of int, shape (k,)
        Numbers of steps.
    weights : ndarray, shape (k, K, d)
        Iterates; K = 1 but for softmax.
    norms : ndarray, shape (k,)
        Norms of the iterates.
    distances : ndarray, shape (k, n)
        Bounds of ||w_t - w_t^i||.
    lipschitz : float
        The largest norm of a sample's loss gradient met.
    """

    steps: Ints
    weights: Floats
    norms: Floats
    distances: Floats
    lipschitz: float


def labelled(x: npt.ArrayLike, y: npt.ArrayLike, loss: Loss) -> tuple[Floats, Floats]:
    """Return rows and labels as the loss reads them.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    y : array_like, shape (n,)
        Labels or targets.
    loss : {"logistic", "softmax", "squared"}
        Loss of one sample.

    Returns
    -------
    rows : ndarray, shape (n, d)
        Finite float64.
    labels : ndarray, shape (n, K)
        Signs (K = 1), one-hot classes (K = C), or targets (K = 1).

    Raises
    ------
    UserError
        For bad rows or labels, and an unknown loss.
    """
    rows = squarable(x)
    choice("one run", "loss", loss, tuple(CURVATURE))
    if loss == "softmax":
        places = classes(y, len(rows))
        return rows, np.eye(int(places.max()) + 1)[places]
    if loss == "logistic":
        return rows, signs(y, len(rows))[:, None]
    return rows, targets(y, len(rows))[:, None]


def head_rows(x: npt.ArrayLike, y: npt.ArrayLike, loss: HeadLoss) -> tuple[Floats, Floats]:
    """Return `labelled` rows of a classification loss.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows of features.
    y : array_like, shape (n,)
        Labels.
    loss : {"logistic", "softmax"}
        Loss of one sample.

    Returns
    -------
    rows, labels : ndarray, shape (n, d) and (n, K)
        As from `labelled`.

    Raises
    ------
    UserError
        For the squared loss, and as `labelled`.
    """
    if not isinstance(loss, str) or loss not in ("logistic", "softmax"):
        raise UserError(f"loss = {shown(loss)}: must be logistic or softmax")
    return labelled(x, y, loss)


def residuals(scores: Floats, labels: Floats, loss: Loss) -> Floats:
    """Return the derivative of each sample's loss in its scores; the weight gradient is residual (x) row.

    Parameters
    ----------
    scores : ndarray, shape (n, K)
        Scores <w_k, x_i>.
    labels : ndarray, shape (n, K)
        From `labelled`.
    loss : {"logistic", "softmax", "squared"}
        Loss of one sample.

    Returns
    -------
    ndarray, shape (n, K)
        Residuals.
    """
    from scipy import special

    if loss == "logistic":
        return np.asarray(-labels * special.expit(-labels * scores))
    if loss == "softmax":
        return np.asarray(special.softmax(scores, axis=1) - labels)
    return scores - labels


def follow(
    x: Floats,
    labels: Floats,
    loss: Loss,
    *,
    rate: float,
    checkpoints: Sequence[int],
    weight: str,
    factors: Floats | float,
    start: Floats,
    l2: float = 0.0,
    batches: Sequence[npt.ArrayLike] | None = None,
    trajectory: Floats | None = None,
) -> OneRun:
    """Run gradient descent (or read the recorded `trajectory` of it) and bound every leave-one-out distance.

    Parameters
    ----------
    x, labels : ndarray, shape (n, d) and (n, K)
        From `labelled`.
    loss : {"logistic", "softmax", "squared"}
        Loss of one sample.
    rate : float
        Learning rate, above 0.
    checkpoints : sequence of int
        Increasing numbers of steps.
    weight : {"1/n", "1/(n-1)"}
        "1/n" leaves the other samples' weights alone, "1/(n-1)" shares them out anew.
    factors : ndarray, shape (n,), or float
        q_i.
    start : ndarray, shape (K, d)
        w_0.
    l2 : float, default 0
        Regularisation.
    batches : sequence of array_like of int, optional
        Row numbers of each step's mini-batch (weight "1/n": the left-out sample is skipped and the divisor kept).
    trajectory : ndarray, shape (steps + 1, K, d), optional
        Every iterate; each step of it is checked to be the step of this descent.

    Returns
    -------
    OneRun
        The iterates and the bounds at `checkpoints`.

    Raises
    ------
    UserError
        Where the trajectory is not that of this descent.
    """
    n = len(x)
    length = np.linalg.norm(x, axis=1)
    distance = np.zeros(n)
    largest = 0.0
    weights, distances = [], []
    wanted = iter(checkpoints)
    due = next(wanted)
    for t, w in enumerate(_iterates(start, trajectory, checkpoints[-1])):
        while t == due:
            weights.append(w.copy())
            distances.append(distance.copy())
            due = next(wanted, -1)
        if due < 0:
            break
        chosen = slice(None) if batches is None else np.asarray(batches[t])
        rows, marks = x[chosen], labels[chosen]
        pull = residuals(rows @ w.T, marks, loss)
        mean = pull.T @ rows / len(rows)
        own = np.linalg.norm(pull, axis=1) * length[chosen]
        largest = max(largest, float(own.max()))
        if weight == "1/n":
            push = own / len(rows)
        else:
            # grad R - grad R^i = (g_i - mean) / (n - 1), where the regulariser cancels; not by squares, whose
            # difference would lose the digits of samples that agree with the mean
            each = pull[:, :, None] * rows[:, None, :] - mean
            push = np.linalg.norm(each.reshape(n, -1), axis=1) / (n - 1)
        distance *= factors
        distance[chosen] += rate * push
        following = w - rate * (mean + l2 * w)
        if trajectory is None:
            w[:] = following
        else:
            _check_step(trajectory, t, following)
    kept = np.array(weights)
    norms = np.linalg.norm(kept.reshape(len(kept), -1), axis=1)
    return OneRun(np.array(checkpoints, dtype=np.intp), kept, norms, np.array(distances), largest)


def _iterates(start: Floats, trajectory: Floats | None, last: int) -> Iterator[Floats]:
    """Yield w_0 .. w_last: one array that the caller moves on, or the rows of the recorded trajectory."""
    if trajectory is not None:
        yield from trajectory[: last + 1]
        return
    w = start.copy()
    for _ in range(last + 1):
        yield w


def _check_step(trajectory: Floats, t: int, following: Floats) -> None:
    gap = float(np.linalg.norm(trajectory[t + 1] - following))
    scale = float(np.linalg.norm(following)) + float(np.linalg.norm(following - trajectory[t]))
    if gap > 1e-9 * scale + 1e-12:
        raise UserError(
            f"trajectory: step {t + 1} is not full-batch gradient descent at this rate on this loss (off by {gap:.3g})"
        )
