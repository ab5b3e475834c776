"""The training loop: one run as a function of its inputs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder, Layout
from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.heads import head_problem
from stabilitybench.finetuning.network import EncoderNetwork
from stabilitybench.finetuning.outcome import (
    Checkpoint,
    Evaluation,
    Outcome,
    Predictions,
    is_constant,
    is_near_no_skill,
    score_all,
)  # fmt: skip
from stabilitybench.finetuning.problem import Problem, TrainableSplit
from stabilitybench.optim.adam import AdamState, adam_step
from stabilitybench.optim.clipping import clip, norm
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Stabilizer, TaskFacts, apply_recipe, compose
from stabilitybench.tasks.base import Task
from stabilitybench.tasks.metrics import METRICS

Params = dict[str, Tensor]
Logits = npt.NDArray[np.float32]
Observer = Callable[[Evaluation], None]
#: Cells of a padded batch in evaluation: an accelerator needs many at once, a CPU keeps few in its cache.
EVALUATION_CELLS = {"cpu": 512, "cuda": 16384}


def finetune(
    encoder: Encoder,
    task: Task,
    recipe: Recipe,
    stabilizers: tuple[Stabilizer, ...] = (),
    seeds: Seeds | None = None,
    *,
    device: str = "cpu",
    observer: Observer | None = None,
    keep_weights: Checkpoint | None = None,
) -> Outcome:
    """Train `encoder` on `task` once and score the last and the best-validation checkpoint.

    The result depends on the arguments alone: not on the process, its global generators, or other runs in it.
    `observer` is told of every evaluation.  keep_weights : also return that checkpoint's tensors.

    Raises UserError where a stabilizer cannot work on this encoder, task or recipe.

    >>> from stabilitybench.encoders import load_encoder
    >>> from stabilitybench.tasks import load_task
    >>> task = load_task("pocket/acceptability")
    >>> finetune(load_encoder("pocket/bert-small"), task, Recipe(steps=2, evaluations=1)).total_steps
    2
    """
    started = time.perf_counter()
    place = torch.device(device)
    with one_thread(place):
        loop = _loop(encoder, task, recipe, stabilizers, seeds or Seeds(), place)
        return loop.run(started, observer, keep_weights)


def prepared(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]
) -> tuple[Callable[[Params], Tensor], Params]:
    """Return the training loss of the first batch as a function of the trained tensors, and these tensors.

    Both in double precision.  The function is what the loop differentiates at its first step: forward weights,
    penalties and training noise included.
    """
    place = torch.device("cpu")
    loop = _loop(encoder, task, recipe, stabilizers, Seeds(), place, torch.float64)
    size, total = loop.recipe.batch_size, loop.ctx.total_steps
    batch = loop.problem.splits.train.batch(next(iter(data.order(len(task.train), size, total, loop.ctx.seeds))))
    if loop.recipe.mode == "head":
        batch = replace(batch, tokens=batch.tokens.double())
    key = loop.ctx.seeds.key("dropout", "step 0")
    return lambda params: loop.loss(params, batch, key), loop.params


def _loop(
    encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...], seeds: Seeds,
    place: torch.device, dtype: torch.dtype = torch.float32,
) -> _Loop:  # fmt: skip
    layout = encoder.layout
    facts = TaskFacts(task.name, task.kind, task.outputs, len(task.train))
    stabilizers = compose(stabilizers, layout)
    recipe = apply_recipe(stabilizers, recipe, layout, facts)
    if recipe.learning_rate is None:
        recipe = recipe.but(learning_rate=encoder.learning_rate)
    problem = (
        head_problem(encoder, task, recipe, place) if recipe.mode == "head" else _full(encoder, task, recipe, place)
    )
    if dtype != torch.float32:
        problem = replace(problem, pretrained={n: t.to(dtype) for n, t in problem.pretrained.items()})
    total = recipe.total_steps(len(task.train))
    ctx = Context(recipe, layout, facts, problem.pretrained, seeds, total)
    return _Loop(problem, task, recipe, stabilizers, ctx, place, dtype)


def resolved(encoder: Encoder, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...]) -> Recipe:
    """Return the recipe a run really trains with, after checking that every stabilizer can work there."""
    facts = TaskFacts(task.name, task.kind, task.outputs, len(task.train))
    recipe = apply_recipe(compose(stabilizers, encoder.layout), recipe, encoder.layout, facts)
    data.text_length(encoder, recipe.max_length)
    for place in recipe.dropout_off:
        if place not in encoder.layout.places:
            places = ", ".join(encoder.layout.places)
            raise UserError(f'recipe.dropout_off: "{place}" is no place of "{encoder.name}"; it has {places}')
    return recipe if recipe.learning_rate is not None else recipe.but(learning_rate=encoder.learning_rate)


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Compute on one thread on a CPU: the order of additions, and so every number, depends on their count."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _full(encoder: Encoder, task: Task, recipe: Recipe, device: torch.device) -> Problem:
    skeleton = encoder.skeleton(task.outputs)
    length = data.text_length(encoder, recipe.max_length)
    tokens = data.tokenise(encoder, task, length)
    return Problem(
        network=EncoderNetwork(skeleton, encoder.layout, recipe, device),
        pretrained={name: t.to(device) for name, t in skeleton.pretrained.items()},
        fresh=skeleton.fresh,
        splits=tokens,
        warnings=tuple(tokens.warnings(length)),
    )


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


@dataclass(frozen=True)
class _Checkpoint:
    """Weights after `step` (one set for each member) and their mean logits on the validation split."""

    step: int
    members: list[Params]
    validation: Logits

    def clone(self) -> _Checkpoint:
        return replace(self, members=[{n: t.clone() for n, t in m.items()} for m in self.members])


class _Loop:
    """The state of one training: weights, optimizer moments, and the states of the stabilizers."""

    def __init__(
        self, problem: Problem, task: Task, recipe: Recipe, stabilizers: tuple[Stabilizer, ...], ctx: Context,
        device: torch.device, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.problem, self.task, self.recipe, self.device = problem, task, recipe, device
        self.stabilizers, self.layout = stabilizers, ctx.layout
        self.start = start = {**problem.pretrained, **draw_fresh(problem.fresh, ctx, device, dtype)}
        for stabilizer in stabilizers:
            start = stabilizer.initialize(start, ctx)
        self.drawn = tuple(name for name in start if start[name] is not self.start.get(name))
        self.start = start
        self.ctx = replace(ctx, start=start)
        self.fixed = {n: t for n, t in start.items() if any(s.frozen(n, self.layout) for s in stabilizers)}
        # The optimizer works in place, so it owns copies; the pretrained tensors serve other runs too.
        self.params = {n: t.detach().clone() for n, t in start.items() if n not in self.fixed}
        self.decays = {n: 0.0 if is_bias(n) or is_norm(n) else recipe.weight_decay for n in self.params}
        ready = replace(self.ctx, epoch_gradients=self.epoch_gradients)
        self.states = [s.setup(dict(start), ready) for s in stabilizers]
        self.adam = AdamState()
        self.loss_sum = torch.zeros((), device=device)
        self.loss_count = 0

    def run(self, started: float, observer: Observer | None, keep_weights: Checkpoint | None) -> Outcome:
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
        """Take one optimizer step; return the learning rate and the gradients before clipping."""
        ctx, recipe = self.ctx, self.recipe
        loss, grads = self.grad(self.params, batch, len(self.stabilizers))
        self.loss_sum += loss.detach()
        self.loss_count += 1
        raw = grads
        grads = clip(grads, recipe.clip, scope=recipe.clip_scope)
        for stabilizer, state in zip(self.stabilizers, self.states, strict=True):
            grads = stabilizer.edit_gradient(grads, state, ctx)
        assert recipe.learning_rate is not None
        rate = recipe.learning_rate * multiplier(recipe.schedule, ctx.step, ctx.total_steps, recipe.warmup)
        scaled = [s for s in self.stabilizers if s.overrides("rate")]
        rates = dict.fromkeys(self.params, rate)
        for stabilizer in scaled:
            rates = {name: value * stabilizer.rate(name, ctx) for name, value in rates.items()}
        followers = [i for i, s in enumerate(self.stabilizers) if s.overrides("after_step")]
        previous = {n: t.clone() for n, t in self.params.items()} if followers else {}
        adam_step(
            self.params, grads, self.adam, rates=rates, decays=self.decays, betas=recipe.betas,
            epsilon=recipe.epsilon, bias_correction=recipe.bias_correction, decay_order=recipe.decay_order,
        )  # fmt: skip
        after = replace(ctx, step=ctx.step + 1, rates=rates)
        for i in followers:
            moved, self.states[i] = self.stabilizers[i].after_step(self.params, previous, self.states[i], after)
            self.params = {n: t.detach().clone() for n, t in moved.items()}
        return rate, raw

    def epoch_gradients(self) -> Iterator[Params]:
        """Yield the gradient of each batch of the first epoch at the weights as they are."""
        n, size = len(self.task.train), self.recipe.batch_size
        for step, rows in enumerate(data.order(n, size, -(-n // size), self.ctx.seeds)):
            self.ctx = replace(self.ctx, step=step)
            yield self.plain_grad(self.params, self.problem.splits.train.batch(rows).to(self.device))[1]

    def grad(self, params: Params, batch: data.TokenBatch, depth: int) -> tuple[Tensor, Params]:
        """Return loss and gradient at `params`, through the `gradient` hooks of the first `depth` stabilizers."""
        for i in range(depth - 1, -1, -1):
            stabilizer = self.stabilizers[i]
            if stabilizer.overrides("gradient"):
                return stabilizer.gradient(partial(self.grad, batch=batch, depth=i), params, self.states[i], self.ctx)
        return self.plain_grad(params, batch)

    def plain_grad(self, params: Params, batch: data.TokenBatch) -> tuple[Tensor, Params]:
        """Return the loss with penalties and its gradient; micro-batches are summed by their share of rows."""
        key = self.ctx.seeds.key("dropout", f"step {self.ctx.step}")
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
        members = [{**self.params, **self.fixed}]
        for stabilizer, state in zip(self.stabilizers, self.states, strict=True):
            members = [out for member in members for out in stabilizer.evaluation(member, state)]
        return members

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
        members = self.members()
        logits = self.logits(members, self.problem.splits.validation)
        labels = self.problem.splits.validation.labels
        train_loss = float(self.loss_sum / max(1, self.loss_count))
        self.loss_sum, self.loss_count = torch.zeros((), device=self.device), 0
        moved = {n: self.params[n] - self.start[n] for n in self.params if n in self.start}
        return Evaluation(
            step=step,
            progress=step / self.ctx.total_steps,
            learning_rate=rate,
            train_loss=train_loss,
            validation_loss=float(self.ctx.task.loss(torch.from_numpy(logits), labels)),
            validation=score_all(self.task, self.task.validation, logits),
            gradient_norm=by_place(grads, self.layout),
            distance=by_place(moved, self.layout),
        ), _Checkpoint(step, members, logits)

    def outcome(
        self, evaluations: list[Evaluation], best_step: int, checkpoints: dict[Checkpoint, _Checkpoint],
        diverged: bool, started: float, keep_weights: Checkpoint | None,
    ) -> Outcome:  # fmt: skip
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
        kept = checkpoints[keep_weights].members[0] if keep_weights else None
        return Outcome(
            status="diverged" if diverged else "failed" if failed else "ok",
            scores=scores,
            no_skill=no_skill,
            failed=failed,
            constant=constant,
            diverged=diverged,
            near_baseline=diverged or is_near_no_skill(task, task.test, test["last"]),
            total_steps=self.ctx.total_steps,
            best_step=best_step,
            evaluations=tuple(evaluations),
            predictions=tuple(predictions),
            drawn=self.drawn,
            frozen=tuple(self.fixed),
            fresh=tuple(self.problem.fresh),
            weights=digest(self.params),
            seconds=time.perf_counter() - started,
            device=device_name(self.device),
            warnings=self.problem.warnings,
            final_weights={n: t.cpu() for n, t in kept.items()} if kept else None,
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


def digest(params: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all tensors, by name."""
    out = hashlib.sha256()
    for name in sorted(params):
        out.update(name.encode())
        out.update(params[name].detach().cpu().contiguous().numpy().tobytes())
    return out.hexdigest()


def device_name(device: torch.device) -> str:
    """Return "cpu" or the name of the accelerator."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
