"""Fewer rows than features: gradient descent in the span of the rows, where a move is n numbers.

A step only ever adds multiples of the rows, so that a move is a combination of them and its scores come from the
n x n Gram matrix: one product of that size a step in place of two with d features.
"""

from __future__ import annotations

import numpy as np

from stabilitybench.theory.fused import Space
from stabilitybench.theory.problem import ConvexProblem


def row_space(problem: ConvexProblem) -> Space:
    """Return the space in which a move is a vector of n multiples of the rows.

    Parameters
    ----------
    problem : ConvexProblem
        K data sets of n rows.

    Returns
    -------
    Space
        With e = n.
    """
    back = (problem.rate * problem.kept)[:, None, None] * problem.out
    with np.errstate(over="ignore", invalid="ignore"):  # runs that leave the numbers are told in the result
        into = back @ np.swapaxes(problem.into, 1, 2)
    return Space(into=into, out=None, back=back)
