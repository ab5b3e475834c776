"""The training loop: optimizer steps, evaluations, and what is left at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch

from stabilitybench.finetuning.outcome import (
    Checkpoint,
    Evaluation,
    Outcome,
    Predictions,
    is_constant,
    is_near_no_skill,
    score_all,
)  # fmt: skip
from stabilitybench.finetuning.plain_steps import PlainSteps, Training
from stabilitybench.finetuning.prediction import Logits, mean_logits
from stabilitybench.finetuning.problem import TrainableSplit, TrainingProblem
from stabilitybench.finetuning.tensors import Params, average, copied, digest, norm_by_module
from stabilitybench.tasks.base import Task
from stabilitybench.tasks.metrics import METRICS

Observer = Callable[[Evaluation], None]


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    """Weights after `step` (one set for each member) and their mean logits on the validation split."""

    step: int
    members: list[Params]
    validation: Logits

    def clone(self) -> _Checkpoint:
        return replace(self, members=[copied(m) for m in self.members])


class Steps(Protocol):
    """How optimizer steps are taken: one by one, or as one piece on the device."""

    @property
    def rate(self) -> float:
        """The highest learning rate of a tensor in the last step."""
        ...

    def advance(self, to: int) -> None:
        """Take the steps up to a number of them.

        Parameters
        ----------
        to : int
            Steps taken in the end.
        """
        ...

    def gradient_norm(self) -> dict[str, float]:
        """Return the norm of the last gradient before clipping, by module group."""
        ...

    def mean_loss(self) -> float:
        """Return the mean training loss since it was asked for last."""
        ...


class Loop:
    """One training: its steps, and what evaluations make of it.

    Parameters
    ----------
    problem : TrainingProblem
        Network, pretrained tensors and splits.
    task : Task
        Metrics and labels, for the scores.
    training : Training
        The run at step 0.
    steps : Steps, optional
        How its steps are taken; one by one by default.
    """

    def __init__(self, problem: TrainingProblem, task: Task, training: Training, steps: Steps | None = None) -> None:
        self.problem, self.task, self.training = problem, task, training
        self.device, self.ctx, self.composition = training.device, training.ctx, training.composition
        self.steps = steps or PlainSteps(training)

    def run(self, started: float, observer: Observer | None, keep_weights: Checkpoint | None) -> Outcome:
        """Train to the end.

        Parameters
        ----------
        started, observer, keep_weights : object
            As for `parts`.

        Returns
        -------
        Outcome
            With the scores of the last and of the best-validation checkpoint.
        """
        parts = self.parts(started, observer, keep_weights)
        while True:
            try:
                next(parts)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome

    def parts(
        self, started: float, observer: Observer | None, keep_weights: Checkpoint | None
    ) -> Generator[None, None, Outcome]:
        """Train, and pause before each evaluation: the device may still be at work on the steps before it.

        Parameters
        ----------
        started : float
            When the clock of the run began, as `time.perf_counter` tells it.
        observer : callable or None
            ``observer(evaluation)`` is told of every evaluation.
        keep_weights : {"last", "best"} or None
            Checkpoint whose tensors are returned too.

        Yields
        ------
        None
            Whoever drives several trainings goes on with another one.

        Returns
        -------
        Outcome
            With the scores of the last and of the best-validation checkpoint.
        """
        evaluations: list[Evaluation] = []
        best: tuple[float, int, _Checkpoint] | None = None
        last: _Checkpoint | None = None
        diverged = False
        for step in self.training.recipe.evaluation_steps(self.ctx.total_steps):
            self.steps.advance(step)
            yield
            evaluation, last = self._evaluate(step)
            evaluations.append(evaluation)
            if observer is not None:
                observer(evaluation)
            diverged = not (np.isfinite(evaluation.train_loss) and np.isfinite(evaluation.validation_loss))
            headline = evaluation.validation[self.task.metrics[0]]
            # Weights that are no numbers score as no skill, which may exceed an honest early score.
            if best is None or (headline > best[0] and not diverged):
                # Cloned: the loop goes on changing these very tensors.
                best = (headline, step, last.clone())
            if diverged:
                break
        assert best is not None  # the last step is always evaluated
        assert last is not None
        checkpoints: dict[Checkpoint, _Checkpoint] = {"last": last, "best": best[2]}
        return self._outcome(evaluations, best[1], checkpoints, diverged, started, keep_weights)

    def members(self) -> list[Params]:
        """Return the sets of weights whose predictions are averaged; one, unless a stabilizer says otherwise."""
        frozen = self.training.frozen
        return [
            out for m in self.training.trained for out in self.composition.evaluation({**m.params, **frozen}, m.states)
        ]

    def _logits(self, members: list[Params], split: TrainableSplit) -> Logits:
        """Return mean logits of `members` on `split`; (rows, outputs) float32."""
        return mean_logits(self.problem.network, members, split, self.task.outputs, self.device)

    def _evaluate(self, step: int) -> tuple[Evaluation, _Checkpoint]:
        """Score the validation split after `step`; return what is recorded, and the weights that were scored."""
        members = self.members()
        logits = self._logits(members, self.problem.splits.validation)
        labels = self.problem.splits.validation.labels
        weights = average([m.params for m in self.training.trained])
        start = self.training.start
        moved = {n: weights[n] - start[n] for n in weights if n in start}
        scored = average(members)
        sound = bool(np.isfinite(logits).all())  # weights that are no numbers cannot be measured
        return Evaluation(
            step=step,
            progress=step / self.ctx.total_steps,
            learning_rate=self.steps.rate,
            train_loss=self.steps.mean_loss(),
            validation_loss=float(self.ctx.task.loss(torch.from_numpy(logits), labels)),
            validation=score_all(self.task, self.task.validation, logits),
            gradient_norm=self.steps.gradient_norm(),
            distance=norm_by_module(moved, self.ctx.layout),
            measures=self.composition.measures(scored, replace(self.ctx, step=step)) if sound else {},
        ), _Checkpoint(step, members, logits)

    def _outcome(
        self, evaluations: list[Evaluation], best_step: int, checkpoints: dict[Checkpoint, _Checkpoint],
        diverged: bool, started: float, keep_weights: Checkpoint | None,
    ) -> Outcome:  # fmt: skip
        """Score the test split with both checkpoints and put everything together."""
        task, last = self.task, checkpoints["last"]
        test: dict[Checkpoint, Logits] = {"last": self._logits(last.members, self.problem.splits.test)}
        # The best checkpoint often is the last one.
        same = checkpoints["best"].step == last.step
        test["best"] = test["last"] if same else self._logits(checkpoints["best"].members, self.problem.splits.test)
        predictions = [
            Predictions(split, name, logits)
            for name, checkpoint in checkpoints.items()
            for split, logits in _pairs(checkpoint.validation, test[name])
        ]
        scores: dict[str, dict[str, dict[str, float]]] = {"last": {}, "best": {}}
        for p in predictions:
            scores[p.checkpoint][p.split] = score_all(task, getattr(task, p.split), p.logits)
        headline = METRICS[task.metrics[0]]
        no_skill = {split: headline.no_skill(getattr(task, split).labels) for split in ("validation", "test")}
        constant = is_constant(task, test["last"])
        failed = diverged or constant or scores["last"]["test"][headline.name] <= no_skill["test"] + 1e-12
        kept = checkpoints[keep_weights].members if keep_weights else []
        warnings = self.problem.warnings
        if len(kept) > 1:
            warnings = (*warnings, f"the scores are those of {len(kept)} networks; the first alone was kept")
        return Outcome(
            status="diverged" if diverged else "failed" if failed else "ok",
            scores=scores,
            no_skill=no_skill,
            failed=failed,
            constant=constant,
            diverged=diverged,
            near_no_skill=diverged or is_near_no_skill(task, task.test, test["last"]),
            total_steps=self.ctx.total_steps,
            best_step=best_step,
            evaluations=tuple(evaluations),
            predictions=tuple(predictions),
            reinitialized=self.training.reinitialized,
            frozen=tuple(self.training.frozen),
            newly_initialized=tuple(self.problem.newly_initialized),
            weights=digest(*(m.params for m in self.training.trained)),
            seconds=time.perf_counter() - started,
            device=device_name(self.device),
            warnings=warnings,
            facts=self.problem.facts,
            final_weights={n: t.cpu() for n, t in copied(kept[0]).items()} if kept else None,
        )


def _pairs(validation: Logits, test: Logits) -> list[tuple[Literal["validation", "test"], Logits]]:
    return [("validation", validation), ("test", test)]


def device_name(device: torch.device) -> str:
    """Return "cpu" or the name of the accelerator.

    Parameters
    ----------
    device : torch.device
        Where a run trained.
    """
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
