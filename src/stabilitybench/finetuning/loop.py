"""The training loop: optimizer steps, evaluations, and what is left at the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stabilitybench.encoders import Layout
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
from stabilitybench.finetuning.problem import TrainableSplit, TrainingProblem
from stabilitybench.optim.adam import AdamState, adam_step, average_moments, copy_moments
from stabilitybench.optim.clipping import clip, norm
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Context, Stabilizer
from stabilitybench.stabilizers.composition import refuse_random_frozen
from stabilitybench.tasks.base import Task
from stabilitybench.tasks.metrics import METRICS

Params = dict[str, Tensor]
Logits = npt.NDArray[np.float32]
Observer = Callable[[Evaluation], None]
#: Cells of a padded batch in evaluation: an accelerator needs many at once, a CPU keeps few in its cache.
EVALUATION_CELLS = {"cpu": 512, "cuda": 16384}


def draw_fresh(
    fresh: Mapping[str, tuple[int, ...]], ctx: Context, device: torch.device, dtype: torch.dtype = torch.float32
) -> Params:
    """Draw the tensors that a checkpoint lacks: weights N(0, initializer_range^2), biases 0, norms 1."""
    drawn: Params = {}
    for name, shape in fresh.items():
        empty = torch.zeros(shape, device=device, dtype=dtype)
        if is_norm(name) and not is_bias(name):
            drawn[name] = torch.ones_like(empty)
        elif is_bias(name):
            drawn[name] = empty
        else:
            drawn[name] = ctx.normal(name, empty, spread=ctx.layout.initializer_range, purpose="fresh")
    return drawn


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    """Weights after `step` (one set for each member) and their mean logits on the validation split."""

    step: int
    members: list[Params]
    validation: Logits

    def clone(self) -> _Checkpoint:
        return replace(self, members=[{n: t.clone() for n, t in m.items()} for m in self.members])


@dataclass(eq=False)
class _Member:
    """A network in training: its trained weights, the optimizer's moments, and the states of the stabilizers."""

    params: Params
    adam: AdamState
    states: list[Any]


