"""What suites show: which predictions hold, and where a bound was exceeded and how loose it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from stabilitybench.statistics.decisions import is_claimed
from stabilitybench.statistics.one_sample import mean_excess

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
#: Two max-margin directions of a dataset and of its leave-one-out set are never farther apart.
TRIVIAL = math.sqrt(2)


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


@dataclass(frozen=True)
class BoundCheck:
    """How a bound fared.

    Attributes
    ----------
    suite, bound : str
        Their names.
    scope : str
        Whether the bound holds for each dataset ("pathwise") or on average over them ("expectation").
    published : bool
        Whether it is one of a publication, given for comparison, and not one that is proven here.
    datasets : int
        Datasets for which it was computed.
    refused : int
        Datasets for which it could not be.
    checks : int
        Comparisons with a measured value.
    cells : int or None
        For an expectation, the settings at which the mean over datasets was compared; else None.
    exceeded : int
        Checks (pathwise) or cells (expectation) in which the measured value lies above the bound.
    tightness : tuple of float
        Median, 10 % and 90 % quantile of bound / measured over the datasets; NaN where nothing was measured.
    """

    suite: str
    bound: str
    scope: str
    published: bool
    datasets: int
    refused: int
    checks: int
    cells: int | None
    exceeded: int
    tightness: tuple[float, float, float]

    @property
    def proven_violations(self) -> int:
        """Violations of a bound that is proven for each dataset: what must be 0."""
        return 0 if self.published or self.cells is not None else self.exceeded


@dataclass(frozen=True)
class Favourable:
    """P2 with its most favourable constants at one value of a factor.

    Attributes
    ----------
    suite, factor : str
        The suite's name, and what it varies.
    value : float
        Of the factor.
    datasets : int
        Datasets that have the bound.
    median : float
        Of the bound's values.
    measured : float
        Median of what was measured.
    above : float
        Share of the datasets with a bound above sqrt(2), the trivial limit.
    """

    suite: str
    factor: str
    value: float
    datasets: int
    median: float
    measured: float
    above: float


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


def bounds_held(results: SuiteResults, frame: pd.DataFrame) -> list[BoundCheck]:
    """Return how every bound of a suite fared, in the order of the suite file.

    Parameters
    ----------
    results : SuiteResults
        What was measured.
    frame : DataFrame
        The same, as `SuiteResults.to_frame` gives it.
    """
    part = frame[frame["kind"] == "bound"]
    out = []
    for name in results.file.measure.bounds:
        rows = part[part["item"] == name]
        done = rows[rows["amount"].notna()]
        if rows.empty:
            continue
        scope = str(done["scope"].iloc[0]) if len(done) else ""
        loose = done["tightness"].dropna().to_numpy(np.float64)
        quantiles = np.quantile(loose, [0.5, 0.1, 0.9]) if len(loose) else [math.nan] * 3
        cells = [cell for _, cell in done.groupby("value")] if scope == "expectation" else None
        exceeded = int(done["violations"].sum()) if cells is None else sum(map(_exceeds, cells))
        out.append(
            BoundCheck(
                results.file.name, name, scope, bool(len(done) and done["published"].iloc[0]), len(done),
                len(rows) - len(done), int(done["checks"].sum()), None if cells is None else len(cells), exceeded,
                (float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
            )
        )  # fmt: skip
    return out


def favourable(results: SuiteResults, frame: pd.DataFrame) -> list[Favourable]:
    """Return P2's value with the most favourable constants, where the suite asked for it.

    Parameters
    ----------
    results : SuiteResults
        What was measured.
    frame : DataFrame
        The same, as `SuiteResults.to_frame` gives it.

    Returns
    -------
    list of Favourable
        One for each value of the factor.
    """
    part = frame[(frame["kind"] == "bound") & (frame["item"] == "P2") & frame["amount"].notna()]
    return [
        Favourable(
            results.file.name, results.file.factor, value, len(cell), float(cell["amount"].median()),
            float(cell["measured"].median()), float((cell["amount"] > TRIVIAL).mean()),
        )
        for value in dict.fromkeys(part["value"].astype(float))
        for cell in [part[part["value"] == value]]
    ]  # fmt: skip


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


def _exceeds(cell: pd.DataFrame) -> bool:
    """Tell whether the mean of measured - bound over the datasets of a cell is above 0 at the one-sided 5 % level."""
    gap = (cell["measured"] - cell["amount"]).to_numpy(np.float64)
    return is_claimed(mean_excess(gap).above)
