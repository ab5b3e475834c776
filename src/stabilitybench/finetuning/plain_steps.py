"""A run before its first step, and its steps taken one by one, hook by hook: the oracle of every faster form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data
from stabilitybench.finetuning.objective import Objective
from stabilitybench.finetuning.prediction import features_of
from stabilitybench.finetuning.problem import TrainingProblem
from stabilitybench.finetuning.tensors import Params, copied, draw_new, norm_by_module
from stabilitybench.optim.adam import AdamState, adam_step, average_moments, copy_moments
from stabilitybench.optim.clipping import clip
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Composition, Context


@dataclass(eq=False)
class Member:
    """A network in training: its trained weights, the optimizer's moments, and the states of the stabilizers."""

    params: Params
    adam: AdamState
    states: list[Any]


class Training:
    """A run at step 0, and the networks that its steps change.

    Parameters
    ----------
    problem : TrainingProblem
        Network, pretrained tensors and splits.
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

    Attributes
    ----------
    start, frozen : dict of str to Tensor
        All tensors at step 0, and those that never move.
    reinitialized : tuple of str
        Names of the tensors that stabilizers replaced.
    decays : dict of str to float
        Weight decay of each trained tensor.
    trained : list of Member
        One network, or as many as the stabilizers train side by side.
    """

    def __init__(
        self, problem: TrainingProblem, recipe: Recipe, composition: Composition, ctx: Context, device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.network, self.splits, self.recipe = problem.network, problem.splits, recipe
        self.composition, self.device = composition, device
        ctx = replace(ctx, training_features=self._training_features)
        before = {**problem.pretrained, **draw_new(problem.newly_initialized, ctx, device, dtype)}
        self.start = composition.initialize(before, ctx)
        self.reinitialized = tuple(n for n, t in self.start.items() if t is not before.get(n))
        frozen = composition.frozen(self.start, ctx.layout, problem.newly_initialized)
        self.frozen = {n: self.start[n] for n in frozen}
        self.objective = Objective(self.network, composition, self.frozen, recipe.micro_batch)
        # The optimizer works in place, so it owns copies; the pretrained tensors serve other runs too.
        params = copied({n: t for n, t in self.start.items() if n not in self.frozen})
        self.decays = {n: 0.0 if is_bias(n) or is_norm(n) else recipe.weight_decay for n in params}
        self.ctx = ctx = replace(ctx, start=self.start)
        ready = replace(ctx, epoch_gradients=partial(self._epoch_gradients, params))
        self.trained = [Member(params, AdamState(), composition.setup(self.start, ready))]

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

    def _training_features(self, params: Params) -> tuple[Tensor, Tensor]:
        """Return what the last linear layer reads of every training row, without noise, and the labels."""
        return features_of(self.network, params, self.splits.train, self.device)

    def _epoch_gradients(self, params: Params) -> Iterator[Params]:
        """Yield the gradient of each batch of the first epoch at the weights as they are."""
        n, size = len(self.splits.train), self.recipe.batch_size
        for step, rows in enumerate(data.order(n, size, -(-n // size), self.ctx.seeds)):
            batch = self.splits.train.batch(rows).to(self.device)
            yield self.objective.gradient(params, batch, self.at(step))[1]


class PlainSteps:
    """Optimizer steps, each with a context of its own.

    Parameters
    ----------
    training : Training
        Whose networks are changed.

    Attributes
    ----------
    rate : float
        The highest learning rate of a tensor in the last step.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        self.rate = 0.0
        self._gradient: Params = {}
        self._loss_sum, self._loss_count = torch.zeros((), device=training.device), 0
        n, recipe, ctx = len(training.splits.train), training.recipe, training.ctx
        self._order = enumerate(data.order(n, recipe.batch_size, ctx.total_steps, ctx.seeds))
        self._taken = 0

    def advance(self, to: int) -> None:
        """Take the steps up to a number of them.

        Parameters
        ----------
        to : int
            Steps taken in the end.
        """
        while self._taken < to:
            step, rows = next(self._order)
            batch = self.training.splits.train.batch(rows).to(self.training.device)
            self.rate, self._gradient = self.step(batch, self.training.at(step))
            self._taken += 1

    def gradient_norm(self) -> dict[str, float]:
        """Return the norm of the first network's last gradient before clipping, by module group."""
        return norm_by_module(self._gradient, self.training.ctx.layout)

    def mean_loss(self) -> float:
        """Return the mean training loss since it was asked for last."""
        mean = float(self._loss_sum / max(1, self._loss_count))
        self._loss_sum, self._loss_count = torch.zeros((), device=self.training.device), 0
        return mean

    def step(self, batch: data.TokenBatch, ctx: Context) -> tuple[float, Params]:
        """Take one optimizer step with every network.

        Parameters
        ----------
        batch : TokenBatch
            The rows of the step, on the device of the training.
        ctx : Context
            As `Training.at` returns it.

        Returns
        -------
        rate : float
            The highest learning rate of a tensor.
        gradients : dict of str to Tensor
            The first network's, before clipping.
        """
        recipe, composition = self.training.recipe, self.training.composition
        assert recipe.learning_rate is not None
        rate = recipe.learning_rate * multiplier(recipe.schedule, ctx.step, ctx.total_steps, recipe.warmup)
        rates = composition.rates(dict.fromkeys(self.training.params, rate), ctx)
        raw: Params = {}
        for number, member in enumerate(self.training.trained):
            grads = self._step_member(member, batch, rates, replace(ctx, member=number))
            raw = raw or grads
        after = replace(ctx, step=ctx.step + 1, rates=rates)
        if composition.changing("members"):
            self._replace_members(composition.members([m.params for m in self.training.trained], after))
        return max(rates.values()), raw

    def _step_member(self, member: Member, batch: data.TokenBatch, rates: Mapping[str, float], ctx: Context) -> Params:
        """Take one optimizer step with one network; return its gradients before clipping."""
        recipe, composition = self.training.recipe, self.training.composition
        plain = partial(self.training.objective.gradient, batch=batch, ctx=ctx)
        loss, raw = composition.gradient(plain, member.params, member.states, ctx)
        self._loss_sum += loss.detach()
        self._loss_count += 1
        grads = clip(raw, recipe.clip, scope=recipe.clip_scope)
        grads = composition.edit_gradient(grads, member.states, ctx)
        followed = bool(composition.changing("after_step"))
        previous = copied(member.params) if followed else {}
        adam_step(
            member.params, grads, member.adam, rates=rates, decays=self.training.decays, betas=recipe.betas,
            epsilon=recipe.epsilon, bias_correction=recipe.bias_correction, decay_order=recipe.decay_order,
        )  # fmt: skip
        if followed:
            after = replace(ctx, step=ctx.step + 1, rates=rates)
            moved, member.states = composition.after_step(member.params, previous, member.states, after)
            member.params = copied(moved)
        return raw

    def _replace_members(self, networks: list[Params]) -> None:
        """Go on with `networks`: one may have become several, or several one."""
        before = self.training.trained
        if len(networks) not in (1, len(before)) and len(before) != 1:
            raise UserError(f"a stabilizer made {len(networks)} networks of {len(before)}: only one can become several")
        moments = [m.adam for m in before]
        if len(networks) == 1 and len(before) > 1:
            moments = [average_moments(moments)]
        trained = []
        for i, weights in enumerate(networks):
            old = before[i] if i < len(before) else before[0]
            adam = moments[i] if i < len(moments) else copy_moments(moments[0])
            owned = weights if weights is old.params else copied(weights)
            trained.append(Member(owned, adam, list(old.states)))
        self.training.trained = trained
