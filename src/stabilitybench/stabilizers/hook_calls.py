"""Where hooks are called: all methods of a composition together, hook by hook, in the order they act.

Nothing else calls one, neither the training loop nor the bridge to a Trainer.  One optimizer step always runs in this
order: forward weights, loss and penalties, gradient, clip, edited gradient, optimizer, after_step, members.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import TaskFacts

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.base import GradientAt, State
    from stabilitybench.stabilizers.context import Batch, Context, Forward, Params
    from stabilitybench.stabilizers.stages import Stage


@dataclass(frozen=True)
class Composition:
    """Stabilizers in the order they act, each method calling one hook of all of them.

    What a hook means and is given, `Stabilizer` says.

    Attributes
    ----------
    stabilizers : tuple of Stabilizer, default ()
        As `compose` returns them.  The `states` of the methods are theirs, one each, in this order; every network in
        training has its own.
    """

    stabilizers: tuple[Stabilizer, ...] = ()

    def changing(self, hook: str) -> tuple[Stabilizer, ...]:
        """Return the stabilizers that change a hook.

        Parameters
        ----------
        hook : str
            Name of a method of `Stabilizer`.
        """
        return tuple(s for s in self.stabilizers if s.overrides(hook))

    # -- before the training

    def recipe(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> Recipe:
        """Return the recipe as the stabilizers change it, after each has said that it can work there.

        Parameters
        ----------
        recipe : Recipe
            The plain recipe.
        layout : Layout
            Names and module groups of the encoder's tensors.
        task : TaskFacts
            Kind, width and size of the task.

        Raises
        ------
        UserError
            Where a stabilizer cannot work.
        """
        for stabilizer in self.stabilizers:
            stabilizer.supports(recipe, layout, task)
        for stabilizer in self.stabilizers:
            recipe = stabilizer.recipe(recipe, layout)
        return recipe

    def phases(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> tuple[Stage, ...]:
        """Return the stages before fine-tuning, in their order.

        Parameters
        ----------
        recipe : Recipe
            As `recipe` returns it.
        layout : Layout
            Names and module groups of the encoder's tensors.
        task : TaskFacts
            Kind, width and size of the task.
        """
        return tuple(stage for s in self.stabilizers for stage in s.phases(recipe, layout, task))

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Return the tensors at step 0.

        Parameters
        ----------
        params : dict of str to Tensor
            Pretrained tensors, after the stages, and newly drawn ones.
        ctx : Context
            What hooks may read.
        """
        for stabilizer in self.stabilizers:
            params = stabilizer.initialize(params, ctx)
        return params

    def frozen(self, names: Iterable[str], layout: Layout, newly_initialized: Container[str] = ()) -> tuple[str, ...]:
        """Return those of `names` that never move.

        Parameters
        ----------
        names : iterable of str
            Names of the tensors at step 0.
        layout : Layout
            Names and module groups of the encoder's tensors.
        newly_initialized : container of str, default ()
            Names of the tensors that the checkpoint lacks.

        Raises
        ------
        UserError
            Where a tensor would stay at random values: drawn anew or new to the encoder, and never trained.
        """
        found = tuple(name for name in names if any(s.frozen(name, layout) for s in self.stabilizers))
        drawn = {group: s.name for s in self.stabilizers for group in s.draws(layout)}
        for name in found:
            if name in newly_initialized:
                raise UserError(f'"{name}" would stay random: the checkpoint lacks it, and a stabilizer freezes it')
            if (group := layout.module_group(name)) in drawn:
                raise UserError(f'"{name}" would stay random: {drawn[group]} draws it, another freezes it')
        return found

    def setup(self, params: Mapping[str, Tensor], ctx: Context) -> list[State]:
        """Return the states at step 0.

        Parameters
        ----------
        params : mapping of str to Tensor
            All tensors at step 0.
        ctx : Context
            What hooks may read.
        """
        return [s.setup(dict(params), ctx) for s in self.stabilizers]

    # -- a step

    def rates(self, rates: Mapping[str, float], ctx: Context) -> dict[str, float]:
        """Return the learning rate of each tensor: that of the schedule times every method's multiplier.

        Parameters
        ----------
        rates : mapping of str to float
            Rates of the schedule, by the name of a trained tensor.
        ctx : Context
            Of the step under way.
        """
        out = dict(rates)
        for stabilizer in self.changing("rate"):
            out = {name: value * stabilizer.rate(name, ctx) for name, value in out.items()}
        return out

    def forward_weights(self, params: Params, ctx: Context) -> Params:
        """Return the weights the training forward pass reads.

        Parameters
        ----------
        params : dict of str to Tensor
            All tensors, those that are trained as leaves of the gradient.
        ctx : Context
            Of the step under way.
        """
        for stabilizer in self.stabilizers:
            params = stabilizer.forward_weights(params, ctx)
        return params

    def penalties(self, forward: Forward, batch: Batch, ctx: Context) -> list[Tensor | float]:
        """Return what is added to the loss, one by one.

        Parameters
        ----------
        forward : Forward
            The outcome of the training forward pass.
        batch : Batch
            Its rows.
        ctx : Context
            Of the step under way.
        """
        return [s.penalty(forward, batch, ctx) for s in self.changing("penalty")]

    def gradient(self, plain: GradientAt, params: Params, states: list[State], ctx: Context) -> tuple[Tensor, Params]:
        """Return loss and gradient at `params` before clipping.

        Parameters
        ----------
        plain : callable
            ``plain(params)`` returns loss and gradient: what the first method sees, and each later one through those
            before it.
        params : dict of str to Tensor
            The trained weights.
        states : list of State
            One for each stabilizer.
        ctx : Context
            Of the step under way.
        """
        grad_at = plain
        for stabilizer, state in zip(self.stabilizers, states, strict=True):
            if stabilizer.overrides("gradient"):
                grad_at = _nested(stabilizer, grad_at, state, ctx)
        return grad_at(params)

    def edit_gradient(self, grads: Params, states: list[State], ctx: Context) -> Params:
        """Return the gradients after clipping.

        Parameters
        ----------
        grads : dict of str to Tensor
            Clipped gradients of the trained weights.
        states : list of State
            One for each stabilizer.
        ctx : Context
            Of the step under way.
        """
        for stabilizer, state in zip(self.stabilizers, states, strict=True):
            grads = stabilizer.edit_gradient(grads, state, ctx)
        return grads

    def after_step(
        self, params: Params, previous: Params, states: list[State], ctx: Context
    ) -> tuple[Params, list[State]]:
        """Return weights and states after the optimizer.

        Parameters
        ----------
        params : dict of str to Tensor
            The trained weights after the optimizer.
        previous : dict of str to Tensor
            The same before it.
        states : list of State
            One for each stabilizer.
        ctx : Context
            After the step.
        """
        states = list(states)
        for i, stabilizer in enumerate(self.stabilizers):
            if stabilizer.overrides("after_step"):
                params, states[i] = stabilizer.after_step(params, previous, states[i], ctx)
        return params, states

    def members(self, networks: list[Params], ctx: Context) -> list[Params]:
        """Return the networks that go on training after a step.

        Parameters
        ----------
        networks : list of dict of str to Tensor
            The trained weights of each network.
        ctx : Context
            After the step.
        """
        for stabilizer in self.changing("members"):
            networks = stabilizer.members(networks, ctx)
        return networks

    # -- an evaluation

    def evaluation(self, params: Params, states: list[State]) -> list[Params]:
        """Return the sets of weights whose predictions are averaged; one, unless a stabilizer says otherwise.

        Parameters
        ----------
        params : dict of str to Tensor
            All tensors of one network.
        states : list of State
            One for each stabilizer.
        """
        sets = [params]
        # What was composed last is undone first: averages are taken of heads before the heads are joined.
        for stabilizer, state in zip(reversed(self.stabilizers), reversed(states), strict=True):
            sets = [out for weights in sets for out in stabilizer.evaluation(weights, state)]
        return sets

    def measures(self, params: Params, ctx: Context) -> dict[str, float]:
        """Return the methods' own numbers, by name.

        Parameters
        ----------
        params : dict of str to Tensor
            The weights that are evaluated, of several sets their mean.
        ctx : Context
            What hooks may read.
        """
        own = [s.measures(params, ctx) for s in self.stabilizers]
        return {name: float(value) for part in own for name, value in part.items()}


def _nested(stabilizer: Stabilizer, grad_at: GradientAt, state: Any, ctx: Context) -> GradientAt:
    return lambda params: stabilizer.gradient(grad_at, params, state, ctx)
