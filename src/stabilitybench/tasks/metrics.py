"""Metrics of GLUE and SuperGLUE, each with the best score that a constant prediction reaches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError, suggest
from stabilitybench.tasks.base import Kind, Task

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A score of predictions, higher is better.

    Attributes
    ----------
    name : str
        The key in `METRICS`.
    kind : {"classification", "regression"}
        The tasks it fits.
    score : callable
        Maps labels and predictions, both of shape (n,) with n >= 1 (class indices under classification, real numbers
        under regression), to a fraction, or a correlation in [-1, 1]; NaN where it is undefined.
    no_skill : callable
        Maps labels to the best score of any constant prediction on them (0 for correlations).
    range : tuple of (float, float)
        Lowest and highest possible score.
    description : str
        One line for readers.

    Examples
    --------
    >>> METRICS["accuracy"].score(np.array([0, 1, 1]), np.array([0, 1, 0])) == 2 / 3
    True
    >>> METRICS["accuracy"].no_skill(np.array([0, 1, 1])) == 2 / 3
    True
    """

    name: str
    kind: Kind
    score: Callable[[Array, Array], float]
    no_skill: Callable[[Array], float]
    range: tuple[float, float]
    description: str


def score_or_no_skill(metric: Metric, labels: Array, predictions: Array) -> tuple[float, bool]:
    """Score predictions; an undefined score counts as no skill and is flagged, never dropped.

    Parameters
    ----------
    metric : Metric
        How the predictions are scored.
    labels : numpy.ndarray, shape (n,)
        Class indices, or scores under regression.
    predictions : numpy.ndarray, shape (n,)
        The same for a run's predictions.

    Returns
    -------
    score : float
        What the metric gives, or its no-skill score.
    undefined : bool
        Whether it was undefined: constant or non-finite predictions under a correlation.

    Examples
    --------
    >>> score_or_no_skill(METRICS["spearman"], np.array([1.0, 2.0, 3.0]), np.array([4.0, 4.0, 4.0]))
    (0.0, True)
    """
    score = metric.score(labels, predictions)
    return (metric.no_skill(labels), True) if math.isnan(score) else (score, False)


def with_headline(task: Task, name: str) -> Task:
    """Return the task with another headline metric; its other metrics follow.

    Parameters
    ----------
    task : Task
        The task as it is.
    name : str
        A key of `METRICS` that fits the kind of the task.

    Returns
    -------
    Task
        A copy; only the order of its metrics differs, or one is added.

    Raises
    ------
    UserError
        If the metric is unknown or does not fit the task (f1 needs exactly two classes).
    """
    fits = [m.name for m in METRICS.values() if m.kind == task.kind and (m.name != "f1" or len(task.classes) == 2)]
    if name not in fits:
        near = suggest(name, fits)
        raise UserError(f'task "{task.name}": metric "{name}": must be one of {", ".join(fits)}{near}')
    return replace(task, metrics=(name, *(m for m in task.metrics if m != name)))


# Counted in integers and divided once: equal counts give equal floats, so "score <= no skill" is exact.
def _accuracy(labels: Array, predictions: Array) -> float:
    return int(np.count_nonzero(labels == predictions)) / len(labels)


def _f1(labels: Array, predictions: Array) -> float:
    hits = int(np.count_nonzero((labels == 1) & (predictions == 1)))
    claims = int(np.count_nonzero(labels == 1)) + int(np.count_nonzero(predictions == 1))
    return 2 * hits / claims if claims else 0.0


def _macro_f1(labels: Array, predictions: Array) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0))


def _mcc(labels: Array, predictions: Array) -> float:
    # With one side constant the coefficient is 0/0; 0 is the convention, and sklearn warns on single labels.
    if _constant(labels) or _constant(predictions):
        return 0.0
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def _spearman(labels: Array, predictions: Array) -> float:
    from scipy.stats import rankdata

    if not np.isfinite(predictions).all():
        return math.nan
    return _pearson(rankdata(labels), rankdata(predictions))


def _pearson(labels: Array, predictions: Array) -> float:
    from scipy.stats import pearsonr

    if not np.isfinite(predictions).all() or _constant(labels) or _constant(predictions):
        return math.nan
    with warnings.catch_warnings():  # nearly constant predictions: the value is right to fewer digits, or NaN
        warnings.simplefilter("ignore")
        return float(pearsonr(labels, predictions).statistic)


def _constant(values: Array) -> bool:
    return bool((values == values[0]).all())


def _best_constant(score: Callable[[Array, Array], float]) -> Callable[[Array], float]:
    """Return the function that scores every constant class present in the labels and takes the best."""

    def no_skill(labels: Array) -> float:
        return max(score(labels, np.full_like(labels, c)) for c in np.unique(labels))

    return no_skill


def _zero(labels: Array) -> float:
    return 0.0


_FRACTION, _CORRELATION = (0.0, 1.0), (-1.0, 1.0)

#: Every metric by name.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            "classification",
            _accuracy,
            _best_constant(_accuracy),
            _FRACTION,
            "share of rows predicted right; no skill is the share of the largest class",
        ),
        Metric(
            "f1",
            "classification",
            _f1,
            _best_constant(_f1),
            _FRACTION,
            "harmonic mean of precision and recall of class 1 of two; no skill is all rows called class 1",
        ),
        Metric(
            "macro-f1",
            "classification",
            _macro_f1,
            _best_constant(_macro_f1),
            _FRACTION,
            "mean of every class's F1; no skill is the best constant class",
        ),
        Metric(
            "mcc",
            "classification",
            _mcc,
            _zero,
            _CORRELATION,
            "Matthews correlation of labels and predictions; no skill is 0",
        ),
        Metric(
            "spearman",
            "regression",
            _spearman,
            _zero,
            _CORRELATION,
            "rank correlation of labels and predictions, ties averaged; no skill is 0",
        ),
        Metric(
            "pearson",
            "regression",
            _pearson,
            _zero,
            _CORRELATION,
            "linear correlation of labels and predictions; no skill is 0",
        ),
    )
}
