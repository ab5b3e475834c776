"""The training loop: optimizer steps, evaluations, and what is left at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.outcome import (
    Checkpoint,
    Evaluation,
    Outcome,
    Predictions,
    is_constant,
    is_near_no_skill,
    score_all,
)  # fmt: skip
from stabilitybench.finetuning.prediction import Logits, features_of, mean_logits
from stabilitybench.finetuning.problem import TrainableSplit, TrainingProblem
from stabilitybench.finetuning.tensors import Params, average, copied, digest, draw_new, norm_by_module
from stabilitybench.optim.adam import AdamState, adam_step, average_moments, copy_moments
from stabilitybench.optim.clipping import clip
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Composition, Context
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


@dataclass(eq=False)
class _Member:
    """A network in training: its trained weights, the optimizer's moments, and the states of the stabilizers."""

    params: Params
    adam: AdamState
    states: list[Any]


class Loop:
    """The state of one training: one network, or as many as the stabilizers train side by side.

    Parameters
    ----------
    problem : TrainingProblem
        Network, pretrained tensors and splits.
    task : Task
        Metrics and labels, for the scores.
    recipe : Recipe
        As the stabilizers have changed it, with a learning rate.
    composition : Composition
        Whose hooks are called.
    ctx : Context
        What hooks may read before the first step; each step has one of its own.
    device : torch.device
        Where the training runs.
    dtype : torch.dtype, default torch.float32
        Of the tensors that are drawn.
    """

    def __init__(
        self, problem: TrainingProblem, task: Task, recipe: Recipe, composition: Composition, ctx: Context,
        device: torch.device, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.problem, self.task, self.recipe, self.device = problem, task, recipe, device
        self.composition = composition
        self.loss_sum = torch.zeros((), device=device)
        self.loss_count = 0
        ctx = replace(ctx, training_features=self._training_features)
        before = {**problem.pretrained, **draw_new(problem.newly_initialized, ctx, device, dtype)}
        self.start = composition.initialize(before, ctx)
        self.reinitialized = tuple(n for n, t in self.start.items() if t is not before.get(n))
        frozen = composition.frozen(self.start, ctx.layout, problem.newly_initialized)
        self.frozen = {n: self.start[n] for n in frozen}
        # The optimizer works in place, so it owns copies; the pretrained tensors serve other runs too.
        params = copied({n: t for n, t in self.start.items() if n not in self.frozen})
        self.decays = {n: 0.0 if is_bias(n) or is_norm(n) else recipe.weight_decay for n in params}
        self.ctx = ctx = replace(ctx, start=self.start)
        ready = replace(ctx, epoch_gradients=partial(self._epoch_gradients, params))
        self.trained = [_Member(params, AdamState(), composition.setup(self.start, ready))]

    @property
    def params(self) -> Params:
        """The trained weights of the first network."""
        return self.trained[0].params

    def at(self, step: int) -> Context:
        """Return what hooks may read in a step.

        Parameters
        ----------
        step : int
            Number of steps taken before it.
        """
        return replace(self.ctx, step=step, training=True)

    def run(self, started: float, observer: Observer | None, keep_weights: Checkpoint | None) -> Outcome:
        """Train to the end.

        Parameters
        ----------
        started : float
            When the clock of the run began, as `time.perf_counter` tells it.
        observer : callable or None
            ``observer(evaluation)`` is told of every evaluation.
        keep_weights : {"last", "best"} or None
            Checkpoint whose tensors are returned too.

        Returns
        -------
        Outcome
            With the scores of the last and of the best-validation checkpoint.
        """
        total = self.ctx.total_steps
        marks = set(self.recipe.evaluation_steps(total))
        rows = data.order(len(self.task.train), self.recipe.batch_size, total, self.ctx.seeds)
        evaluations: list[Evaluation] = []
        best: tuple[float, int, _Checkpoint] | None = None
        last: _Checkpoint | None = None
        diverged = False
        for step, chosen in enumerate(rows, start=1):
            batch = self.problem.splits.train.batch(chosen).to(self.device)
            rate, grads = self.step(batch, self.at(step - 1))
            if step in marks:
                evaluation, last = self._evaluate(step, rate, grads)
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

    def step(self, batch: data.TokenBatch, ctx: Context) -> tuple[float, Params]:
        """Take one optimizer step with every network.

        Parameters
        ----------
        batch : TokenBatch
            The rows of the step, on the device of the training.
        ctx : Context
            As `at` returns it.

        Returns
        -------
        rate : float
            The highest learning rate of a tensor.
        gradients : dict of str to Tensor
            The first network's, before clipping.
        """
        recipe = self.recipe
        assert recipe.learning_rate is not None
        rate = recipe.learning_rate * multiplier(recipe.schedule, ctx.step, ctx.total_steps, recipe.warmup)
        rates = self.composition.rates(dict.fromkeys(self.params, rate), ctx)
        raw: Params = {}
        for number, member in enumerate(self.trained):
            grads = self._step_member(member, batch, rates, replace(ctx, member=number))
            raw = raw or grads
        after = replace(ctx, step=ctx.step + 1, rates=rates)
        if self.composition.changing("members"):
            self._replace_members(self.composition.members([m.params for m in self.trained], after))
        return max(rates.values()), raw

    def _step_member(self, member: _Member, batch: data.TokenBatch, rates: Mapping[str, float], ctx: Context) -> Params:
        """Take one optimizer step with one network; return its gradients before clipping."""
        recipe, composition = self.recipe, self.composition
        plain = partial(self._gradient, batch=batch, ctx=ctx)
        loss, raw = composition.gradient(plain, member.params, member.states, ctx)
        self.loss_sum += loss.detach()
        self.loss_count += 1
        grads = clip(raw, recipe.clip, scope=recipe.clip_scope)
        grads = composition.edit_gradient(grads, member.states, ctx)
        followed = bool(composition.changing("after_step"))
        previous = copied(member.params) if followed else {}
        adam_step(
            member.params, grads, member.adam, rates=rates, decays=self.decays, betas=recipe.betas,
            epsilon=recipe.epsilon, bias_correction=recipe.bias_correction, decay_order=recipe.decay_order,
        )  # fmt: skip
        if followed:
            after = replace(ctx, step=ctx.step + 1, rates=rates)
            moved, member.states = composition.after_step(member.params, previous, member.states, after)
            member.params = copied(moved)
        return raw

    def _replace_members(self, networks: list[Params]) -> None:
        """Go on with `networks`: one may have become several, or several one."""
        before = self.trained
        if len(networks) not in (1, len(before)) and len(before) != 1:
            raise UserError(f"a stabilizer made {len(networks)} networks of {len(before)}: only one can become several")
        moments = [m.adam for m in before]
        if len(networks) == 1 and len(before) > 1:
            moments = [average_moments(moments)]
        self.trained = []
        for i, weights in enumerate(networks):
            old = before[i] if i < len(before) else before[0]
            adam = moments[i] if i < len(moments) else copy_moments(moments[0])
            owned = weights if weights is old.params else copied(weights)
            self.trained.append(_Member(owned, adam, list(old.states)))

    def _training_features(self, params: Params) -> tuple[Tensor, Tensor]:
        """Return what the last linear layer reads of every training row, without noise, and the labels."""
        return features_of(self.problem.network, params, self.problem.splits.train, self.device)

    def _epoch_gradients(self, params: Params) -> Iterator[Params]:
        """Yield the gradient of each batch of the first epoch at the weights as they are."""
        n, size = len(self.task.train), self.recipe.batch_size
        for step, rows in enumerate(data.order(n, size, -(-n // size), self.ctx.seeds)):
            batch = self.problem.splits.train.batch(rows).to(self.device)
            yield self._gradient(params, batch, self.at(step))[1]

    def _gradient(self, params: Params, batch: data.TokenBatch, ctx: Context) -> tuple[Tensor, Params]:
        """Return the loss with penalties and its gradient; micro-batches are summed by their share of rows."""
        leaves = {name: t.detach().requires_grad_() for name, t in params.items()}
        loss_sum = torch.zeros((), device=self.device)
        sums: Params = {}
        for part in batch.parts(self.recipe.micro_batch):
            share = len(part) / len(batch)
            loss = self.loss(leaves, part, ctx) * share
            grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            loss_sum = loss_sum + loss.detach()
            sums = {n: g if n not in sums else sums[n] + g for n, g in zip(leaves, grads, strict=True)}
        return loss_sum, sums

    def loss(self, leaves: Params, part: data.TokenBatch, ctx: Context) -> Tensor:
        """Return the training loss of some rows, penalties included.

        Parameters
        ----------
        leaves : dict of str to Tensor
            The trained weights; gradients flow to them.
        part : TokenBatch
            The rows.
        ctx : Context
            Of the step under way; decides the dropout masks.
        """
        weights = self.composition.forward_weights({**leaves, **self.frozen}, ctx)
        key = ctx.seeds.key("dropout", *ctx.moment)
        read = bool(self.composition.changing("penalty"))
        forward = self.problem.network(weights, part, key, hidden=read)
        loss = ctx.task.loss(forward.logits, part.labels)
        for penalty in self.composition.penalties(forward, part, ctx):
            loss = loss + penalty
        return loss

    def members(self) -> list[Params]:
        """Return the sets of weights whose predictions are averaged; one, unless a stabilizer says otherwise."""
        return [out for m in self.trained for out in self.composition.evaluation({**m.params, **self.frozen}, m.states)]

    def _logits(self, members: list[Params], split: TrainableSplit) -> Logits:
        """Return mean logits of `members` on `split`; (rows, outputs) float32."""
        return mean_logits(self.problem.network, members, split, self.task.outputs, self.device)

    def _evaluate(self, step: int, rate: float, grads: Params) -> tuple[Evaluation, _Checkpoint]:
        """Score the validation split after `step`; return what is recorded, and the weights that were scored."""
        members = self.members()
        logits = self._logits(members, self.problem.splits.validation)
        labels = self.problem.splits.validation.labels
        train_loss = float(self.loss_sum / max(1, self.loss_count))
        self.loss_sum, self.loss_count = torch.zeros((), device=self.device), 0
        weights = average([m.params for m in self.trained])
        moved = {n: weights[n] - self.start[n] for n in weights if n in self.start}
        scored = average(members)
        sound = bool(np.isfinite(logits).all())  # weights that are no numbers cannot be measured
        return Evaluation(
            step=step,
            progress=step / self.ctx.total_steps,
            learning_rate=rate,
            train_loss=train_loss,
            validation_loss=float(self.ctx.task.loss(torch.from_numpy(logits), labels)),
            validation=score_all(self.task, self.task.validation, logits),
            gradient_norm=norm_by_module(grads, self.ctx.layout),
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
            reinitialized=self.reinitialized,
            frozen=tuple(self.frozen),
            newly_initialized=tuple(self.problem.newly_initialized),
            weights=digest(*(m.params for m in self.trained)),
            seconds=time.perf_counter() - started,
            device=device_name(self.device),
            warnings=warnings,
            facts=self.problem.facts,
            final_weights={n: t.cpu() for n, t in kept[0].items()} if kept else None,
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
