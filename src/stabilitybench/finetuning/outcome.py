"""What a run leaves behind, and the words for how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.equality import EqualByContent
from stabilitybench.tasks.base import Split, Task
from stabilitybench.tasks.metrics import METRICS, score_or_no_skill

Status = Literal["ok", "failed", "diverged"]
Checkpoint = Literal["last", "best"]


@dataclass(frozen=True, eq=False)
class Evaluation(EqualByContent):
    """The state of a run at an evaluation.

    Attributes
    ----------
    step : int
        Optimizer steps taken.
    progress : float
        Fraction of the training done, in (0, 1].
    learning_rate : float
        The highest of any tensor in the last step.
    train_loss : float
        Mean over the steps since the evaluation before, penalties included.
    validation_loss : float
        Cross-entropy, or squared error, on the validation split, without training noise.
    validation : dict of str to float
        Score by metric, as a fraction; no skill where the metric is undefined.
    gradient_norm : dict of str to float
        Euclidean norm of the last training gradient before clipping, by module group.
    distance : dict of str to float
        Euclidean distance of the weights to their values at step 0, by module group.
    measures : dict of str to float
        The stabilizers' own numbers, by name.
    """

    step: int
    progress: float
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation: dict[str, float]
    gradient_norm: dict[str, float]
    distance: dict[str, float]
    measures: dict[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class Predictions(EqualByContent):
    """Logits of one checkpoint on one split.

    Attributes
    ----------
    split : {"validation", "test"}
        The split.
    checkpoint : {"last", "best"}
        The checkpoint.
    logits : ndarray of float32, shape (rows, outputs)
        In the order of the rows.
    """

    split: Literal["validation", "test"]
    checkpoint: Checkpoint
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outcome(EqualByContent):
    """A finished run.

    Two outcomes are equal where all but the seconds and the kept weights are.

    Attributes
    ----------
    status : {"ok", "failed", "diverged"}
        How the run ended.
    scores : dict
        Score by checkpoint, split and metric, as fractions; an undefined score counts as no skill.
    no_skill : dict of str to float
        Score without skill in the headline metric, by split.
    failed : bool
        Whether the last checkpoint scores no better than no skill on the test split, predicts a constant, or diverged.
    constant : bool
        Whether the last checkpoint predicts the same for every test row.
    diverged : bool
        Whether a loss was no finite number.
    near_no_skill : bool
        Whether a test cannot call the last checkpoint better than no skill on the test split (see `is_near_no_skill`).
    total_steps : int
        Optimizer steps of the whole run.
    best_step : int
        Step of the best-validation checkpoint.
    evaluations : tuple of Evaluation
        In the order of the steps.
    predictions : tuple of Predictions
        Of both checkpoints on both splits.
    reinitialized : tuple of str
        Names of the tensors that a stabilizer drew anew or added.
    frozen : tuple of str
        Names of the tensors that never moved.
    newly_initialized : tuple of str
        Names of the tensors that the checkpoint of the encoder lacked.
    weights : str
        SHA-256 of the last trained weights.
    seconds : float
        Wall-clock time.
    device : str
        "cpu" or the name of the accelerator.
    warnings : tuple of str
        Sentences about the text, the stages and what was kept.
    facts : dict
        What is worth a record beside, such as the stages before fine-tuning.
    final_weights : dict of str to Tensor, or None
        Tensors of the checkpoint that was to be kept, on the CPU.
    """

    status: Status
    scores: dict[str, dict[str, dict[str, float]]]
    no_skill: dict[str, float]
    failed: bool
    constant: bool
    diverged: bool
    near_no_skill: bool
    total_steps: int
    best_step: int
    evaluations: tuple[Evaluation, ...]
    predictions: tuple[Predictions, ...]
    reinitialized: tuple[str, ...]
    frozen: tuple[str, ...]
    newly_initialized: tuple[str, ...]
    weights: str
    seconds: float = field(compare=False)
    device: str
    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    final_weights: dict[str, Any] | None = field(default=None, compare=False, repr=False)


def predicted(task: Task, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Return class indices (argmax of each row), or the scores themselves under regression.

    Parameters
    ----------
    task : Task
        Tells which.
    logits : ndarray of float32, shape (rows, outputs)
        What the classifier says.

    Returns
    -------
    ndarray, shape (rows,)
        Of int, or of float64 under regression.
    """
    return logits[:, 0].astype(np.float64) if task.kind == "regression" else logits.argmax(1)


def score_all(task: Task, split: Split, logits: npt.NDArray[np.float32]) -> dict[str, float]:
    """Score logits by every metric of the task; undefined scores and non-finite logits count as no skill.

    Parameters
    ----------
    task : Task
        Gives the metrics.
    split : Split
        Gives the labels.
    logits : ndarray of float32, shape (rows, outputs)
        One row for each of the split.

    Returns
    -------
    dict of str to float
        Score by metric, as a fraction.
    """
    if not np.isfinite(logits).all():
        return {name: METRICS[name].no_skill(split.labels) for name in task.metrics}
    guess = predicted(task, logits)
    return {name: score_or_no_skill(METRICS[name], split.labels, guess)[0] for name in task.metrics}


def is_constant(task: Task, logits: npt.NDArray[np.float32]) -> bool:
    """Tell whether every row gets the same prediction (or none that is a number).

    Parameters
    ----------
    task : Task
        Classification or regression.
    logits : ndarray of float32, shape (rows, outputs)
        What the classifier says.
    """
    if not np.isfinite(logits).all():
        return True
    guess = predicted(task, logits)
    return bool((guess == guess[0]).all())


def is_near_no_skill(task: Task, split: Split, logits: npt.NDArray[np.float32], level: float = 0.05) -> bool:
    """Tell whether a one-sided test cannot call the predictions better than no skill.

    Accuracy: exact binomial test of the correct rows against the majority share.  Other metrics of two classes:
    Fisher's exact test of association (a constant and an independent guess both score no skill in expectation).
    Regression: Spearman's rank test.

    Parameters
    ----------
    task : Task
        Kind, classes and headline metric.
    split : Split
        Gives the labels.
    logits : ndarray of float32, shape (rows, outputs)
        One row for each of the split.
    level : float, default 0.05
        Level of the test: near where its p-value is above.
    """
    if is_constant(task, logits):
        return True
    guess, labels = predicted(task, logits), split.labels
    if task.kind == "regression":
        if (labels == labels[0]).all():
            return True  # a correlation with one and the same label is undefined
        # Two rows have no p-value: written so that NaN counts as near.
        return not stats.spearmanr(guess, labels, alternative="greater").pvalue <= level
    if task.metrics[0] == "accuracy" or len(task.classes) > 2:
        share = METRICS["accuracy"].no_skill(labels)
        right = int((guess == labels).sum())
        return bool(stats.binomtest(right, len(labels), share, alternative="greater").pvalue > level)
    table = np.array([[int(((guess == a) & (labels == b)).sum()) for b in (0, 1)] for a in (0, 1)])
    return bool(stats.fisher_exact(table, alternative="greater").pvalue > level)
