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
    """The state of a run after `step` optimizer steps.

    train_loss : mean over the steps since the evaluation before.  validation : score by metric name (NaN where the
    metric is undefined).  gradient_norm : norm of the last training gradient before clipping, by module group.
    distance : Euclidean distance of the weights to their values at step 0, by module group.  measures : the
    stabilizers' own numbers, by name.
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
    """Logits of one checkpoint on one split: (rows, outputs) float32."""

    split: Literal["validation", "test"]
    checkpoint: Checkpoint
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outcome(EqualByContent):
    """A finished run.

    scores : score by checkpoint, split and metric, as fractions; an undefined score counts as no skill.
    no_skill : of the headline metric, by split.  failed, constant, diverged, near_no_skill : of the last checkpoint on
    the test split.  reinitialized, frozen, newly_initialized : names of the tensors that a stabilizer drew anew or
    added, that never moved, and that the checkpoint lacked.  weights : SHA-256 of the last trained weights.
    facts : what is worth a record beside, such as the stages before fine-tuning.  Two
    outcomes are equal where all but the seconds and the kept weights are.
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
    """Return class indices (argmax of each row), or the scores themselves under regression."""
    return logits[:, 0].astype(np.float64) if task.kind == "regression" else logits.argmax(1)


def score_all(task: Task, split: Split, logits: npt.NDArray[np.float32]) -> dict[str, float]:
    """Score `logits` by every metric of the task; undefined scores and non-finite logits count as no skill."""
    if not np.isfinite(logits).all():
        return {name: METRICS[name].no_skill(split.labels) for name in task.metrics}
    guess = predicted(task, logits)
    return {name: score_or_no_skill(METRICS[name], split.labels, guess)[0] for name in task.metrics}


def is_constant(task: Task, logits: npt.NDArray[np.float32]) -> bool:
    """Tell whether every row gets the same prediction (or none that is a number)."""
    if not np.isfinite(logits).all():
        return True
    guess = predicted(task, logits)
    return bool((guess == guess[0]).all())


def is_near_no_skill(task: Task, split: Split, logits: npt.NDArray[np.float32], level: float = 0.05) -> bool:
    """Tell whether a one-sided test at `level` cannot call the predictions better than no skill.

    Accuracy: exact binomial test of the correct rows against the majority share.  Other metrics of two classes:
    Fisher's exact test of association (a constant and an independent guess both score no skill in expectation).
    Regression: Spearman's rank test.
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