class Loop:
    """The state of one training: one network, or as many as the stabilizers train side by side."""

    def __init__(
        self, problem: TrainingProblem, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...], ctx: Context,
        device: torch.device, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.problem, self.task, self.recipe, self.device = problem, task, recipe, device
        self.stabilizers, self.layout = stabilizers, ctx.layout
        self.loss_sum = torch.zeros((), device=device)
        self.loss_count = 0
        ctx = replace(ctx, training_features=self.training_features)
        fresh = {**problem.pretrained, **draw_fresh(problem.fresh, ctx, device, dtype)}
        start = fresh
        for stabilizer in stabilizers:
            start = stabilizer.initialize(start, ctx)
        self.drawn = tuple(name for name in start if start[name] is not fresh.get(name))
        self.start = start
        self.ctx = replace(ctx, start=start)
        self.fixed = {n: t for n, t in start.items() if any(s.frozen(n, self.layout) for s in stabilizers)}
        refuse_random_frozen(stabilizers, self.fixed, problem.fresh, self.layout)
        # The optimizer works in place, so it owns copies; the pretrained tensors serve other runs too.
        params = {n: t.detach().clone() for n, t in start.items() if n not in self.fixed}
        self.decays = {n: 0.0 if is_bias(n) or is_norm(n) else recipe.weight_decay for n in params}
        ready = replace(self.ctx, epoch_gradients=partial(self.epoch_gradients, params))
        self.trained = [_Member(params, AdamState(), [s.setup(dict(start), ready) for s in stabilizers])]

    @property
    def params(self) -> Params:
        """The trained weights of the first network."""
        return self.trained[0].params

    def run(self, started: float, observer: Observer | None, keep_weights: Checkpoint | None) -> Outcome:
        """Train to the end; `started` is when the clock of the run began."""
        total = self.ctx.total_steps
        marks = set(self.recipe.evaluation_steps(total))
        rows = data.order(len(self.task.train), self.recipe.batch_size, total, self.ctx.seeds)
        evaluations: list[Evaluation] = []
        best: tuple[float, int, _Checkpoint] | None = None
        last: _Checkpoint | None = None
        diverged = False
        for step, chosen in enumerate(rows, start=1):
            batch = self.problem.splits.train.batch(chosen).to(self.device)
            self.ctx = replace(self.ctx, step=step - 1)
            rate, grads = self.step(batch)
            if step in marks:
                evaluation, last = self.evaluate(step, rate, grads)
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
        return self.outcome(evaluations, best[1], checkpoints, diverged, started, keep_weights)

    def step(self, batch: data.TokenBatch) -> tuple[float, Params]:
        """Take one optimizer step; return the highest rate and the first network's gradients before clipping."""
        recipe, ctx = self.recipe, self.ctx
        assert recipe.learning_rate is not None
        rate = recipe.learning_rate * multiplier(recipe.schedule, ctx.step, ctx.total_steps, recipe.warmup)
        rates = dict.fromkeys(self.params, rate)
        for stabilizer in self.stabilizers:
            if stabilizer.overrides("rate"):
                rates = {name: value * stabilizer.rate(name, ctx) for name, value in rates.items()}
        after = replace(ctx, step=ctx.step + 1, rates=rates)
        raw: Params = {}
        for number, member in enumerate(self.trained):
            self.ctx = replace(ctx, member=number)
            grads = self.move(member, batch, rates, replace(after, member=number))
            raw = raw or grads
        self.ctx = ctx
        for stabilizer in self.stabilizers:
            if stabilizer.overrides("members"):
                self.regroup(stabilizer.members([m.params for m in self.trained], after))
        return max(rates.values()), raw

    def move(self, member: _Member, batch: data.TokenBatch, rates: Mapping[str, float], after: Context) -> Params:
        """Take one optimizer step with one network; return its gradients before clipping."""
        recipe = self.recipe
        loss, grads = self.grad(member.params, member.states, batch, len(self.stabilizers))
        self.loss_sum += loss.detach()
        self.loss_count += 1
        raw = grads
        grads = clip(grads, recipe.clip, scope=recipe.clip_scope)
        for stabilizer, state in zip(self.stabilizers, member.states, strict=True):
            grads = stabilizer.edit_gradient(grads, state, self.ctx)
        followers = [i for i, s in enumerate(self.stabilizers) if s.overrides("after_step")]
        previous = {n: t.clone() for n, t in member.params.items()} if followers else {}
        adam_step(
            member.params, grads, member.adam, rates=rates, decays=self.decays, betas=recipe.betas,
            epsilon=recipe.epsilon, bias_correction=recipe.bias_correction, decay_order=recipe.decay_order,
        )  # fmt: skip
        for i in followers:
            moved, member.states[i] = self.stabilizers[i].after_step(member.params, previous, member.states[i], after)
            member.params = {n: t.detach().clone() for n, t in moved.items()}
        return raw

    def regroup(self, networks: list[Params]) -> None:
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
            same = weights is old.params
            owned = weights if same else {n: t.detach().clone() for n, t in weights.items()}
            self.trained.append(_Member(owned, adam, list(old.states)))

    def training_features(self, params: Params) -> tuple[Tensor, Tensor]:
        """Return what the last linear layer reads of every training row, without noise, and the labels."""
        split = self.problem.splits.train
        out: Tensor | None = None
        with torch.no_grad():
            for rows in _evaluation_batches(split.mask.sum(1).numpy(), EVALUATION_CELLS[self.device.type]):
                features = self.problem.network(params, split.batch(rows).to(self.device)).features.cpu()
                out = features.new_empty((len(split), features.shape[1])) if out is None else out
                out[torch.from_numpy(rows)] = features
        assert out is not None
        return out, split.labels

    def epoch_gradients(self, params: Params) -> Iterator[Params]:
        """Yield the gradient of each batch of the first epoch at the weights as they are."""
        n, size = len(self.task.train), self.recipe.batch_size
        for step, rows in enumerate(data.order(n, size, -(-n // size), self.ctx.seeds)):
            self.ctx = replace(self.ctx, step=step)
            yield self.plain_grad(params, self.problem.splits.train.batch(rows).to(self.device))[1]

    def grad(self, params: Params, states: list[Any], batch: data.TokenBatch, depth: int) -> tuple[Tensor, Params]:
        """Return loss and gradient at `params`, through the `gradient` hooks of the first `depth` stabilizers."""
        for i in range(depth - 1, -1, -1):
            stabilizer = self.stabilizers[i]
            if stabilizer.overrides("gradient"):
                grad_at = partial(self.grad, states=states, batch=batch, depth=i)
                return stabilizer.gradient(grad_at, params, states[i], self.ctx)
        return self.plain_grad(params, batch)

    def plain_grad(self, params: Params, batch: data.TokenBatch) -> tuple[Tensor, Params]:
        """Return the loss with penalties and its gradient; micro-batches are summed by their share of rows."""
        key = self.ctx.seeds.key("dropout", *self.ctx.moment)
        leaves = {name: t.detach().requires_grad_() for name, t in params.items()}
        loss_sum = torch.zeros((), device=self.device)
        sums: Params = {}
        for part in batch.parts(self.recipe.micro_batch):
            share = len(part) / len(batch)
            loss = self.loss(leaves, part, key) * share
            grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            loss_sum = loss_sum + loss.detach()
            sums = {n: g if n not in sums else sums[n] + g for n, g in zip(leaves, grads, strict=True)}
        return loss_sum, sums

    def loss(self, leaves: Params, part: data.TokenBatch, key: int) -> Tensor:
        """Return the training loss of some rows, penalties included; `key` decides the dropout masks."""
        weights = {**leaves, **self.fixed}
        for stabilizer in self.stabilizers:
            weights = stabilizer.forward_weights(weights, self.ctx)
        punishing = [s for s in self.stabilizers if s.overrides("penalty")]
        forward = self.problem.network(weights, part, key, hidden=bool(punishing))
        loss = self.ctx.task.loss(forward.logits, part.labels)
        for stabilizer in punishing:
            loss = loss + stabilizer.penalty(forward, part, self.ctx)
        return loss

    def members(self) -> list[Params]:
        """Return the sets of weights whose predictions are averaged; one, unless a stabilizer says otherwise."""
        found: list[Params] = []
        for member in self.trained:
            sets = [{**member.params, **self.fixed}]
            # What was composed last is undone first: averages are taken of heads before the heads are joined.
            for stabilizer, state in zip(reversed(self.stabilizers), reversed(member.states), strict=True):
                sets = [out for weights in sets for out in stabilizer.evaluation(weights, state)]
            found += sets
        return found

    @torch.no_grad()
    def logits(self, members: list[Params], split: TrainableSplit) -> Logits:
        """Return mean logits of `members` on `split`, without training noise; (rows, outputs) float32."""
        out = np.empty((len(split), self.task.outputs), dtype=np.float32)
        for rows in _evaluation_batches(split.mask.sum(1).numpy(), EVALUATION_CELLS[self.device.type]):
            batch = split.batch(rows).to(self.device)
            mean = torch.stack([self.problem.network(m, batch).logits for m in members]).mean(0)
            out[rows] = mean.float().cpu().numpy()
        return out

    def evaluate(self, step: int, rate: float, grads: Params) -> tuple[Evaluation, _Checkpoint]:
        """Score the validation split after `step`; return what is recorded, and the weights that were scored."""
        members = self.members()
        logits = self.logits(members, self.problem.splits.validation)
        labels = self.problem.splits.validation.labels
        train_loss = float(self.loss_sum / max(1, self.loss_count))
        self.loss_sum, self.loss_count = torch.zeros((), device=self.device), 0
        weights = average([m.params for m in self.trained])
        moved = {n: weights[n] - self.start[n] for n in weights if n in self.start}
        scored = average(members)
        sound = bool(np.isfinite(logits).all())  # weights that are no numbers cannot be measured
        own = [s.measures(scored, replace(self.ctx, step=step)) for s in self.stabilizers if sound]
        return Evaluation(
            step=step,
            progress=step / self.ctx.total_steps,
            learning_rate=rate,
            train_loss=train_loss,
            validation_loss=float(self.ctx.task.loss(torch.from_numpy(logits), labels)),
            validation=score_all(self.task, self.task.validation, logits),
            gradient_norm=by_place(grads, self.layout),
            distance=by_place(moved, self.layout),
            measures={name: float(value) for part in own for name, value in part.items()},
        ), _Checkpoint(step, members, logits)

    def outcome(
        self, evaluations: list[Evaluation], best_step: int, checkpoints: dict[Checkpoint, _Checkpoint],
        diverged: bool, started: float, keep_weights: Checkpoint | None,
    ) -> Outcome:  # fmt: skip
        """Score the test split with both checkpoints and put everything together."""
        task, last = self.task, checkpoints["last"]
        test: dict[Checkpoint, Logits] = {"last": self.logits(last.members, self.problem.splits.test)}
        # The best checkpoint often is the last one.
        same = checkpoints["best"].step == last.step
        test["best"] = test["last"] if same else self.logits(checkpoints["best"].members, self.problem.splits.test)
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
            drawn=self.drawn,
            frozen=tuple(self.fixed),
            fresh=tuple(self.problem.fresh),
            weights=digest(*(m.params for m in self.trained)),
            seconds=time.perf_counter() - started,
            device=device_name(self.device),
            warnings=warnings,
            facts=self.problem.facts,
            final_weights={n: t.cpu() for n, t in kept[0].items()} if kept else None,
        )


def _evaluation_batches(lengths: npt.NDArray[np.int64], cells: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield rows of like length together, as many as fit into `cells`; each row once."""
    order = np.argsort(lengths, kind="stable")
    first = 0
    for after in range(1, len(order) + 1):
        if after == len(order) or (after + 1 - first) * lengths[order[after]] > cells:
            yield order[first:after]
            first = after


def _pairs(validation: Logits, test: Logits) -> list[tuple[Literal["validation", "test"], Logits]]:
    return [("validation", validation), ("test", test)]


def by_place(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, float]:
    """Return the Euclidean norm of `tensors` by place, bottom first; places without tensors are left out."""
    groups: dict[str, Params] = {}
    for name, tensor in tensors.items():
        groups.setdefault(layout.place(name), {})[name] = tensor
    return {place: float(norm(groups[place])) for place in layout.places if place in groups}


def average(networks: Sequence[Mapping[str, Tensor]]) -> Params:
    """Return the mean of each tensor; of a single network its own tensors."""
    if len(networks) == 1:
        return dict(networks[0])
    return {name: torch.stack([n[name] for n in networks]).mean(0) for name in networks[0]}


def digest(*networks: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all tensors, by name, one network after the other."""
    out = hashlib.sha256()
    for params in networks:
        for name in sorted(params):
            out.update(name.encode())
            out.update(params[name].detach().cpu().contiguous().numpy().tobytes())
    return out.hexdigest()


def device_name(device: torch.device) -> str:
    """Return "cpu" or the name of the accelerator."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
