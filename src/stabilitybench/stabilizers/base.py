"""The contract of a stabilizer: a frozen dataclass with optional pure hooks.

Parameters travel as ``dict[str, Tensor]`` under Hugging Face names.  A hook returns new values and never changes
what it was given, so the same object serves every run.  Override only what the method changes.  One optimizer step
always runs in this order: forward weights, loss and penalties, gradient, clip, edited gradient, optimizer,
after_step, members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.stabilizers.context import Batch, Context, Forward, Params, TaskFacts
    from stabilitybench.stabilizers.stages import Stage

    State = Any
    GradientAt = Callable[[Params], tuple[Tensor, Params]]


class Stabilizer:
    """One published change to a recipe; subclasses are frozen dataclasses registered by name.

    Attributes
    ----------
    name : str
        Set by `register`.
    paper : str
        A citation; empty for a control.
    position : Position
        Where it acts in a composition.
    traits : frozenset of Trait
        What may keep it apart from others.
    version : int
        At least 1, and part of the run identity once above it: raise it whenever the same parameters come to other
        numbers, a default included, so that runs of the earlier arithmetic are not taken for new ones.
    on_device : bool
        True where everything the hooks of a step do is arithmetic on tensors: they read no value of a tensor
        (``float(t)``, ``if t > 0``, ``t[mask]``, ``t.nonzero()``) and neither ctx.step, ctx.progress nor ctx.moment,
        and draw through ctx alone.  On CUDA a step is then captured and replayed.  A class without a hook in the step
        need not; one that changes such a hook of a class that declares it has to declare it again.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    position: ClassVar[Position] = Position.LOSS
    traits: ClassVar[frozenset[Trait]] = frozenset()
    version: ClassVar[int] = 1
    on_device: ClassVar[bool] = False

    @property
    def exact_gradient(self) -> bool:
        """False where the method means its gradient not to be that of its loss (a detached part)."""
        return True

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Raise UserError, in one sentence, where the method cannot work.

        Parameters
        ----------
        recipe : Recipe
            The recipe before any method has changed it.
        layout : Layout
            Names and module groups of the encoder's tensors.
        task : TaskFacts
            Kind, width and size of the task.

        Raises
        ------
        UserError
            Where the method cannot work; the sentence says why.
        """

    def conflict(self, other: Stabilizer, layout: Layout | None = None) -> str | None:
        """Return the remedy, as a sentence, where this cannot stand beside `other`; None where it can.

        What `traits` say is refused already.

        Parameters
        ----------
        other : Stabilizer
            Another method of the composition.
        layout : Layout, optional
            The encoder, once it is known; without it only conflicts that hold for every encoder are found.

        Returns
        -------
        str or None
            What to do, put after the names of the two.
        """
        return None

    def draws(self, layout: Layout) -> tuple[str, ...]:
        """Return the module groups whose pretrained tensors this replaces by new ones.

        Parameters
        ----------
        layout : Layout
            Names and module groups of the encoder's tensors.

        Returns
        -------
        tuple of str
            Names of groups, such as "layer.11"; no other method may freeze them.
        """
        return ()

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Change the standard part of the training.

        Parameters
        ----------
        recipe : Recipe
            The recipe as the methods before have changed it; a rate of None becomes what the encoder recommends.
        layout : Layout
            Names and module groups of the encoder's tensors.

        Returns
        -------
        Recipe
            A changed copy (``recipe.replace(...)``), or `recipe` itself.
        """
        return recipe

    def phases(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> tuple[Stage, ...]:
        """Return the stages that train the encoder before fine-tuning begins, in their order.

        Parameters
        ----------
        recipe : Recipe
            The recipe as all methods have changed it.
        layout : Layout
            Names and module groups of the encoder's tensors.
        task : TaskFacts
            Kind, width and size of the task.

        Returns
        -------
        tuple of Stage
            Descriptions; a rate of None becomes what the encoder recommends.
        """
        return ()

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Return the tensors at step 0; may add tensors.

        Parameters
        ----------
        params : dict of str to Tensor
            Pretrained tensors, after the stages, and newly drawn ones, as the methods before have left them.
        ctx : Context
            With `training_features`.

        Returns
        -------
        dict of str to Tensor
            What is replaced is a new tensor; all others are passed on as the same objects.
        """
        return params

    def rate(self, name: str, ctx: Context) -> float:
        """Return the multiplier of the learning rate of tensor `name`; a constant 0 freezes it.

        Parameters
        ----------
        name : str
            Name of a trained tensor.
        ctx : Context
            Of the step under way.

        Returns
        -------
        float
            At least 0; the multipliers of several methods are multiplied.
        """
        return 1.0

    def frozen(self, name: str, layout: Layout) -> bool:
        """Tell whether tensor `name` never moves; no gradient is computed for it.

        Parameters
        ----------
        name : str
            Name of a tensor at step 0.
        layout : Layout
            Names and module groups of the encoder's tensors.
        """
        return False

    def setup(self, params: Params, ctx: Context) -> State:
        """Return the method's own state at step 0.

        Parameters
        ----------
        params : dict of str to Tensor
            All tensors at step 0, frozen ones included.
        ctx : Context
            With `start`, `epoch_gradients` and `training_features`.

        Returns
        -------
        State
            Anything; `edit_gradient`, `gradient`, `after_step` and `evaluation` are given it.
        """
        return None

    def forward_weights(self, params: Params, ctx: Context) -> Params:
        """Return the weights the training forward pass reads; gradients flow through.

        Parameters
        ----------
        params : dict of str to Tensor
            All tensors, those that are trained as leaves of the gradient.
        ctx : Context
            Of the step under way.

        Returns
        -------
        dict of str to Tensor
            A tensor of every name that the network reads.
        """
        return params

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return what is added to the loss (a mean over the rows of the batch).

        Parameters
        ----------
        forward : Forward
            The outcome of the training forward pass.
        batch : Batch
            Its rows, of which a micro-batch holds a part.
        ctx : Context
            Of the step under way.

        Returns
        -------
        Tensor, shape (), or float
            Summed over micro-batches by their share of rows.
        """
        return 0.0

    def gradient(self, grad_at: GradientAt, params: Params, state: State, ctx: Context) -> tuple[Tensor, Params]:
        """Return loss and gradients before clipping.

        Parameters
        ----------
        grad_at : callable
            ``grad_at(params)`` returns loss and gradients at any point, as the methods before have changed them, with
            the dropout masks of this step.
        params : dict of str to Tensor
            The trained weights.
        state : State
            The method's own.
        ctx : Context
            Of the step under way.

        Returns
        -------
        loss : Tensor, shape ()
            What is recorded as the training loss.
        gradients : dict of str to Tensor
            One for each of `params`.
        """
        return grad_at(params)

    def edit_gradient(self, grads: Params, state: State, ctx: Context) -> Params:
        """Return the gradients after clipping.

        Parameters
        ----------
        grads : dict of str to Tensor
            Clipped gradients of the trained weights.
        state : State
            The method's own.
        ctx : Context
            Of the step under way.

        Returns
        -------
        dict of str to Tensor
            What the optimizer is given.
        """
        return grads

    def after_step(self, params: Params, previous: Params, state: State, ctx: Context) -> tuple[Params, State]:
        """Return weights and state after the optimizer.

        Parameters
        ----------
        params : dict of str to Tensor
            The trained weights after the optimizer, as the methods before have moved them.
        previous : dict of str to Tensor
            The same before it.
        state : State
            The method's own.
        ctx : Context
            `step` counts the step just taken; with `rates`.

        Returns
        -------
        params : dict of str to Tensor
            The weights that training goes on from.
        state : State
            The method's own, for the step to come.
        """
        return params, state

    def members(self, members: list[Params], ctx: Context) -> list[Params]:
        """Return the networks that go on training after a step; `members` itself where nothing changes.

        One may become several, which train on side by side (the optimizer's moments are copied), and several may become
        one (the moments are averaged).  At an evaluation the predictions of all are averaged.

        Parameters
        ----------
        members : list of dict of str to Tensor
            The trained weights of each network.
        ctx : Context
            `step` counts the step just taken.

        Returns
        -------
        list of dict of str to Tensor
            As many as before, one, or, of one, any number.
        """
        return members

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Return the weights to evaluate; the predictions of several sets are averaged.

        Of composed methods the last one comes first, so that each finds what it has added itself.

        Parameters
        ----------
        params : dict of str to Tensor
            All tensors, frozen ones included.
        state : State
            The method's own.

        Returns
        -------
        list of dict of str to Tensor
            Sets of weights, without what the method itself has added.
        """
        return [params]

    def measures(self, params: Params, ctx: Context) -> dict[str, float]:
        """Return numbers of the method's own, by name, to be recorded at an evaluation.

        Parameters
        ----------
        params : dict of str to Tensor
            The weights that are evaluated, of several sets their mean.
        ctx : Context
            With `training_features`.

        Returns
        -------
        dict of str to float
            Named ``method.quantity``.
        """
        return {}

    def neutral(self) -> Stabilizer | None:
        """Return the instance that equals the plain recipe bit for bit, or None where there is none."""
        return None

    def parameters(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults: what identifies this instance in a run."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}  # type: ignore[arg-type]

    def describe(self) -> str:
        """Return the name with the parameters that differ from the defaults, such as ``reinit(layers=5)``."""
        given = ", ".join(f"{key}={value!r}" for key, value in self.parameters().items())
        return f"{self.name}({given})" if given else self.name

    @classmethod
    def overrides(cls, hook: str) -> bool:
        """Tell whether this class changes `hook`.

        Parameters
        ----------
        hook : str
            Name of a method of `Stabilizer`.
        """
        return getattr(cls, hook) is not getattr(Stabilizer, hook)

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]
