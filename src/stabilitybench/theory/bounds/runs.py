"""What a gradient descent run must be for a bound to speak of it: rate, steps, start, recorded iterates, batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import listed
from stabilitybench.errors import UserError
from stabilitybench.labels import numbers
from stabilitybench.theory.inputs import Floats
from stabilitybench.theory.problem import checked_steps


def check_rate(owner: str, rate: float, limit: float, name: str = "2 / beta") -> None:
    """Raise UserError where the rate is beyond what the proof allows (but for rounding).

    Parameters
    ----------
    owner : str
        Bound that the error names.
    rate : float
        Learning rate eta.
    limit : float
        The largest one allowed.
    name : str, default "2 / beta"
        What the limit is, in the error.
    """
    if rate > limit * (1 + 1e-12):
        raise UserError(f"{owner}: rate = {rate:g}: above {name} = {limit:.6g}: the bound does not hold there")


def check_steps(owner: str, steps: int | Sequence[int]) -> tuple[int, ...]:
    """Return increasing numbers of steps of at least 1, or raise UserError.

    Parameters
    ----------
    owner : str
        Bound that the error names.
    steps : int or sequence of int
        What was handed in.
    """
    found = checked_steps(steps)
    if found[0] < 1:
        raise UserError(f"{owner}: steps holds {found[0]}: must be at least 1, the runs start at the same weights")
    return found


def check_start(owner: str, start: npt.ArrayLike | None, shape: tuple[int, int], name: str = "start") -> Floats:
    """Return the start as (K, d), or raise UserError where it does not fit.

    Parameters
    ----------
    owner : str
        Bound that the error names.
    start : array_like or None
        Finite weights of shape (K, d), or (d,) for K = 1; None is zero.
    shape : tuple of int
        (K, d), K = 1 but for softmax.
    name : str, default "start"
        Argument that the error names.
    """
    if start is None:
        return np.zeros(shape)
    first = np.atleast_2d(numbers(start, f"{owner}: {name}"))
    if first.shape != shape:
        raise UserError(f"{owner}: {name} has shape {np.shape(start)}: must be finite and of shape {_printed(shape)}")
    return first


def check_trajectory(owner: str, trajectory: npt.ArrayLike | None, shape: tuple[int, int], last: int) -> Floats | None:
    """Return the recorded iterates as (T + 1, K, d), or None where there are none.

    Parameters
    ----------
    owner : str
        Bound that the error names.
    trajectory : array_like or None
        Finite iterates of shape (T + 1, K, d), or (T + 1, d) for K = 1.
    shape : tuple of int
        (K, d), K = 1 but for softmax.
    last : int
        The last step asked for, at most T.

    Returns
    -------
    ndarray, shape (T + 1, K, d), or None
        The iterates.

    Raises
    ------
    UserError
        For another shape, values that are not finite, or too few iterates.
    """
    if trajectory is None:
        return None
    found = numbers(trajectory, f"{owner}: trajectory")
    if found.ndim == 2 and shape[0] == 1:
        found = found[:, None, :]
    if found.ndim != 3 or found.shape[1:] != shape:
        raise UserError(
            f"{owner}: trajectory has shape {np.shape(trajectory)}: must be finite, one {_printed(shape)} an iterate"
        )
    if len(found) <= last:
        raise UserError(f"{owner}: trajectory has {len(found)} iterates: {last} steps need {last + 1}")
    return found


def check_batches(owner: str, batches: Sequence[npt.ArrayLike], n: int, steps: int) -> None:
    """Raise UserError unless there is one batch of distinct row numbers for each step.

    Parameters
    ----------
    owner : str
        Bound that the error names.
    batches : sequence of array_like of int
        Row numbers of each step.
    n : int
        Rows; their numbers are 0 .. n - 1.
    steps : int
        Steps that need a batch.
    """
    given = listed("batches", batches, "arrays of row numbers")
    if len(given) < steps:
        raise UserError(f"{owner}: batches: {len(given)} of them: {steps} steps need as many")
    for t, batch in enumerate(given[:steps]):
        try:
            rows = np.asarray(batch)
        except ValueError:  # lists of different lengths
            rows = np.empty(0)
        if rows.ndim != 1 or not rows.size or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= n:
            raise UserError(f"{owner}: batches[{t}]: must be row numbers from 0 to {n - 1}")
        if len(np.unique(rows)) < len(rows):
            raise UserError(f"{owner}: batches[{t}]: names a row twice; each may stand in a batch once")


def _printed(shape: tuple[int, int]) -> str:
    return f"[{shape[1]}]" if shape[0] == 1 else f"[{shape[0]}, {shape[1]}]"
