"""Optimizer steps as a function of device tensors alone: no number is read back, no shape hangs on a value.

Rows, order, dropout keys and rates lie in tables that a counter on the device points into, so the host only says which
shape comes next.  On CUDA such a step is captured once and replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stabilitybench.finetuning import data
from stabilitybench.finetuning.host_noise import DeviceContext, HostNoise
from stabilitybench.finetuning.mirror import Mirror
from stabilitybench.finetuning.objective import Objective
from stabilitybench.finetuning.plain_steps import Member, Training
from stabilitybench.finetuning.step_tables import Ints, RateTable, RowTable, StepShape, fitting, rate_table
from stabilitybench.finetuning.tensors import Params, copied
from stabilitybench.optim.adam import FAR, AdamState
from stabilitybench.optim.clipping import clip
from stabilitybench.stabilizers import Context

#: Hooks that are called within a step.
HOOKS = ("forward_weights", "penalty", "gradient", "edit_gradient", "after_step", "members")


@dataclass(frozen=True, eq=False)
class RunTables:
    """What the steps of one run read besides weights and rows.

    Attributes
    ----------
    order : list of ndarray of int
        Rows of each step.
    keys : ndarray of int32, shape (steps,)
        Dropout key of each step.
    rates : RateTable
        Learning rates.
    """

    order: list[Ints]
    keys: np.ndarray[Any, np.dtype[np.int32]]
    rates: RateTable

    @classmethod
    def of(cls, training: Training) -> RunTables:
        """Tabulate a run.

        Parameters
        ----------
        training : Training
            The run, before its first step.
        """
        recipe, total = training.recipe, training.ctx.total_steps
        n = len(training.splits.train)
        keys = [training.at(step).dropout_key for step in range(total)]
        return cls(
            list(data.order(n, recipe.batch_size, total, training.ctx.seeds)),
            np.array(keys, dtype=np.int32),
            rate_table(training.composition, list(training.params), recipe, training.at),
        )


class DeviceSteps:
    """The steps of runs that differ in values alone, one run after the other.

    Parameters
    ----------
    training : Training
        The first of these runs; its network and composition serve the others too.
    tables : RunTables
        Its tables.
    rows : RowTable
        The training rows.
    shapes : tuple of StepShape
        What every step is fitted into.
    """

    def __init__(self, training: Training, tables: RunTables, rows: RowTable, shapes: Sequence[StepShape]) -> None:
        self.device = training.device
        self.recipe, self.composition = training.recipe, training.composition
        self._hooked = any(self.composition.changing(hook) for hook in HOOKS)
        self._network, self._rows, self.shapes = training.network, rows, tuple(shapes)
        self._mirror = Mirror(self.inputs(training))
        self._decays = training.decays
        size, total = max(len(r) for r in tables.order), len(tables.order)
        zero = partial(torch.zeros, device=self.device)
        self._order = zero((total, size), dtype=torch.int64)
        self._keys = zero(total, dtype=torch.int32)
        self._rates = zero(tables.rates.values.shape, dtype=torch.float64)
        self._counter = zero(1, dtype=torch.int64)
        self._count = zero((), dtype=torch.float32)
        self._loss, self._norms = zero(()), zero(len(self._groups(training)))
        self._membership = self._groups_matrix(training)
        self._moments = AdamState(*({n: torch.zeros_like(t) for n, t in self.params.items()} for _ in range(2)))
        self._shadows = self._make_shadows()
        self._noise = {shape: HostNoise(self.device) for shape in self.shapes}
        self.load(training, tables)

    def inputs(self, training: Training) -> dict[str, Any]:
        """Return the tensors of a run that its steps read: what `load` copies.

        Parameters
        ----------
        training : Training
            The run.
        """
        member = training.trained[0]
        tree: dict[str, Any] = {"params": member.params, "frozen": dict(training.frozen)}
        if any(training.composition.changing(hook) for hook in HOOKS):
            ctx = training.ctx
            tree |= {"start": dict(ctx.start), "reference": dict(ctx.reference), "states": list(member.states)}
        return tree

    @property
    def params(self) -> Params:
        """The trained weights, changed in place by every step."""
        return self._mirror.tree["params"]  # type: ignore[no-any-return]

    @property
    def frozen(self) -> Params:
        """The other tensors."""
        return self._mirror.tree["frozen"]  # type: ignore[no-any-return]

    @property
    def states(self) -> list[Any]:
        """The states of the stabilizers."""
        return self._mirror.tree["states"] if self._hooked else list(self._training.trained[0].states)

    @torch.no_grad()
    def load(self, training: Training, tables: RunTables) -> None:
        """Begin another run.

        Parameters
        ----------
        training : Training
            The run, before its first step.
        tables : RunTables
            Its tables, of the same sizes.
        """
        self._training, self._tables = training, tables
        self._mirror.load(self.inputs(training))
        size = self._order.shape[1]
        order = np.stack([np.pad(rows, (0, size - len(rows))) for rows in tables.order])
        self._order.copy_(torch.from_numpy(order))
        self._keys.copy_(torch.from_numpy(tables.keys))
        self._rates.copy_(torch.from_numpy(tables.rates.values))
        for tensor in (self._counter, self._loss, *self._moments.first.values(), *self._moments.second.values()):
            tensor.zero_()
        self._count.fill_(0.0 if self.recipe.bias_correction else FAR)
        self._refresh_shadows()
        self._taken = self._summed = 0
        self._plan = [fitting(self.shapes, self._rows.lengths[rows]) for rows in tables.order]
        training.trained[:] = [Member(self.params, self._moments, self.states)]

    def advance(self, to: int) -> None:
        """Take the steps up to a number of them; the device may still be at work on them.

        Parameters
        ----------
        to : int
            Steps taken in the end.
        """
        while self._taken < to:
            shape = self._plan[self._taken]
            self._noise[shape].fill(partial(self._on_host, self._taken, shape))
            self._take(shape)
            self._taken += 1
            self._summed += 1

    def _take(self, shape: StepShape) -> None:
        self.step(shape)

    def _on_host(self, step: int, shape: StepShape) -> tuple[Context, data.TokenBatch]:
        return self._training.at(step), self._rows.on_host(self._tables.order[step], shape)

    # -- what an evaluation asks for

    @property
    def rate(self) -> float:
        """The highest learning rate of a tensor in the last step."""
        return float(self._tables.rates.values[self._taken - 1].max())

    def gradient_norm(self) -> dict[str, float]:
        """Return the norm of the last gradient before clipping, by module group."""
        return dict(zip(self._names, self._norms.tolist(), strict=True))

    def mean_loss(self) -> float:
        """Return the mean training loss since it was asked for last."""
        mean = float(self._loss) / max(1, self._summed)
        self._loss.zero_()
        self._summed = 0
        return mean

    # -- the step

    def step(self, shape: StepShape) -> None:
        """Take the step that the counter points at; every call of one shape does the very same operations.

        Parameters
        ----------
        shape : StepShape
            That of the step.
        """
        composition, recipe, noise = self.composition, self.recipe, self._noise[shape]
        noise.begin()
        rows = self._order.index_select(0, self._counter)[0, : shape.rows]
        batch = self._rows.take(rows, shape)
        rates = self._rates.index_select(0, self._counter)[0].unbind()
        ctx = self._context(self._keys.index_select(0, self._counter)[0], noise, {})
        states = self.states
        loss, grads = composition.gradient(partial(self._gradient, batch=batch, ctx=ctx), self.params, states, ctx)
        with torch.no_grad():
            self._loss += loss.detach()
            sizes = torch._foreach_norm(list(grads.values()))
            self._norms.copy_((self._membership @ torch.stack(sizes).square().to(self._membership)).sqrt())
            grads = composition.edit_gradient(clip(grads, recipe.clip, scope=recipe.clip_scope), states, ctx)
            previous = copied(self.params) if composition.changing("after_step") else {}
            self._adam(grads, rates)
            if previous:
                column = self._tables.rates.column
                after = self._context(ctx.key, noise, {name: rates[column[name]] for name in self.params})
                self._settle(*composition.after_step(self.params, previous, states, after))
            self._refresh_shadows()
            self._counter += 1

    def _context(self, key: Tensor, noise: HostNoise, rates: Mapping[str, Any]) -> DeviceContext:
        ctx = self._training.ctx
        given = {f.name: getattr(ctx, f.name) for f in fields(ctx)}
        if self._hooked:
            given |= {"start": self._mirror.tree["start"], "reference": self._mirror.tree["reference"]}
        return DeviceContext(**{**given, "training": True, "rates": rates}, key=key, noise=noise)

    def _gradient(self, params: Params, batch: data.TokenBatch, ctx: DeviceContext) -> tuple[Tensor, Params]:
        objective = Objective(self._network, self.composition, self.frozen)
        loss, grads = objective.gradient({**params, **self._shadows}, batch, ctx)
        if self._shadows:
            grads = {n: g.to(params[n].dtype) for n, g in grads.items()}
        return loss, grads

    def _adam(self, grads: Params, rates: Sequence[Tensor]) -> None:
        """Do what `adam_step` does, with rates and the count of steps on the device."""
        recipe, moments = self.recipe, self._moments
        if recipe.bias_correction:
            self._count += 1
        groups: dict[tuple[int, float], list[str]] = {}
        for name in self.params:
            groups.setdefault((self._tables.rates.column[name], self._decays[name]), []).append(name)
        for (column, decay), names in groups.items():
            weights = [self.params[n] for n in names]
            rate = rates[column]
            torch._fused_adamw_(
                weights,
                [grads[n] for n in names],
                [moments.first[n] for n in names],
                [moments.second[n] for n in names],
                [],
                [self._count] * len(names),
                lr=rate.float() if self.device.type == "cuda" else rate,  # the type that the kernel reads
                beta1=recipe.betas[0],
                beta2=recipe.betas[1],
                weight_decay=decay if recipe.decay_order == "before" else 0.0,
                eps=recipe.epsilon,
                amsgrad=False,
                maximize=False,
            )
            if decay and recipe.decay_order == "after":
                torch._foreach_mul_(weights, 1 - rate * decay)

    def _settle(self, moved: Params, states: list[Any]) -> None:
        """Put what `after_step` returned where the next step reads it."""
        for name, weight in moved.items():
            if weight is not self.params[name]:
                self.params[name].copy_(weight)
        held = Mirror.leaves(self.states)
        for mine, theirs in zip(held, Mirror.leaves(states), strict=True):
            if mine is not theirs:
                mine.copy_(theirs)

    # -- matrices in the precision of the products

    def _make_shadows(self) -> Params:
        """Return copies in bfloat16 of the weights that autocast would cast at every use, if nothing stands between."""
        if self.recipe.precision != "bf16" or self.composition.changing("forward_weights"):
            return {}
        if self.composition.changing("gradient"):  # the gradient is asked for elsewhere, too
            return {}
        cast = self._network.linear_weights  # type: ignore[attr-defined]
        return {n: t.to(torch.bfloat16) for n, t in self.params.items() if n in cast}

    def _refresh_shadows(self) -> None:
        if self._shadows:
            torch._foreach_copy_(list(self._shadows.values()), [self.params[n] for n in self._shadows])

    # -- norms by module group

    def _groups(self, training: Training) -> list[str]:
        layout = training.ctx.layout
        found = {layout.module_group(n) for n in training.params}
        self._names = [group for group in layout.module_groups if group in found]
        return self._names

    def _groups_matrix(self, training: Training) -> Tensor:
        """Return (groups, tensors): 1 where a tensor lies in a group."""
        groups = [training.ctx.layout.module_group(n) for n in self.params]
        return torch.tensor([[float(g == name) for g in groups] for name in self._names], device=self.device)
