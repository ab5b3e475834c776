"""All leave-one-out runs at once: two matrix products a step, whatever the number of rows.

The runs without one row are stacked as rows of one matrix.  What is stored of each is its *move* v_i = w_i - w away
from the run on all rows, which is small, while w grows: in float32 the moves keep their leading digits where the
difference of two float32 weights would be rounding error.  One more row of the stack leaves nothing out; whatever
rounding makes of its move, which must stay zero, is taken from all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.theory.distances import TIE, Measured, audit_error, changed, distances
from stabilitybench.theory.inputs import Floats, Ints
from stabilitybench.theory.problem import ConvexProblem

Precision = Literal["float32", "float64"]


@dataclass(frozen=True, eq=False)
class Space:
    """Where the moves live: in the feature space, e = d, or in the span of the rows, e = n.

    Attributes
    ----------
    into : ndarray, shape (K, e, n)
        Moves to scores.
    out : ndarray, shape (K, n, e), or None
        Slopes to a step of the moves; None is the identity.
    back : ndarray, shape (K, e, d), or None
        Moves to moves in the feature space; None is the identity.
    """

    into: Floats
    out: Floats | None
    back: Floats | None


def feature_space(problem: ConvexProblem) -> Space:
    """Return the space in which a move is a vector of d weights.

    Parameters
    ----------
    problem : ConvexProblem
        K data sets of d features.

    Returns
    -------
    Space
        With e = d.
    """
    pace = (problem.rate * problem.kept)[:, None, None]
    return Space(into=np.swapaxes(problem.into, 1, 2), out=pace * problem.out, back=None)


def run(
    problem: ConvexProblem, space: Space, steps: tuple[int, ...], dtype: Precision, audited: int, max_memory: int
) -> Measured:
    """Run gradient descent on all rows and on all rows but one, and measure.

    Parameters
    ----------
    problem : ConvexProblem
        K data sets.
    space : Space
        Where the moves live.
    steps : tuple of int
        Increasing numbers of steps at which the runs are measured.
    dtype : {"float32", "float64"}
        Of the stacked moves; the run on all rows is in float64.
    audited : int
        How many runs, evenly spaced over i, are doubled in float64.
    max_memory : int
        Bytes for the stacked runs, which are cut into as many parts as that takes.

    Returns
    -------
    Measured
        At `steps`, for every data set, start and row.

    Raises
    ------
    UserError
        Where `max_memory` does not hold the data and one run.
    """
    count = problem.count
    rows = min(count, _rows_within(problem, space, dtype, max_memory))
    doubled = np.unique(np.linspace(0, count - 1, min(audited, count)).astype(np.intp))
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            _part(problem, space, steps, dtype, range(first, min(first + rows, count)), doubled)
            for first in range(0, count, rows)
        ]
    distance, direction, error, gap = (
        np.concatenate([part[k] for part in parts], axis=-1) for k in ("distance", "direction", "error", "gap")
    )
    flips = np.concatenate([part["flips"] for part in parts], axis=-1) if "flips" in parts[0] else None
    weights = parts[0]["weights"]
    if not audited:
        return Measured(weights, distance, direction, flips)
    norms = np.sqrt(np.einsum("tkcsd,tkcsd->tks", weights, weights))
    return Measured(weights, distance, direction, flips, audit_error(error, gap, norms))


def _rows_within(problem: ConvexProblem, space: Space, dtype: Precision, max_memory: int) -> int:
    """Return how many runs fit into `max_memory` bytes together, beside the data themselves."""
    sets, count, width = problem.into.shape
    outputs, starts = problem.start.shape[:2]
    size, inner = np.dtype(dtype).itemsize, space.into.shape[1]
    # scores and the masks of changed predictions; moves and their step; five float64 arrays when measuring
    each = sets * outputs * starts * ((2 * size + 4) * count + 2 * size * inner + 40 * width)
    fixed = space.into.nbytes + (0 if space.out is None else space.out.nbytes)
    fixed = fixed * (1 if dtype == "float64" else 2) + 8 * problem.into.size
    rows = int((max_memory - fixed) // each) - 1
    if rows < 1:
        raise UserError(
            f"max_memory = {max_memory} bytes: these data need at least {math.ceil(fixed + 2 * each)} bytes"
        )
    return rows


def _part(
    problem: ConvexProblem, space: Space, steps: tuple[int, ...], dtype: Precision, left_out: range, doubled: Ints
) -> dict[str, Floats]:
    """Run the stack without each of the rows `left_out`; returns the fields of `Measured` for them."""
    import torch

    sets, count = problem.into.shape[:2]
    outputs, starts, width = problem.start.shape
    inner, heads, rows = space.into.shape[1], outputs * starts, len(left_out)
    doubled = doubled[(doubled >= left_out.start) & (doubled < left_out.stop)]

    # in float64: the run on all rows, then those without the doubled rows
    leading = 1 + len(doubled)
    lead = np.zeros((sets, heads * leading, inner))
    lead_scores = np.empty((sets, heads * leading, count))
    lead_view = lead_scores.reshape(sets, outputs, starts, leading, count)
    lead_tensor = torch.from_numpy(lead_view)
    base = lead_tensor[:, :, :, :1]
    lead_own = None if problem.own is None else torch.from_numpy(problem.own)
    share = 1.0 / (count * problem.kept)
    lead_share = np.tile(np.r_[share, np.ones(len(doubled))], heads)[:, None]
    lead_step = lead_scores if space.out is None else np.empty_like(lead)
    lead_flat = lead_scores.reshape(-1)
    own_places = np.arange(lead_flat.size).reshape(lead_view.shape)[..., np.arange(1, leading), doubled].ravel()
    held = problem.start.reshape(heads, width) @ np.swapaxes(problem.into, 1, 2)
    held = held.reshape(sets, outputs, starts, 1, count)
    offset = problem.offset[:, None, None, None, :]
    ground = held + offset
    grounded = bool(ground.any())

    # in `dtype`: the moves of the runs without one row, and last of one that leaves nothing out
    into = np.ascontiguousarray(space.into, dtype=dtype)
    out = None if space.out is None else np.ascontiguousarray(space.out, dtype=dtype)
    own = None if problem.own is None else torch.from_numpy(problem.own.astype(dtype))
    moves = np.zeros((sets, heads * (rows + 1), inner), dtype=dtype)
    scores = np.empty((sets, heads * (rows + 1), count), dtype=dtype)
    step = scores if out is None else np.empty_like(moves)
    view = scores.reshape(sets, outputs, starts, rows + 1, count)
    tensor = torch.from_numpy(view)
    moves_view = moves.reshape(sets, outputs, starts, rows + 1, inner)
    step_tensor = torch.from_numpy(step.reshape(sets, outputs, starts, rows + 1, inner))
    step_last = step_tensor[:, :, :, -1:]
    common = torch.empty_like(step_last)
    base_in_dtype = torch.empty(base.shape, dtype=tensor.dtype)
    last = left_out.start + (rows - 1) * (count + 1)
    own_rows = scores.reshape(sets, heads, -1)[:, :, left_out.start : last + 1 : count + 1]

    decay = problem.decay[:, None, None]
    kept_decay, decay_in_dtype = np.ones((sets, 1, 1, 1, 1)), decay.astype(dtype)
    radii = np.sqrt(np.einsum("knd,knd->kn", problem.into, problem.into))
    marks, found = set(steps), []
    for t in range(steps[-1] + 1):
        np.matmul(lead, space.into, out=lead_scores)
        if grounded:
            lead_view += ground
        np.matmul(moves, into, out=scores)
        tensor.add_(base_in_dtype.copy_(base))
        if t in marks:
            weights = kept_decay * problem.start[None, :, :, None] + _back(lead, space).reshape(
                sets, outputs, starts, leading, width
            )
            part = _measured(problem, space, weights, moves_view[:, :, :, :-1], view, radii, doubled - left_out.start)
            found.append(part)
            if t == steps[-1]:
                break
        problem.slopes_(lead_tensor, lead_own)
        lead_flat[own_places] = 0
        problem.slopes_(tensor, own)
        own_rows[:] = 0
        if problem.l2:
            lead *= decay
            moves *= decay_in_dtype
            kept_decay = kept_decay * decay[..., None, None]
            ground = kept_decay * held + offset
        if space.out is not None:
            np.matmul(lead_scores, space.out, out=lead_step)
        lead_step *= lead_share
        lead += lead_step
        if out is not None:
            np.matmul(scores, out, out=step)
        step_tensor.sub_(torch.mul(step_last, share, out=common))
        step_last.zero_()
        moves += step
    return {name: np.stack([item[name] for item in found]) for name in found[0]}


def _measured(
    problem: ConvexProblem,
    space: Space,
    lead: Floats,
    moves: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    radii: Floats,
    doubled: Ints,
) -> dict[str, Floats]:
    """Measure the moves [K, C, S, R, e]; `lead` holds the weights of all rows and of the doubled runs."""
    weights = lead[:, :, :, :1]
    moved = _back(moves.astype(np.float64), space)
    distance, direction = distances(weights, moved)
    exact = lead[:, :, :, 1:] - weights
    squares = (exact - moved[:, :, :, doubled]) ** 2, exact**2
    error, gap = (np.sqrt(square.sum(axis=(1, 4))) for square in squares)
    found = {"weights": weights[:, :, :, 0], "distance": distance, "direction": direction, "error": error, "gap": gap}
    if problem.loss != "squared":
        largest = np.sqrt((weights**2).sum(axis=(1, 4))).max(axis=(1, 2)) + distance.max(axis=(1, 2))
        tie = (TIE[scores.dtype.name] * largest[:, None] * radii).astype(scores.dtype)
        found["flips"] = changed(scores[:, :, :, :-1], scores[:, :, :, -1:], tie)
    return found


def _back(moves: Floats, space: Space) -> Floats:
    """Return moves [K, ..., e] as moves in the feature space [K, ..., d]."""
    if space.back is None:
        return moves
    flat = moves.reshape(len(moves), -1, moves.shape[-1]) @ space.back
    return flat.reshape(*moves.shape[:-1], -1)
