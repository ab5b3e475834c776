"""How much of an arm's spread the few test rows make, from the predictions that were kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stabilitybench.comparison.agreement import Predictions, logits_on_test
from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.errors import UserError
from stabilitybench.statistics.scored_rows import RowShare, row_pseudo_values, row_share
from stabilitybench.tasks.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

#: Scores that are no means over rows and for which leaving rows out was found to be right by simulation.
BY_JACKKNIFE = ("f1", "mcc", "pearson")
#: Every row of a correlation is left out alone, which takes the square of their number.
MOST_ROWS = 3_000


@dataclass(frozen=True)
class ArmRowShare:
    """The share of one arm on one task.

    Attributes
    ----------
    encoder, task, arm : str
        Labels.
    metric : str
        The score.
    found : RowShare or None
        None where it is not defined.
    note : str
        Why not; empty where it is.
    """

    encoder: str
    task: str
    arm: str
    metric: str
    found: RowShare | None
    note: str


def row_shares(scores: pd.DataFrame, predictions: Predictions) -> tuple[ArmRowShare, ...]:
    """Return the share of the test rows in the variance of each arm's finished runs, failed ones included.

    Parameters
    ----------
    scores : DataFrame
        Checked rows, in the order of the report.
    predictions : callable
        Returns the stored predictions of a run by its id, as `Store.predictions` does.

    Returns
    -------
    tuple of ArmRowShare
        One per arm with two usable runs or more.
    """
    shares = []
    for (encoder, task, arm), runs in finished(scores).groupby([*GROUP, "arm"], sort=False):
        read = [logits_on_test(str(run_id), predictions) for run_id in runs["run_id"]]
        usable = [r for r in read if r is not None]
        logits = [r[0] for r in usable if r[0].shape == usable[0][0].shape]
        if len(logits) < 2:
            continue
        metric = str(runs["metric"].iloc[0])
        found, note = _share(metric, np.stack(logits), usable[0][1])
        shares.append(ArmRowShare(str(encoder), str(task), str(arm), metric, found, note))
    return tuple(shares)


def _share(metric: str, logits: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> tuple[RowShare | None, str]:
    predicted = logits.argmax(axis=2) if logits.shape[2] > 1 else logits[:, :, 0]
    if metric == "accuracy":
        values: npt.NDArray[Any] = predicted == labels
    elif metric not in BY_JACKKNIFE:
        return None, f"not defined for {metric}"
    elif metric == "pearson" and len(labels) > MOST_ROWS:
        return None, f"not computed beyond {MOST_ROWS:,} rows"
    else:
        score = METRICS[metric].score
        try:
            values = row_pseudo_values(lambda mine, truth: score(truth, mine), predicted, labels)
        except UserError:
            return None, f"{metric} of a run is not defined, or not without one of the rows"
    if values.shape[1] < 2:
        return None, "one row alone"
    found = row_share(values)
    return found, found.note
