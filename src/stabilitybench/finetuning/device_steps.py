"""Optimizer steps as a function of device tensors alone: no number is read back, no shape hangs on a value.

Rows, order, dropout keys and rates lie in tables that a counter on the device points into, so the host only says which
shape comes next.  On CUDA such a step is captured once and replayed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stabilitybench.finetuning import data
from stabilitybench.finetuning.flat_adam import FlatAdam
from stabilitybench.finetuning.host_noise import DeviceContext, HostNoise
from stabilitybench.finetuning.mirror import Mirror, form
from stabilitybench.finetuning.network import EncoderNetwork
from stabilitybench.finetuning.objective import Objective
from stabilitybench.finetuning.plain_steps import Member, Training
from stabilitybench.finetuning.step_tables import Ints, RateTable, RowTable, StepShape, fitting, rate_table
from stabilitybench.finetuning.tensors import Params, copied
from stabilitybench.optim.adam import AdamState
from stabilitybench.optim.clipping import clip, clip_factor
from stabilitybench.stabilizers import Context
from stabilitybench.stabilizers.step_hooks import changes_step, steps_on_device


def obstacle(training: Training) -> str | None:
    """Return why the steps of a run must be taken one by one, in words; None where they can be one piece.

    Parameters
    ----------
    training : Training
        The run at step 0.
    """
    recipe = training.recipe
    if not isinstance(training.network, EncoderNetwork):
        return "a head on frozen features is trained"
    if recipe.micro_batch is not None and recipe.micro_batch < recipe.batch_size:
        return "batches are cut into micro-batches"
    bound = [s.name for s in training.composition.stabilizers if not steps_on_device(s)]
    if training.composition.changing("members"):
        bound += [s.name for s in training.composition.changing("members") if s.name not in bound]
    return f"{bound[0]} reads values in a step" if bound else None


def _inputs(training: Training) -> dict[str, Any]:
    """Return the tensors that the steps of a run read and leave; hooks may find any of them by identity."""
    tree: dict[str, Any] = {"frozen": dict(training.frozen)}
    if any(changes_step(s) for s in training.composition.stabilizers):
        tree |= {"start": dict(training.ctx.start), "reference": dict(training.ctx.reference)}
    return tree


def _states(training: Training) -> list[Any]:
    """Return the states of the stabilizers, which their hooks may move: apart from what others read."""
    return list(training.trained[0].states)


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
        assert isinstance(training.network, EncoderNetwork)
        self._network, self._rows, self.shapes = training.network, rows, tuple(shapes)
        self._mirror, self._state_mirror = Mirror(_inputs(training)), Mirror(_states(training))
        self._hooked = "start" in self._mirror.tree
        self._adam = FlatAdam(training.params, self.recipe, training.decays, tables.rates.column, self._cast(training))
        size, total = max(len(r) for r in tables.order), len(tables.order)
        zero = partial(torch.zeros, device=self.device)
        self._order = zero((total, size), dtype=torch.int64)
        self._keys = zero(total, dtype=torch.int32)
        self._rates = zero(tables.rates.values.shape, dtype=torch.float64)
        self._counter = zero(1, dtype=torch.int64)
        self._loss, self._norms = zero(()), zero(len(self._groups(training)))
        self._membership = self._groups_matrix(training)
        self._noise = {shape: HostNoise(self.device) for shape in self.shapes}
        self.load(training, tables)

    @staticmethod
    def form(training: Training) -> Hashable:
        """Return what the tensors of two runs must share to be loaded into the same steps.

        Parameters
        ----------
        training : Training
            One of them, at step 0.
        """
        return form(training.params), form(_inputs(training)), form(_states(training))

    @property
    def params(self) -> Params:
        """The trained weights, changed in place by every step."""
        return self._adam.weights.views

    @property
    def frozen(self) -> Params:
        """The other tensors."""
        return self._mirror.tree["frozen"]  # type: ignore[no-any-return]

    @property
    def states(self) -> list[Any]:
        """The states of the stabilizers."""
        return self._state_mirror.tree  # type: ignore[no-any-return]

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
        self._adam.load(training.params)
        self._mirror.load(_inputs(training))
        self._state_mirror.load(_states(training))
        size = self._order.shape[1]
        order = np.stack([np.pad(rows, (0, size - len(rows))) for rows in tables.order])
        self._order.copy_(torch.from_numpy(order))
        self._keys.copy_(torch.from_numpy(tables.keys))
        self._rates.copy_(torch.from_numpy(tables.rates.values))
        self._counter.zero_()
        self._loss.zero_()
        self._taken = self._summed = 0
        self._plan = [fitting(self.shapes, self._rows.lengths[rows]) for rows in tables.order]
        training.trained[:] = [Member(self.params, AdamState(), self.states)]

    def changed(self) -> list[Any]:
        """Return every tensor that a step changes."""
        return [self._adam.changed, self._counter, self._loss, self._norms, self.states]

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
            adam = self._adam
            adam.gradients.load(grads)
            grads = adam.gradients.views
            sizes = torch.stack(torch._foreach_norm(list(grads.values())))
            self._norms.copy_((self._membership @ sizes.square().to(self._membership)).sqrt())
            factor = None
            if composition.changing("edit_gradient") or (recipe.clip and recipe.clip_scope == "tensor"):
                clipped = clip(grads, recipe.clip, scope=recipe.clip_scope, norms=sizes)
                adam.gradients.load(composition.edit_gradient(clipped, states, ctx))
            elif recipe.clip:
                factor = clip_factor(sizes, recipe.clip)
            previous = copied(self.params) if composition.changing("after_step") else {}
            adam.step(rates, factor)
            if previous:
                column = self._tables.rates.column
                after = self._context(ctx.key, noise, {name: rates[column[name]] for name in self.params})
                self._settle(*composition.after_step(self.params, previous, states, after))
            self._counter += 1

    def _context(self, key: Tensor, noise: HostNoise, rates: Mapping[str, Any]) -> DeviceContext:
        ctx = self._training.ctx
        given = {f.name: getattr(ctx, f.name) for f in fields(ctx)}
        if self._hooked:
            given |= {"start": self._mirror.tree["start"], "reference": self._mirror.tree["reference"]}
        return DeviceContext(**{**given, "training": True, "rates": rates}, key=key, noise=noise)

    def _gradient(self, params: Params, batch: data.TokenBatch, ctx: DeviceContext) -> tuple[Tensor, Params]:
        objective = Objective(self._network, self.composition, self.frozen)
        return objective.gradient({**params, **self._adam.shadows}, batch, ctx)

    def _settle(self, moved: Params, states: list[Any]) -> None:
        """Put what `after_step` returned where the next step reads it."""
        for name, weight in moved.items():
            if weight is not self.params[name]:
                self.params[name].copy_(weight)
        self._adam.refresh()
        for mine, theirs in zip(Mirror.tensors(self.states), Mirror.tensors(states), strict=True):
            if mine is not theirs:
                mine.copy_(theirs)

    def _cast(self, training: Training) -> frozenset[str]:
        """Return the tensors that autocast would cast at every use, if no hook stands between them and the network."""
        between = self.composition.changing("forward_weights") or self.composition.changing("gradient")
        if self.recipe.precision != "bf16" or between:
            return frozenset()
        return self._network.linear_weights & set(training.params)

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
