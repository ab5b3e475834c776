"""How far the predictions of an arm's runs differ, from what the store keeps of every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError
from stabilitybench.instability.disagreement import (
    churn,
    correct_consistency,
    disagreement_matrix,
    fleiss_kappa,
    jensen_shannon,
)

if TYPE_CHECKING:
    import pandas as pd

#: Returns the stored predictions of a run by its id, as `Store.predictions` does.
Predictions = Callable[[str], "pd.DataFrame"]


@dataclass(frozen=True, eq=False)
class Agreement(EqualByContent):
    """The predicted classes of an arm's runs on the test split, last checkpoint; failed runs come last.

    Attributes
    ----------
    encoder, task, arm : str
        Labels.
    seeds : tuple of int
        Of each run.
    failed : tuple of bool
        Of each run.
    left_out : int
        Runs without usable predictions.
    matrix : ndarray, shape (runs, runs)
        Share of texts on which each pair of runs differs.
    disagreement : float
        Mean of the matrix over pairs.
    kept_disagreement : float or None
        The same among the runs that did not fail; None below two.
    kappa : float or None
        Fleiss' kappa; None where all predict one class.
    divergence : float
        Mean Jensen-Shannon divergence over pairs, in nats.
    churned : float
        Share of texts on which the runs are not of one mind.
    both_right : float
        Share of texts on which two runs are both right.
    """

    encoder: str
    task: str
    arm: str
    seeds: tuple[int, ...]
    failed: tuple[bool, ...]
    left_out: int
    matrix: npt.NDArray[np.float64]
    disagreement: float
    kept_disagreement: float | None
    kappa: float | None
    divergence: float
    churned: float
    both_right: float


def agreements(scores: pd.DataFrame, predictions: Predictions) -> tuple[Agreement, ...]:
    """Return how far the predictions of each arm's runs agree on each classification task.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, in the order of the report.
    predictions : callable
        Returns the stored predictions of a run by its id, as `Store.predictions` does.

    Returns
    -------
    tuple of Agreement
        One per arm with two usable runs or more; regression tasks predict no class and are left out.
    """
    found = []
    done = finished(scores)
    for (encoder, task, arm), runs in done.groupby([*GROUP, "arm"], sort=False):
        agreement = _agreement(runs.sort_values("failed", kind="stable"), predictions)
        if agreement is not None:
            found.append(agreement(str(encoder), str(task), str(arm)))
    return tuple(found)


def _agreement(runs: pd.DataFrame, predictions: Predictions) -> Callable[[str, str, str], Agreement] | None:
    logits: list[npt.NDArray[np.float64]] = []
    labels, kept = None, []
    for run in runs[["run_id", "seed", "failed"]].to_dict("records"):
        read = logits_on_test(str(run["run_id"]), predictions)
        if read is None or (logits and read[0].shape != logits[0].shape):
            continue
        if read[0].shape[1] < 2:
            return None  # a regression task
        logits.append(read[0])
        labels = read[1]
        kept.append(run)
    if len(logits) < 2 or labels is None:
        return None
    stack = np.stack(logits)
    classes = stack.argmax(axis=2)
    failed = np.array([bool(run["failed"]) for run in kept])
    matrix = disagreement_matrix(classes)
    good = matrix[np.ix_(~failed, ~failed)]
    return lambda encoder, task, arm: Agreement(
        encoder=encoder,
        task=task,
        arm=arm,
        seeds=tuple(int(run["seed"]) for run in kept),
        failed=tuple(bool(x) for x in failed),
        left_out=len(runs) - len(kept),
        matrix=matrix,
        disagreement=_pair_mean(matrix),
        kept_disagreement=_pair_mean(good) if len(good) > 1 else None,
        kappa=fleiss_kappa(classes),
        divergence=jensen_shannon(softmax(stack)),
        churned=float((churn(classes)["churn"] > 0).mean()),
        both_right=correct_consistency(classes, labels),
    )


def logits_on_test(
    run_id: str, predictions: Predictions
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]] | None:
    """Return logits and labels of the test split at the last checkpoint.

    Parameters
    ----------
    run_id : str
        Id of a finished run.
    predictions : callable
        Returns the stored predictions of a run by its id.

    Returns
    -------
    (ndarray, ndarray) or None
        Shapes (texts, classes) and (texts,); one column under regression. None where they are damaged or not numbers.
    """
    try:
        table = predictions(run_id)
    except UserError:
        return None
    rows = table[(table["split"] == "test") & (table["checkpoint"] == "last")]
    columns = sorted((c for c in rows.columns if c.startswith("logit_")), key=lambda c: int(c.removeprefix("logit_")))
    logits = rows[columns].dropna(axis="columns", how="all").to_numpy(dtype=np.float64)
    if not logits.size or not np.isfinite(logits).all():
        return None
    return logits, rows["label"].to_numpy()


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities of logits.

    Parameters
    ----------
    logits : ndarray, shape (..., classes)
        Finite numbers.

    Examples
    --------
    >>> softmax(np.log([[1.0, 3.0]])).round(2).tolist()
    [[0.25, 0.75]]
    """
    odds: npt.NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    odds /= odds.sum(axis=-1, keepdims=True)
    return odds


def _pair_mean(matrix: npt.NDArray[np.float64]) -> float:
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())
