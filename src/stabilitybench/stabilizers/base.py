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

    Class attributes: `name` (set by `register`), `paper` (a citation; empty for a control), `position` (where it acts
    in a composition), `traits` (what may keep it apart from others), `version` (part of the run identity once above 1:
    raise it whenever the same parameters come to other numbers, a default included, so that runs of the earlier
    arithmetic are not taken for new ones).
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    position: ClassVar[Position] = Position.LOSS
    traits: ClassVar[frozenset[Trait]] = frozenset()
    version: ClassVar[int] = 1

    @property
    def exact_gradient(self) -> bool:
        """False where the method means its gradient not to be that of its loss (a detached part)."""
        return True

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Raise UserError, in one sentence, where the method cannot work."""

    def conflict(self, other: Stabilizer, layout: Layout | None = None) -> str | None:
        """Return the remedy, as a sentence, where this cannot stand beside `other`; None where it can.

        What `traits` say is refused already.
        layout : the encoder, once it is known; without it only conflicts that hold for every encoder are found.
        """
        return None

    def draws(self, layout: Layout) -> tuple[str, ...]:
        """Return the module groups whose pretrained tensors this replaces by new ones."""
        return ()

    def recipe(self, recipe: Recipe, layout: Layout) -> Recipe:
        """Change the standard part of the training."""
        return recipe

    def phases(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> tuple[Stage, ...]:
        """Return the stages that train the encoder before fine-tuning begins, in their order."""
        return ()

    def initialize(self, params: Params, ctx: Context) -> Params:
        """Return the tensors at step 0; may add tensors."""
        return params

    def rate(self, name: str, ctx: Context) -> float:
        """Return the multiplier of the learning rate of tensor `name`; a constant 0 freezes it."""
        return 1.0

    def frozen(self, name: str, layout: Layout) -> bool:
        """Tell whether tensor `name` never moves; no gradient is computed for it."""
        return False

    def setup(self, params: Params, ctx: Context) -> State:
        """Return the method's own state at step 0."""
        return None

    def forward_weights(self, params: Params, ctx: Context) -> Params:
        """Return the weights the training forward pass reads; gradients flow through."""
        return params

    def penalty(self, forward: Forward, batch: Batch, ctx: Context) -> Tensor | float:
        """Return what is added to the loss (a mean over the rows of the batch)."""
        return 0.0

    def gradient(self, grad_at: GradientAt, params: Params, state: State, ctx: Context) -> tuple[Tensor, Params]:
        """Return loss and gradients before clipping; `grad_at(params)` computes both at any point."""
        return grad_at(params)

    def edit_gradient(self, grads: Params, state: State, ctx: Context) -> Params:
        """Return the gradients after clipping."""
        return grads

    def after_step(self, params: Params, previous: Params, state: State, ctx: Context) -> tuple[Params, State]:
        """Return weights and state after the optimizer; `previous` are the weights before it."""
        return params, state

    def members(self, members: list[Params], ctx: Context) -> list[Params]:
        """Return the networks that go on training after a step; `members` itself where nothing changes.

        One may become several, which train on side by side (the optimizer's moments are copied), and several may become
        one (the moments are averaged).  At an evaluation the predictions of all are averaged.
        """
        return members

    def evaluation(self, params: Params, state: State) -> list[Params]:
        """Return the weights to evaluate; the predictions of several sets are averaged.

        Of composed methods the last one comes first, so that each finds what it has added itself.
        """
        return [params]

    def measures(self, params: Params, ctx: Context) -> dict[str, float]:
        """Return numbers of the method's own, by name, to be recorded at an evaluation.

        params : the weights that are evaluated, of several sets their mean.
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
        """Tell whether this class changes `hook`."""
        return getattr(cls, hook) is not getattr(Stabilizer, hook)

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]
