"""How much of an arm's variance the few rows make that its runs are scored on: what endless rows would leave."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Floats, stack


@dataclass(frozen=True)
class RowShare:
    """The variance of scores over runs, taken apart into what the rows scored make and what is left.

    Attributes
    ----------
    sd : float
        SD of the scores, as seen.
    sd_rows : float
        What runs that are alike but for errors of their own on each row would show.
    sd_endless : float or None
        What would be seen on endless rows; None where the estimated variance is negative.
    variance_endless : float
        The unbiased estimate of its square; negative by chance where there is little.
    share : float or None
        1 - variance_endless / sd², above 1 where that is negative; None for scores that are all equal.
    runs, rows : int
        How many.
    note : str
        Why a number is missing; empty when all are there.
    """

    sd: float
    sd_rows: float
    sd_endless: float | None
    variance_endless: float
    share: float | None
    runs: int
    rows: int
    note: str


def row_share(values: npt.ArrayLike) -> RowShare:
    r"""Return the share of the variance over runs that the rows scored explain.

    Runs are scored on the same n rows.  For two of these, drawn independently, the covariance over runs of being right
    has the mean Var(accuracy on the distribution), since each run's chance to be right on a random row is that
    accuracy; so :math:`n^2 Var(acc) = \sum_i Var_i + n (n - 1) Var_{dist}` in expectation, and :math:`(n^2 Var(acc) -
    \sum_i Var_i) / (n (n - 1))` is unbiased, with :math:`Var_i` the variance over runs of row i [1]_.

    Parameters
    ----------
    values : array_like, shape (runs, rows)
        Whether a run is right on a row; for other scores than accuracy the values of `row_pseudo_values`.

    Raises
    ------
    UserError
        For fewer than 2 runs or 2 rows, or values that are not finite numbers.

    References
    ----------
    .. [1] Jordan (2024), Calibrated chaos: variance between runs of neural network training is harmless and inevitable,
       ICLR; arXiv 2304.01910.

    Examples
    --------
    >>> chances = np.random.default_rng(0).uniform(0.6, 0.8, (50, 1))  # SD 5.8 points
    >>> found = row_share(np.random.default_rng(1).random((50, 200)) < chances)
    >>> f"{found.share:.0%} of the variance; SD {100 * found.sd:.1f}, on endless rows {100 * found.sd_endless:.1f}"
    '22% of the variance; SD 6.8, on endless rows 6.0'
    """
    x = stack(values, "values")
    runs, rows = x.shape
    if runs < 2 or rows < 2:
        raise UserError(f"values of {runs} runs on {rows} rows: needs at least 2 of each")
    means = (x - x[0]).mean(axis=1)
    seen, own = float(means.var(ddof=1)), float(x.var(axis=0, ddof=1).sum()) / rows**2
    if np.ptp(means) <= 1e-12 * float(np.abs(x).max()):  # equal but for rounding
        seen = 0.0
    endless = (seen - own) * rows / (rows - 1)
    notes = []
    if endless < 0:
        notes.append(f"no SD on endless rows: the variance is estimated as negative ({endless:.2g})")
    if seen == 0:
        notes.append("no share: all scores are equal")
    sd, share = math.sqrt(endless) if endless >= 0 else None, 1 - endless / seen if seen > 0 else None
    return RowShare(math.sqrt(seen), math.sqrt(own), sd, endless, share, runs, rows, "; ".join(notes))


def row_pseudo_values(
    score: Callable[[npt.NDArray[Any], npt.NDArray[Any]], float], predictions: npt.ArrayLike, labels: npt.ArrayLike
) -> Floats:
    r"""Return what each row adds to a run's score, by leaving it out: :math:`n T - (n - 1) T_{(i)}` [1]_.

    Their mean over rows is the score, but for terms of order 1 / n; for accuracy they are 1 where a run is right and 0
    elsewhere.  So `row_share` of them serves F1, MCC and correlations, which are no means over rows.

    Parameters
    ----------
    score : callable
        Of the predictions of one run and the labels, arrays of equal length; finite, whichever row is left out.
    predictions : array_like, shape (runs, rows)
        Classes or numbers.
    labels : array_like, shape (rows,)
        Classes or numbers.

    Returns
    -------
    numpy.ndarray, shape (runs, rows)
        For `row_share`.

    Raises
    ------
    UserError
        For other shapes, fewer than 2 rows, or a score that is not finite.

    References
    ----------
    .. [1] Tukey (1958), Ann. Math. Statist. 29:614; Efron & Stein (1981), Ann. Statist. 9:586-596.

    Examples
    --------
    >>> def accuracy(predicted, labels):
    ...     return float(np.mean(predicted == labels))
    >>> row_pseudo_values(accuracy, [[0, 1, 1]], [0, 1, 0]).round(6).tolist()
    [[1.0, 1.0, 0.0]]
    """
    given, truth = np.asarray(predictions), np.asarray(labels)
    if given.ndim != 2 or truth.ndim != 1 or given.shape[1] != truth.size or truth.size < 2:
        raise UserError(
            f"predictions of shape {given.shape} and labels of shape {truth.shape}: must be [runs, rows] and [rows], "
            "at least 2 rows"
        )
    n = truth.size
    values = np.empty(given.shape)
    for run, predicted in enumerate(given):
        whole, without = float(score(predicted, truth)), {}
        for row, kind in enumerate(zip(predicted.tolist(), truth.tolist(), strict=True)):
            if kind not in without:  # rows alike in both leave the same score behind
                rest = np.arange(n) != row
                without[kind] = float(score(predicted[rest], truth[rest]))
            values[run, row] = n * whole - (n - 1) * without[kind]
        if not np.isfinite(values[run]).all():
            raise UserError(f"run {run + 1}: its score is not finite, or not without one of the rows")
    return values
