"""Stabilizers at work on a model that a Trainer trains: what each moment of a step asks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from stabilitybench.errors import UserError
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.network import ForwardOutput
from stabilitybench.finetuning.tensors import Params, copied, digest
from stabilitybench.integrations.forward_recorder import Noise, Seen, Watch, kept, other_masks, output_of
from stabilitybench.integrations.parameter_swap import Slot, add, placed
from stabilitybench.optim.clipping import clip
from stabilitybench.stabilizers import Composition, Context

Features = Callable[["HookSession", Params], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Part:
    """A micro-batch of the step under way: how to run it again, as it was.

    Attributes
    ----------
    run : callable
        Trains on it once more and returns the loss.
    first_row : int
        Place of its first row in the whole batch.
    noise : Noise
        State of the generators before it.
    loss : torch.Tensor
        What training on it returned, without the gradient.
    """

    run: Callable[[], Tensor]
    first_row: int
    noise: Noise
    loss: Tensor


class HookSession:
    """Stabilizers at work on one model.

    The model's parameters stay the trained weights; what a pass reads instead stands in their place for the length of
    the pass alone.

    Parameters
    ----------
    module : torch.nn.Module
        The model; methods that draw tensors anew do so now.
    composition : Composition
        The stabilizers.
    ctx : Context
        What their hooks may read.
    features : callable
        Computes, for a session and weights, what the last layer reads of every training row, and the labels.

    Attributes
    ----------
    step : int
        Optimizer steps taken so far, which the Trainer tells.
    training : bool
        Whether the Trainer is at work.
    base : Context
        What hooks may read before the first step.
    """

    def __init__(self, module: nn.Module, composition: Composition, ctx: Context, features: Features) -> None:
        self.module, self.composition = module, composition
        self.step = 0
        self.training = False
        self.slots: dict[str, Slot] = _slots(module)
        self.states: list[Any] | None = None
        self.parts: list[Part] = []
        self.first_row = 0  # of the micro-batch under way, in its batch
        self._undo: list[Callable[[], None]] = []
        self._groups: list[dict[str, Any]] = []  # of the optimizer, outside its step
        self._settings: list[dict[str, Any]] = []  # of its groups before the step
        self._rates: dict[str, float] = {}
        self._previous: Params = {}
        #: What hooks may read before the first step.
        self.base = ctx = replace(ctx, training_features=partial(features, self))
        given = dict(module.named_parameters())
        before: Params = {n: ctx.reference[n] if n in ctx.reference else t.detach().clone() for n, t in given.items()}
        start = composition.initialize(before, ctx)
        untrained = [n for n, t in given.items() if not t.requires_grad]
        for name in untrained:
            if start[name] is not before[name]:
                raise UserError(f'a stabilizer draws "{name}" anew, but the model has requires_grad = False there')
        self.frozen = {*untrained, *composition.frozen(start, ctx.layout)}
        self.added = {n: t for n, t in start.items() if n not in given}
        with torch.no_grad():
            for name, tensor in given.items():
                if start[name] is not before[name]:
                    tensor.copy_(start[name])
        # What never moves is its own start, which is how a method tells that it is frozen.
        start = {n: given[n] if n in self.frozen and n in given else t for n, t in start.items()}
        self.base = replace(ctx, start=start)

    @property
    def ctx(self) -> Context:
        """What hooks may read in the step under way."""
        return replace(self.base, step=self.step, training=True)

    @property
    def keeps_state(self) -> str:
        """Name of the first method whose values or added tensors live outside the model; empty if there is none."""
        keeping = (*self.composition.changing("setup"), *self.composition.changing("evaluation"))
        return next((s.name for s in self.composition.stabilizers if s in keeping), "")

    @cached_property
    def start_digest(self) -> str:
        """SHA-256 of the weights at step 0."""
        return digest({name: tensor.float() for name, tensor in self.base.start.items()})

    # -- before and after the training

    def enter(self) -> None:
        """Make the model ready: added tensors, frozen ones, dropout, and the hooks that watch it."""
        for name, tensor in self.added.items():
            self._undo.append(add(self.module, name, tensor.clone()))
        self.slots = _slots(self.module)
        parameters = dict(self.module.named_parameters())
        for name in self.frozen:
            if parameters[name].requires_grad:
                parameters[name].requires_grad = False
                self._undo.append(partial(setattr, parameters[name], "requires_grad", True))
        for part, rate in self._dropouts().items():
            self._undo.append(partial(setattr, part, "p", part.p))
            part.p = rate
        self.watch = Watch(self.module, self.base.layout)
        self._undo.append(self.watch.close)
        self.parameters = parameters
        self.trained = {n: p for n, p in parameters.items() if p.requires_grad}
        self.training = True

    def _dropouts(self) -> dict[nn.Dropout, float]:
        """Return the dropouts whose rate the recipe sets, with that rate."""
        recipe, layout, rates = self.base.recipe, self.base.layout, {}
        for name, part in self.module.named_modules():
            if isinstance(part, nn.Dropout):
                if layout.module_group(name) in recipe.dropout_off:
                    rates[part] = 0.0
                elif recipe.dropout is not None:
                    rates[part] = recipe.dropout
        return rates

    def begin(self, total_steps: int, epoch: Callable[[], Iterator[None]]) -> None:
        """Set the methods up, with the model on its device.

        Parameters
        ----------
        total_steps : int
            Optimizer steps that the training will take.
        epoch : callable
            Runs backward on one batch of the first epoch after another, and leaves the gradients in the model.
        """
        device = next(iter(self.parameters.values())).device
        start = {n: self.parameters[n] if n in self.frozen else t.to(device) for n, t in self.base.start.items()}
        reference = {n: t.to(device) for n, t in self.base.reference.items()}
        self.base = replace(self.base, total_steps=total_steps, start=start, reference=reference)

        def epoch_gradients() -> Iterator[Params]:
            for _ in epoch():
                yield self.take_gradients()
                self.step += 1  # each batch has the noise of its step

        with kept(device):
            self.states = self.composition.setup(start, replace(self.base, epoch_gradients=epoch_gradients))
        self.step = 0

    def leave(self) -> None:
        """Leave a plain model behind, with the weights that are to be evaluated."""
        if not self.training:
            return
        if self.states is not None:
            weights = self.evaluated_weights()
            with torch.no_grad():
                for name, tensor in weights.items():
                    if tensor is not self.parameters[name]:
                        self.parameters[name].copy_(tensor)
        for undo in reversed(self._undo):
            undo()
        self._undo, self.states, self.training = [], None, False

    # -- the weights

    def forward_weights(self) -> Mapping[str, Tensor]:
        """Return what a training pass reads; gradients flow to the parameters."""
        return self.composition.forward_weights(dict(self.parameters), self.ctx)

    def evaluated_weights(self) -> Params:
        """Return what an evaluation reads: a plain classifier."""
        assert self.states is not None
        weights: Params = {n: p.detach() if n in self.trained else p for n, p in self.parameters.items()}
        sets = self.composition.evaluation(weights, self.states)
        if len(sets) != 1:
            raise UserError(f"the stabilizers evaluate {len(sets)} networks, and a Trainer evaluates one")
        return sets[0]

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Let the model be what is to be evaluated or saved, inside the block."""
        if self.states is None or not self.composition.changing("evaluation"):
            yield
            return
        weights = self.evaluated_weights()
        with placed(self.slots, {**weights, **dict.fromkeys(self.added)}):
            yield

    # -- the loss

    @contextmanager
    def reading(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Let the model read `weights` inside the block.

        Parameters
        ----------
        weights : mapping of str to torch.Tensor
            What stands in the place of the parameters of these names.

        Yields
        ------
        None
            The parameters are back after the block.
        """
        with placed(self.slots, weights):
            yield

    def penalties(
        self, batch: TokenBatch, weights: Mapping[str, Tensor], seen: Seen, noise: Noise, run: Callable[[], Any]
    ) -> Tensor:
        """Return what the methods add to the loss of `batch`.

        Parameters
        ----------
        batch : TokenBatch
            The rows of the pass.
        weights : mapping of str to torch.Tensor
            The weights that it read.
        seen : Seen
            What was noted of it.
        noise : Noise
            State of the generators before it.
        run : callable
            Makes the pass once more.

        Returns
        -------
        torch.Tensor, shape ()
            The sum of the penalties, 0 without any.
        """
        ctx = self.ctx
        key = ctx.seeds.key("dropout", *ctx.moment, f"row {batch.first_row}")

        def rerun(added: Mapping[str, Tensor], dropout_key: str) -> ForwardOutput:
            other = other_masks(key, dropout_key) if dropout_key else None
            with self.watch.looking(added) as again, noise.again(other):
                run()
            return output_of(again, weights, batch, rerun)

        forward = output_of(seen, weights, batch, rerun)
        total = forward.logits.new_zeros(())
        for penalty in self.composition.penalties(forward, batch, ctx):
            total = total + penalty
        return total

    # -- the gradient

    def take_gradients(self) -> Params:
        """Return the gradients and clear them; a parameter that no loss reaches has gradient 0."""
        grads = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in self.trained.items()}
        for parameter in self.trained.values():
            parameter.grad = None
        return grads

    def put_gradients(self, grads: Mapping[str, Tensor]) -> None:
        """Let the optimizer find these gradients.

        Parameters
        ----------
        grads : mapping of str to torch.Tensor
            One for each trained parameter.
        """
        for name, parameter in self.trained.items():
            parameter.grad = grads[name].detach()

    def whole_gradient(self) -> Tensor:
        """Pass the accumulated gradient through the methods; return by how much the loss of the step changes."""
        params = {n: p.detach() for n, p in self.trained.items()}
        here = torch.stack([part.loss for part in self.parts]).sum(), self.take_gradients()

        def plain(where: Params) -> tuple[Tensor, Params]:
            return here if all(where[n] is t for n, t in params.items()) else self._gradient_at(where)

        assert self.states is not None
        loss, grads = self.composition.gradient(plain, params, self.states, self.ctx)
        self.put_gradients(grads)
        return loss.detach() - here[0]

    def _gradient_at(self, where: Params) -> tuple[Tensor, Params]:
        """Run the micro-batches again at other weights, with the dropout masks they had."""
        before = {n: p.data for n, p in self.trained.items()}
        row, loss = self.first_row, torch.zeros_like(self.parts[0].loss)
        try:
            for name, parameter in self.trained.items():
                parameter.data = where[name].detach()
            for part in self.parts:
                self.first_row = part.first_row
                with part.noise.again():
                    loss = loss + part.run()
            return loss, self.take_gradients()
        finally:
            self.first_row = row
            for name, parameter in self.trained.items():
                parameter.data = before[name]

    # -- the update

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Edit the clipped gradients and give every tensor its rate.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            The Trainer's, about to step.
        """
        recipe = self.base.recipe
        grads = self.take_gradients()
        if recipe.clip_scope == "tensor":
            grads = clip(grads, recipe.clip, scope="tensor")
        assert self.states is not None
        self.put_gradients(self.composition.edit_gradient(grads, self.states, self.ctx))
        self._groups = optimizer.param_groups
        optimizer.param_groups = self._with_rates(self._groups)
        self._settings = [{**group} for group in optimizer.param_groups]
        self._previous = copied(self.trained) if self.composition.changing("after_step") else {}

    def _with_rates(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the optimizer's groups, split where the methods ask for different rates."""
        factors = self.composition.rates(dict.fromkeys(self.trained, 1.0), self.ctx)
        names = {id(p): n for n, p in self.trained.items()}
        self._rates = dict.fromkeys(self.trained, 0.0)
        out = []
        for group in groups:
            split: dict[float, list[Tensor]] = {}
            for parameter in group["params"]:
                name = names.get(id(parameter), "")  # an optimizer of the user's may hold frozen ones, too
                split.setdefault(factors.get(name, 1.0), []).append(parameter)
                self._rates[name] = float(group["lr"]) * factors.get(name, 1.0)
            out += [{**group, "params": part, "lr": group["lr"] * factor} for factor, part in split.items()]
        return out if self.composition.changing("rate") else groups

    def after_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Put the optimizer's groups back and let the methods follow the step.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            The Trainer's, which has just stepped.

        Raises
        ------
        UserError
            Where it keeps values of its own for each group, so that tensors cannot have rates of their own.
        """
        for group, before in zip(optimizer.param_groups, self._settings, strict=True):
            changed = [key for key in group if group[key] is not before.get(key)]
            if changed and self.composition.changing("rate"):
                raise UserError(
                    f"this Trainer's optimizer keeps {', '.join(changed)} for each group of parameters, so that they "
                    "cannot have rates of their own: use another optimizer"
                )
        optimizer.param_groups = self._groups
        assert self.states is not None
        after = replace(self.ctx, step=self.step + 1, rates=self._rates)
        params = {n: p.detach() for n, p in self.trained.items()}
        moved, self.states = self.composition.after_step(params, self._previous, self.states, after)
        self._previous = {}
        for name, tensor in moved.items():
            if tensor is not params[name]:
                params[name].copy_(tensor)  # detached: shares its values with the parameter

    def measures(self) -> dict[str, float]:
        """Return the methods' own numbers."""
        return self.composition.measures(self.evaluated_weights(), replace(self.base, step=self.step))


def _slots(module: nn.Module) -> dict[str, Slot]:
    return {name: Slot.of(module, name) for name, _ in module.named_parameters()}
