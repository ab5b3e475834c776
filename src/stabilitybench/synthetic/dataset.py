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

    name, parameters, seed : what `generate` was called with, defaults filled in.
    problem : "classification", "regression" (squared loss of one row) or "quadratics".
    x : (n, d) features, float64; for "quadratics" row j is the minimiser of sample j's own loss.
    y : (n,) class indices 0..classes-1 (int64) or regression targets (float64); zeros for "quadratics".
    constants : numbers exactly known by construction or measured on this very data after it was drawn, never
        planted values that the draw may have missed; a planted value has the prefix ``planted_``.
    start : (d,) initial weights where the generator fixes the distance to the minimiser, else None (start at zero).
    minimiser : (d,) minimiser of the regularised mean loss where it is known in closed form, else None.
    hessians : (n, d, d) for "quadratics": sample j's loss is (w - x_j)' A_j (w - x_j) / 2; else None.
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
