"""The plain loop: one run after another, as the definition says.  Slow; what every fast path is held against."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, softmax

from stabilitybench.theory.distances import TIE, Measured, changed, distances
from stabilitybench.theory.inputs import Floats
from stabilitybench.theory.problem import ConvexProblem


def run(problem: ConvexProblem, steps: tuple[int, ...]) -> Measured:
    """Run gradient descent on all rows and then without each row, in float64.

    Parameters
    ----------
    problem : ConvexProblem
        K data sets.
    steps : tuple of int
        Increasing numbers of steps at which the runs are measured.

    Returns
    -------
    Measured
        At `steps`, for every data set, start and row; nothing is audited.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _run(problem, steps)


def _run(problem: ConvexProblem, steps: tuple[int, ...]) -> Measured:
    outputs, starts, width = problem.start.shape
    count, sets = problem.count, len(problem.into)
    full = np.empty((len(steps), sets, outputs, starts, 1, width))
    moves = np.empty((len(steps), sets, outputs, starts, count, width))
    for k in range(sets):
        for s in range(starts):
            full[:, k, :, s, 0] = _descent(problem, k, problem.start[:, s], steps, None)
            for i in range(count):
                moves[:, k, :, s, i] = _descent(problem, k, problem.start[:, s], steps, i) - full[:, k, :, s, 0]
    distance, direction = distances(full, moves)
    flips = None
    if problem.loss != "squared":
        flips = np.stack([_flips(problem, *pair) for pair in zip(full, moves, strict=True)])
    return Measured(full[:, :, :, :, 0], distance, direction, flips)


def _descent(problem: ConvexProblem, k: int, start: Floats, steps: tuple[int, ...], left_out: int | None) -> Floats:
    """Return the weights [T, C, d] at `steps` of the run on data set k without row `left_out` (None: on all rows)."""
    rows = np.arange(problem.count) != left_out
    into, out, offset = problem.into[k, rows], problem.out[k, rows], problem.offset[k, rows]
    scale = 1.0 / problem.count if left_out is None else problem.kept
    weights, found = start.copy(), []
    for t in range(steps[-1] + 1):
        if t in steps:
            found.append(weights)
        scores = weights @ into.T + offset
        if problem.loss == "logistic":
            slopes = expit(scores)
        elif problem.own is not None:
            slopes = softmax(scores, axis=0) - problem.own[k, :, 0, 0][:, rows]
        else:
            slopes = scores
        weights = weights + problem.rate[k] * (scale * slopes @ out - problem.l2 * weights)
    return np.stack(found)


def _flips(problem: ConvexProblem, weights: Floats, moves: Floats) -> Floats:
    into = np.swapaxes(problem.into, 1, 2)[:, None, None]
    radius = np.linalg.norm(problem.into, axis=2)
    largest = np.linalg.norm(weights + moves, axis=(1, 4)).max(axis=(1, 2))
    tie = TIE["float64"] * largest[:, None] * radius
    return changed((weights + moves) @ into, weights @ into, tie)
