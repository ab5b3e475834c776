"""What a study says of two uses of several seeds: dropping bad runs early, and averaging the predictions of runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stabilitybench.comparison.agreement import Predictions, logits_on_test, softmax
from stabilitybench.comparison.score_table import GROUP, finished
from stabilitybench.statistics import SeedEnsembles, dropping_cost, early_dropping, failure_auc, seed_ensembles
from stabilitybench.tasks.metrics import METRICS, Metric, score_or_no_skill

if TYPE_CHECKING:
    import pandas as pd

#: Shares of the training after which dropping is looked at.
FRACTIONS = (0.2, 0.4, 0.6)
#: Runs started, of twice as many at least: the mean over their subsets is then worth something.
STARTED = 10
FEWEST = 8
SIZES = (3, 5)
PARTITIONS = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EarlyDroppingPoint:
    """What dropping the worse half after a part of the training brings; scores are fractions.

    Attributes
    ----------
    fraction : float
        The part of the training.
    kept : float
        Expected test score of the run kept.
    saved : float
        Share of the training not done.
    same_cost : float
        The score without dropping, of as many runs as cost the same.
    auc_loss, auc_validation : float or None
        How well training loss and validation score at that point tell the runs that will fail; None where no run or
        every run failed.
    """

    fraction: float
    kept: float
    saved: float
    same_cost: float
    auc_loss: float | None
    auc_validation: float | None


@dataclass(frozen=True)
class EarlyDropping:
    """Early dropping in one arm: of the runs started, the one of best validation score is kept.

    Attributes
    ----------
    encoder, task, arm : str
        Labels.
    n, failed : int
        Runs there are, and failed ones of them.
    started : int
        Runs drawn from these.
    all_finish : float
        Expected test score of the run kept where none is dropped.
    early : dict of float to EarlyDroppingPoint
        By nominal fraction, where runs were evaluated by then.
    """

    encoder: str
    task: str
    arm: str
    n: int
    failed: int
    started: int
    all_finish: float
    early: dict[float, EarlyDroppingPoint]


@dataclass(frozen=True)
class SeedEnsemble:
    """Ensembles of an arm's runs.

    Attributes
    ----------
    encoder, task, arm : str
        Labels.
    n : int
        Runs with usable predictions.
    ensembles : dict of int to SeedEnsembles
        By size.
    """

    encoder: str
    task: str
    arm: str
    n: int
    ensembles: dict[int, SeedEnsembles]


def droppings(scores: pd.DataFrame, curves: pd.DataFrame) -> tuple[EarlyDropping, ...]:
    """Return what early dropping brings in each arm.

    Parameters
    ----------
    scores : DataFrame
        Checked rows.
    curves : DataFrame
        One row per evaluation.

    Returns
    -------
    tuple of EarlyDropping
        One per arm with 8 finished runs or more and evaluations before the end.
    """
    by_run = {run: rows.sort_values("step") for run, rows in curves.groupby("run_id", sort=False)}
    found = []
    for (encoder, task, arm), runs in finished(scores).groupby([*GROUP, "arm"], sort=False):
        runs = runs[runs["validation"].notna()]
        if len(runs) < FEWEST or not set(runs["run_id"]) <= set(by_run):
            continue
        own = [by_run[run] for run in runs["run_id"]]
        started = min(STARTED, len(runs) // 2)
        final, score = runs["validation"].to_numpy(), runs["score"].to_numpy()
        early = {f: e for f in FRACTIONS if (e := _early(f, own, final, score, runs["failed"].to_numpy(), started))}
        if early:
            everyone = early_dropping(final, final, started, 0, score)
            failed = int(runs["failed"].sum())
            found.append(EarlyDropping(str(encoder), str(task), str(arm), len(runs), failed, started, everyone, early))
    return tuple(found)


def _early(
    nominal: float,
    curves: list[pd.DataFrame],
    final: Floats,
    score: Floats,
    failed: npt.NDArray[np.bool_],
    started: int,
) -> EarlyDroppingPoint | None:
    """Return what dropping brings at the last evaluation up to `nominal`, or None where there is none nearby."""
    before = [rows[rows["progress"] <= nominal + 0.02] for rows in curves]
    if any(rows.empty for rows in before):
        return None
    fraction = float(np.median([rows["progress"].iloc[-1] for rows in before]))
    if not nominal - 0.1 <= fraction < 1:
        return None
    validation, loss = (_readings(before, column, sign) for column, sign in (("validation", 1), ("train_loss", -1)))
    dropped = started // 2
    cost = dropping_cost(started, dropped, fraction)
    # between whole numbers of runs, the score is interpolated
    low = int(cost)
    one, two = (early_dropping(final, final, m, 0, score) for m in (low, low + 1))
    return EarlyDroppingPoint(
        fraction=fraction,
        kept=early_dropping(validation, final, started, dropped, score),
        saved=1 - cost / started,
        same_cost=one + (cost - low) * (two - one),
        auc_loss=failure_auc(loss, failed).estimate,
        auc_validation=failure_auc(validation, failed).estimate,
    )


def _readings(rows: list[pd.DataFrame], column: str, sign: int) -> Floats:
    """Return the last reading of each run, higher is better; a diverged run, which has none, is the worst."""
    values = np.array([sign * float(r[column].iloc[-1]) for r in rows])
    known = np.isfinite(values)
    worst = float(values[known].min()) - 1 if known.any() else 0.0
    return np.where(known, values, worst)


def ensembles(scores: pd.DataFrame, predictions: Predictions) -> tuple[SeedEnsemble, ...]:
    """Return what averaging the predictions of several runs brings in each arm.

    Parameters
    ----------
    scores : DataFrame
        Checked rows.
    predictions : callable
        Returns the stored predictions of a run by its id.

    Returns
    -------
    tuple of SeedEnsemble
        One per arm with 3 runs or more whose predictions are usable.
    """
    found = []
    for (encoder, task, arm), runs in finished(scores).groupby([*GROUP, "arm"], sort=False):
        metric = METRICS.get(str(runs["metric"].iloc[0]))
        read = [r for run in runs["run_id"] if (r := logits_on_test(str(run), predictions)) is not None]
        if metric is None or len(read) < min(SIZES) or len({logits.shape for logits, _ in read}) > 1:
            continue
        outputs = np.stack([logits for logits, _ in read])
        if outputs.shape[2] > 1:
            outputs = softmax(outputs)
        score = _scorer(metric, read[0][1])
        sized = {
            size: seed_ensembles(outputs, score, size, np.random.default_rng(0), PARTITIONS)
            for size in SIZES
            if size <= len(read)
        }
        found.append(SeedEnsemble(str(encoder), str(task), str(arm), len(read), sized))
    return tuple(found)


def _scorer(metric: Metric, labels: npt.NDArray[Any]) -> Callable[[Floats], float]:
    """Return the score of mean outputs; each set of predictions is scored once, which is what takes the time."""
    known: dict[bytes, float] = {}

    def score(mean: Floats) -> float:
        guess = mean.argmax(axis=1) if mean.shape[1] > 1 else mean[:, 0]
        key = guess.tobytes()
        if key not in known:
            known[key] = score_or_no_skill(metric, labels, guess)[0]
        return known[key]

    return score
