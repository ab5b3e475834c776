"""Bounds held against what was measured: on one dataset, and over the datasets of a suite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stabilitybench.errors import UserError
from stabilitybench.statistics.decisions import is_claimed
from stabilitybench.statistics.one_sample import mean_excess
from stabilitybench.theory.bounds import violated
from stabilitybench.theory.bounds.result import PUBLISHED

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.suites.measurements.base import MeasuredBound
    from stabilitybench.suites.suite import SuiteResults

#: Two max-margin directions of a dataset and of its leave-one-out set are never farther apart.
TRIVIAL = math.sqrt(2)


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


def check_bound(make: Callable[[Any], MeasuredBound], run: Any) -> dict[str, Any]:
    """Return a bound beside what was measured on one dataset, and how often the measured value exceeds it.

    Parameters
    ----------
    make : callable
        Makes the bound from the measurement; where it refuses, the reason is what is returned.
    run : object
        What the bound needs of the measurement.

    Returns
    -------
    dict
        ``refused``; or ``value``, ``measured``, ``tightness`` (bound / measured), ``checks``, ``violations``,
        ``scope``, ``published`` and ``trivial``.
    """
    try:
        held = make(run)
    except UserError as error:
        return {"refused": str(error)}
    bound, measured = held.bound, held.measured
    limit = bound.per_sample[-1] if bound.per_sample is not None and measured.ndim else np.array(bound.value)
    average = float(measured.mean())
    return {
        "value": bound.value,
        "measured": average,
        "tightness": bound.value / average if average > 0 else None,
        "checks": int(np.size(measured)),
        "violations": int(np.sum(violated(measured, limit))),
        "scope": bound.scope,
        "published": bound.source == PUBLISHED,
        "trivial": bound.trivial if math.isfinite(bound.trivial) else None,
    }


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


def _exceeds(cell: pd.DataFrame) -> bool:
    """Tell whether the mean of measured - bound over the datasets of a cell is above 0 at the one-sided 5 % level."""
    gap = (cell["measured"] - cell["amount"]).to_numpy(np.float64)
    return is_claimed(mean_excess(gap).above)
