"""Many small data sets of one shape: one stack of matrix products in place of one loop each.

A step on 50 rows is mostly the price of the calls; stacking the data sets shares it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import listed
from stabilitybench.errors import UserError
from stabilitybench.theory.inputs import Loss
from stabilitybench.theory.leave_one_out_runs import AUDIT, MAX_MEMORY, DType, LeaveOneOut, solve
from stabilitybench.theory.problem import ConvexProblem, Weight, checked_steps, problem

#: Numbers in the scores of one stack: larger stacks leave the cache and gain nothing.
STACK = 1 << 18


def leave_one_out_many(
    xs: Sequence[npt.ArrayLike],
    ys: Sequence[npt.ArrayLike],
    loss: Loss = "logistic",
    *,
    steps: int | Sequence[int] = 1000,
    rate: float | None = None,
    weight: Weight = "1/n",
    start: npt.ArrayLike | None = None,
    l2: float = 0.0,
    dtype: DType = "auto",
    audit: int = AUDIT,
    max_memory: int = MAX_MEMORY,
) -> list[LeaveOneOut]:
    """Return `leave_one_out` of every data set; those of one shape are run together.

    Parameters
    ----------
    xs, ys : sequence of array_like
        Rows and labels of each data set, of any shapes; the result keeps their order.
    loss : {"logistic", "softmax", "squared"}, default "logistic"
        Of one row, in every data set.
    steps : int or sequence of int, default 1000
        Numbers of gradient steps.
    rate : float, optional
        Learning rate of all; unless given, each data set takes its own 1/beta.
    weight, start, l2, dtype, audit
        As in `leave_one_out`, the same for all.
    max_memory : int, default 2**30
        Bytes for the runs of one stack of data sets.

    Returns
    -------
    list of LeaveOneOut
        One for each data set.

    Raises
    ------
    UserError
        Where `xs` and `ys` are not as many, and as `leave_one_out` does.

    Examples
    --------
    >>> x = [[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0], [1.0, 2.0]]
    >>> found = leave_one_out_many([x, x], [[1, 1, 0, 1], [1, 0, 0, 1]], steps=100)
    >>> [one.mean_direction.round(3).item() for one in found]
    [0.183, 0.253]
    """
    rows, labels = listed("xs", xs, "data sets"), listed("ys", ys, "labels, one array for each data set")
    if len(rows) != len(labels):
        raise UserError(f"xs holds {len(rows)} data sets and ys {len(labels)}: must be as many")
    marks = checked_steps(steps)
    tasks = [
        problem(x, y, loss=loss, rate=rate, weight=weight, start=start, l2=l2)
        for x, y in zip(rows, labels, strict=True)
    ]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for k, task in enumerate(tasks):
        shapes.setdefault((*task.into.shape[1:], *task.start.shape), []).append(k)
    found: dict[int, LeaveOneOut] = {}
    for shape, members in shapes.items():
        count, outputs, starts = shape[0], shape[2], shape[3]
        together = max(1, STACK // (outputs * starts * count * (count + 1)))
        for first in range(0, len(members), together):
            group = members[first : first + together]
            stack = _stacked([tasks[k] for k in group])
            found.update(zip(group, solve(stack, marks, weight, dtype, audit, max_memory, None), strict=True))
    return [found[k] for k in range(len(tasks))]


def _stacked(tasks: list[ConvexProblem]) -> ConvexProblem:
    first = tasks[0]
    return replace(
        first,
        into=np.concatenate([task.into for task in tasks]),
        out=np.concatenate([task.out for task in tasks]),
        offset=np.concatenate([task.offset for task in tasks]),
        own=None if first.own is None else np.concatenate([task.own for task in tasks if task.own is not None]),
        rate=np.concatenate([task.rate for task in tasks]),
        smoothness=np.concatenate([task.smoothness for task in tasks]),
    )
