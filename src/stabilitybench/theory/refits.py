"""The max-margin solution without each row, every support vector's from nothing: slower than a warm start, and safe.

A warm start updates the inverse of a Gram matrix, which loses its digits where rows are nearly dependent, as the
features of an encoder are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.theory.margin import (
    MaxMarginLeaveOneOut,
    NotSeparable,
    leave_one_out_max_margin,
    max_margin,
)
from stabilitybench.theory.rows import features

#: A margin may fall by this share through rounding when a row is left out; by more it cannot.
ROUNDING = 1e-9


def refitted_max_margin(x: npt.ArrayLike, y: npt.ArrayLike) -> MaxMarginLeaveOneOut:
    """Return what `leave_one_out_max_margin` returns, each support vector's problem solved from nothing.

    Raises NotSeparable where there is no margin, and UserError where a class has a single row that supports it.

    >>> refitted_max_margin([[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0]).margin.round(4).tolist()
    [2.0, 2.0, 1.4142]
    """
    rows, labels = features(x), np.asarray(y)
    full = max_margin(rows, labels)
    weights = full.direction / full.margin
    margin, distance, direction = np.full(len(rows), full.margin), np.zeros(len(rows)), np.zeros(len(rows))
    for i in full.support:
        kept = np.arange(len(rows)) != i
        if labels[i] not in labels[kept]:
            raise UserError(f"class {labels[i]:g} has a single row: without it there is no margin to compare")
        without = max_margin(rows[kept], labels[kept])
        margin[i] = max(without.margin, full.margin)
        distance[i] = np.linalg.norm(weights - without.direction / without.margin)
        direction[i] = np.linalg.norm(full.direction - without.direction)
    return MaxMarginLeaveOneOut(full, margin, distance, direction, len(full.support))


def safe_leave_one_out_max_margin(x: npt.ArrayLike, y: npt.ArrayLike) -> MaxMarginLeaveOneOut:
    """Return `leave_one_out_max_margin` where its margins are possible, else `refitted_max_margin`."""
    try:
        found = leave_one_out_max_margin(x, y)
    except NotSeparable:
        return refitted_max_margin(x, y)
    return found if np.all(found.margin >= found.full.margin * (1 - ROUNDING)) else refitted_max_margin(x, y)
