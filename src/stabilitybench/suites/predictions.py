"""Which predictions of a suite hold: the direction of each measured quantity along the factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.suites.file import Prediction
    from stabilitybench.suites.suite import SuiteResults

Floats = npt.NDArray[np.float64]
PredictionVerdict = Literal["holds", "REVERSED", "no effect", "mixed", "fails"]

#: A prediction holds, or is reversed, when this share of the datasets says so.
MOST = 0.9
#: A change of less than this share of the first value is none.
SAME = 0.1
#: A change of less than this share is rounding, neither a fall nor a rise.
ROUNDING = 1e-6


@dataclass(frozen=True)
class PredictionResult:
    """How a prediction fared.

    Attributes
    ----------
    suite, factor : str
        The suite's name, and what it varies.
    change : str
        First and last value of the factor.
    prediction : Prediction
        What was expected.
    first, last : float
        Medians at the first and the last value of the factor.
    pairs : int
        Dataset seeds with both.
    share : float
        Share of these pairs in which the prediction holds.
    monotone : float
        Share in which it holds from each value to the next, too.
    verdict : str
        What that says of the prediction.
    """

    suite: str
    factor: str
    change: str
    prediction: Prediction
    first: float
    last: float
    pairs: int
    share: float
    monotone: float
    verdict: PredictionVerdict


def findings(results: SuiteResults, frame: pd.DataFrame) -> list[PredictionResult]:
    """Return every prediction of a suite beside what was measured.

    Parameters
    ----------
    results : SuiteResults
        What was measured.
    frame : DataFrame
        The same, as `SuiteResults.to_frame` gives it.

    Returns
    -------
    list of PredictionResult
        Those whose quantity some seed has at both ends; empty where the factor has a single value.
    """
    file = results.file
    if file.count < 2:
        return []
    out = []
    for prediction in file.predictions:
        part = frame[(frame["kind"] == "measured") & (frame["item"] == prediction.quantity)]
        table = part.pivot_table(index="seed", columns="value", values="amount").reindex(columns=list(file.values))
        ends = table[[file.values[0], file.values[-1]]].dropna()
        if ends.empty:
            continue
        whole = table.dropna().to_numpy(np.float64)
        share = float(_agrees(ends.to_numpy(np.float64), prediction.direction).mean())
        monotone = float(_monotone(whole, prediction.direction).mean()) if len(whole) else math.nan
        first, last = (float(v) for v in ends.median())
        out.append(
            PredictionResult(
                file.name, file.factor, f"{file.axis} {file.values[0]:g} to {file.values[-1]:g}", prediction,
                first, last, len(ends), share, monotone, _verdict(ends.to_numpy(np.float64), prediction.direction),
            )
        )  # fmt: skip
    return out


def _agrees(rows: Floats, direction: str) -> npt.NDArray[np.bool_]:
    first, last = rows[:, 0], rows[:, -1]
    if direction == "falls":
        return np.asarray(last < first * (1 - ROUNDING))
    if direction == "rises":
        return np.asarray(last > first * (1 + ROUNDING))
    return np.asarray(np.abs(last - first) <= SAME * first)


def _monotone(rows: Floats, direction: str) -> npt.NDArray[np.bool_]:
    if direction == "stays":
        return np.asarray((np.abs(rows - rows[:, :1]) <= SAME * rows[:, :1]).all(axis=1))
    steps = np.diff(rows, axis=1) * (-1 if direction == "falls" else 1)
    return np.asarray((steps >= 0).all(axis=1) & _agrees(rows, direction))


def _verdict(rows: Floats, direction: str) -> PredictionVerdict:
    first, last = np.median(rows, axis=0)
    if abs(last - first) <= SAME * first:
        return "holds" if direction == "stays" else "no effect"
    if direction == "stays":
        return "fails"
    if _agrees(rows, direction).mean() >= MOST:
        return "holds"
    return "REVERSED" if _agrees(rows, "rises" if direction == "falls" else "falls").mean() >= MOST else "mixed"
