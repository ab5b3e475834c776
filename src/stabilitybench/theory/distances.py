"""What is measured of a pair of heads: distance, direction distance, changed predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stabilitybench.equality import EqualByContent
from stabilitybench.theory.inputs import Floats

#: Distances below this share of the norm of the weights are not resolved to more digits.
SMALLEST_GAP = 1e-6
#: Weights below this share of those they are compared with are zero but for rounding.
ROUNDING = 1e-11
#: Scores count as equal below this share of |w| |x|.
TIE = {"float32": 1e-5, "float64": 1e-11}


@dataclass(frozen=True, eq=False)
class Measured(EqualByContent):
    """What a path returns for K data sets: steps T, starts S, rows n, classes C, features d.

    Attributes
    ----------
    weights : ndarray, shape (T, K, C, S, d)
        Of the runs on all rows.
    distance, direction : ndarray, shape (T, K, S, n)
        Of the weights, and of their directions.
    flips : ndarray, shape (T, K, S, n), or None
        Shares of the rows whose predicted class changed; None for the squared loss.
    audit_error : ndarray, shape (K,), or None
        See `audit_error`; None where nothing was audited.
    """

    weights: Floats
    distance: Floats
    direction: Floats
    flips: Floats | None
    audit_error: Floats | None = None


def distances(weights: Floats, moves: Floats) -> tuple[Floats, Floats]:
    """Return |v| and |u(w + v) - u(w)| for weights w and moves v, u(w) being the direction of w.

    The direction of zero weights is the zero vector, so that it lies at distance 1 from every other direction.  Weights
    are zero that are rounding error beside the other weights of their pair: gradients that cancel leave such.

    Parameters
    ----------
    weights : ndarray, shape (..., C, S, 1, d)
        w, for C classes and S starts.
    moves : ndarray, shape (..., C, S, R, d)
        v, R of them.

    Returns
    -------
    distance, direction : ndarray, shape (..., S, R)
        Over all classes together; direction at most 2.
    """
    distance = np.sqrt(_square(moves))
    other = weights + moves
    norm, other_norm = np.sqrt(_square(weights)), np.sqrt(_square(other))
    # a pair is its own yardstick: beside a run that diverges every other would count as zero
    zero = ROUNDING * np.maximum(norm, other_norm)
    mine = _directions(weights, np.broadcast_to(norm, zero.shape), zero)
    return distance, np.sqrt(_square(_directions(other, other_norm, zero) - mine))


def audit_error(error: Floats, gap: Floats, norm: Floats) -> Floats:
    """Return the largest error of audited runs, as a share of their average distance.

    Parameters
    ----------
    error : ndarray, shape (T, K, S, k)
        Distances of k runs to their doubles.
    gap : ndarray, shape (T, K, S, k)
        Distances of the doubles to the run on all rows.
    norm : ndarray, shape (T, K, S)
        Of the weights; a millionth of it stands in for an average distance below that.

    Returns
    -------
    ndarray, shape (K,)
        At least 0.
    """
    typical = np.maximum(gap.mean(axis=-1), SMALLEST_GAP * norm)[..., None]
    shares = np.divide(error, typical, out=np.zeros_like(error), where=typical > 0)
    return np.asarray(shares.max(axis=(0, 2, 3)))


def changed(scores: npt.NDArray[np.floating], base: npt.NDArray[np.floating], tie: npt.NDArray[np.floating]) -> Floats:
    """Return the share of rows whose predicted class differs between two heads.

    Classes within `tie` of the best score count as predicted together, so that a score of exactly zero, which rounding
    would push to either side, is its own prediction.  With C = 1 the classes are scores above and below zero.

    Parameters
    ----------
    scores : ndarray, shape (K, C, S, R, n)
        Of R heads.
    base : ndarray, shape (K, C, S, 1, n)
        Of the head that they are compared with.
    tie : ndarray, shape (K, n)
        Differences of scores that count as none.

    Returns
    -------
    ndarray, shape (K, S, R)
        Between 0 and 1.
    """
    near = tie[:, None, None, None, :]
    if scores.shape[1] == 1:
        above = (scores > near) != (base > near)
        below = (scores < -near) != (base < -near)
        return np.asarray(np.mean(above | below, axis=-1)[:, 0])
    best, base_best = (values.max(axis=1, keepdims=True) - near for values in (scores, base))
    differs = ((scores >= best) != (base >= base_best)).any(axis=1)
    return np.asarray(np.mean(differs, axis=-1))


def _directions(weights: Floats, norms: Floats, zero: Floats) -> Floats:
    """Return weights [..., C, S, R, d] over their norms [..., S, R], or zeros where these are no more than `zero`."""
    shares = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > zero)
    return np.asarray(weights * shares[..., None, :, :, None])


def _square(vectors: Floats) -> Floats:
    """Return the squared norm over classes and features: [..., C, S, R, d] to [..., S, R]."""
    return np.asarray(np.einsum("...csrd,...csrd->...sr", vectors, vectors))
