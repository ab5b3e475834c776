"""What a generator returns: float64 data and the constants that are known or were measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ProblemKind = Literal["classification", "regression", "quadratics"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """One synthetic dataset with its constants.

    Attributes
    ----------
    name : str
        Generator that `generate` was called with.
    problem : {"classification", "regression", "quadratics"}
        What a sample's loss is: of a class, squared loss of one row, or a quadratic of its own.
    x : ndarray, shape (n, d)
        Features, float64; for "quadratics" row j is the minimiser of sample j's own loss.
    y : ndarray, shape (n,)
        Classes 0 .. classes - 1 (int64) or regression targets (float64); zeros for "quadratics".
    constants : mapping of str to float
        Numbers exactly known by construction or measured on this very data after it was drawn, never planted values
        that the draw may have missed; a planted value has the prefix ``planted_``.
    parameters : mapping of str to number
        What `generate` was called with, defaults filled in.
    seed : int
        Seed that `generate` was called with.
    start : ndarray, shape (d,), or None
        Initial weights where the generator fixes the distance to the minimiser; None: start at zero.
    minimiser : ndarray, shape (d,), or None
        Minimiser of the regularised mean loss where it is known in closed form.
    hessians : ndarray, shape (n, d, d), or None
        For "quadratics": sample j's loss is (w - x_j)' A_j (w - x_j) / 2.
    """

    name: str
    problem: ProblemKind
    x: Floats
    y: npt.NDArray[Any]
    constants: Mapping[str, float]
    parameters: Mapping[str, int | float]
    seed: int
    start: Floats | None = None
    minimiser: Floats | None = None
    hessians: Floats | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.x.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.x.shape[1])

    @property
    def classes(self) -> int:
        """Number of classes, 0 when there are none."""
        return int(self.constants.get("classes", 0))
