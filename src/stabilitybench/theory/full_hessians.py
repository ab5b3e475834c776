"""Leave-one-out runs of losses (w - c_j)' A_j (w - c_j) / 2 with full Hessians, in closed form.

The squared loss of single rows has Hessians of rank one and belongs to `leave_one_out`; these are for losses that
are strongly convex one by one, as the published bound of full tuning assumes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stabilitybench.argument_checks import listed
from stabilitybench.errors import UserError
from stabilitybench.labels import numbers
from stabilitybench.theory.bounds.result import check_weight
from stabilitybench.theory.checks import number, whole
from stabilitybench.theory.inputs import Floats


def leave_one_out_quadratics(
    hessians: Floats, minimisers: Floats, start: Floats, *, rate: float, steps: Sequence[int], weight: str = "1/n"
) -> tuple[Floats, Floats]:
    """Return the iterates of gradient descent on all samples and without each one.

    One eigendecomposition per sample, whatever the steps: w_t = m + (I - rate H)^t (w_0 - m), m the minimiser of the
    problem.

    Parameters
    ----------
    hessians : ndarray, shape (n, d, d)
        A_j, symmetric and positive semi-definite.
    minimisers : ndarray, shape (n, d)
        c_j.
    start : ndarray, shape (d,)
        w_0.
    rate : float
        Learning rate, above 0.
    steps : sequence of int
        k numbers of steps, at least 0.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.

    Returns
    -------
    full : ndarray, shape (k, d)
        Iterates on all samples.
    without : ndarray, shape (k, n, d)
        Iterates without each sample.

    Raises
    ------
    UserError
        For shapes that do not fit, and for a problem without a unique minimiser.

    Examples
    --------
    >>> full, without = leave_one_out_quadratics(
    ...     np.array([[[1.0]], [[3.0]]]), np.array([[0.0], [2.0]]), np.array([0.0]), rate=0.5, steps=[1, 50])
    >>> full.ravel().round(4).tolist(), without[1].ravel().round(4).tolist()
    ([1.5, 1.5], [2.0, 0.0])
    """
    given = {"hessians": hessians, "minimisers": minimisers, "start": start}
    a, c, first = (numbers(values, f"quadratics: {name}") for name, values in given.items())
    n, d = c.shape if c.ndim == 2 else (0, 0)
    if n < 2 or a.shape != (n, d, d) or first.shape != (d,):
        raise UserError(
            f"quadratics: hessians {a.shape}, minimisers {c.shape}, start {first.shape}: must be [n, d, d], [n, d], [d]"
        )
    check_weight("quadratics", weight)
    eta = number("quadratics", "rate", rate, above=0)
    counts = [whole("quadratics", "steps", t, least=0) for t in listed("steps", steps, "whole numbers")]
    if not counts:
        raise UserError("quadratics: steps: must hold at least one number")
    pull = np.einsum("nij,nj->ni", a, c)
    all_a, all_pull = a.sum(axis=0), pull.sum(axis=0)
    others = n if weight == "1/n" else n - 1
    problems = np.concatenate([all_a[None] / n, (all_a - a) / others])
    pulls = np.concatenate([all_pull[None] / n, (all_pull - pull) / others])
    values, vectors = np.linalg.eigh(problems)
    if np.any(values[:, 0] <= d * np.finfo(np.float64).eps * values[:, -1]):
        raise UserError("quadratics: a problem without one sample has no unique minimiser: some curvature is 0")
    target = np.einsum("rij,rj->ri", vectors, np.einsum("rji,rj->ri", vectors, pulls) / values)
    offset = np.einsum("rji,rj->ri", vectors, first - target)
    with np.errstate(over="ignore", invalid="ignore"):
        runs = np.stack([target + np.einsum("rij,rj->ri", vectors, (1 - eta * values) ** t * offset) for t in counts])
    if not np.all(np.isfinite(runs)):
        raise UserError(f"quadratics: rate = {eta:g}: the weights leave the finite numbers in {max(counts)} steps")
    return runs[:, 0], runs[:, 1:]
