"""The contract of a stabilizer: a frozen dataclass with optional pure hooks.

Parameters travel as ``dict[str, Tensor]`` under Hugging Face names.  A hook returns new values and never changes
what it was given, so the same object serves every run.  Override only what the method changes.  One optimizer step
always runs in this order: forward weights, loss and penalties, gradient, clip, edited gradient, optimizer,
after_step, members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.traits import Position, Trait

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.seeds import Seeds, Stream
    from stabilitybench.stabilizers.stages import Stage

    Params = dict[str, Tensor]
    State = Any
    GradientAt = Callable[[Params], tuple[Tensor, Params]]


def _no_gradients() -> Iterator[Params]:
    raise UserError("ctx.epoch_gradients() is offered to `setup` alone: keep what you need of it in the state")


def _no_features(params: Params) -> tuple[Tensor, Tensor]:
    raise UserError("ctx.training_features() is offered to `initialize`, `setup` and `measures` alone")


@dataclass(frozen=True)
class TaskFacts:
    """What a stabilizer may know of the task: never its rows.

    kind : "classification" or "regression".  outputs : width of the head.  n_train : training rows.
    """

    name: str
    kind: str
    outputs: int
    n_train: int

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return cross-entropy, or the squared error under regression, averaged over rows; logits (rows, outputs)."""
        from torch.nn import functional

        if self.kind == "regression":
            return functional.mse_loss(logits[:, 0], labels.to(logits.dtype))
        return functional.cross_entropy(logits, labels)


@dataclass(frozen=True, eq=False)
class Context:
    """What a hook may read.

    reference : the pretrained tensors, by name, before any change, stages included.  step : optimizer steps taken so
    far.  total_steps : steps of the whole run.  start : all tensors at step 0, as the composed methods initialised them
    (empty while they do).  rates : the learning rate of each trained tensor in the step just taken (`after_step`
    alone).  member : number of the network in training, where a method trains several.  training : whether a step is
    under way, with noise of its own.

    epoch_gradients() : the gradient of each batch of the first epoch (`setup` alone).  training_features(params) : what
    the last linear layer reads of every training row, (rows, width), without training noise, and the labels (rows,);
    for `initialize`, `setup` and `measures`.
    """

    recipe: Recipe
    layout: Layout
    task: TaskFacts
    reference: Mapping[str, Tensor]
    seeds: Seeds
    total_steps: int
    step: int = 0
    start: Mapping[str, Tensor] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    member: int = 0
    training: bool = False
    epoch_gradients: Callable[[], Iterator[Params]] = field(default=_no_gradients, repr=False)
    training_features: Callable[[Params], tuple[Tensor, Tensor]] = field(default=_no_features, repr=False)

    @property
    def progress(self) -> float:
        """Fraction of the training done, in [0, 1]."""
        return self.step / self.total_steps

    @property
    def moment(self) -> tuple[str, ...]:
        """The names under which noise of this step is drawn; every member of several has its own."""
        return (f"step {self.step}", *((f"member {self.member}",) if self.member else ()))

    def generator(self, stream: Stream, *names: str) -> np.random.Generator:
        """Return a generator of its own for each combination of names; the same names give the same draws.

        Noise that is to differ from step to step has `*ctx.moment` among its names.
        """
        return self.seeds.generator(stream, *names)

    def normal(self, name: str, like: Tensor, *, std: float, purpose: str) -> Tensor:
        """Draw N(0, std^2) in the shape of `like`; equal on every device.

        Before the training these are initial values, from the `init` stream; in a step they are noise, from the
        `dropout` stream, anew at each step.
        """
        import torch

        stream: Stream = "dropout" if self.training else "init"
        moment = self.moment if self.training else ()
        values = self.generator(stream, purpose, name, *moment).standard_normal(tuple(like.shape), dtype=np.float32)
        return (torch.from_numpy(values) * std).to(like)

    def row_noise(
        self, batch: Batch, width: int, name: str, distribution: Literal["normal", "uniform"] = "normal"
    ) -> Tensor:
        """Draw N(0, 1) or U(-1, 1) for each token, (rows, tokens, width), 0 beyond the text; anew at each step.

        Every row has a generator of its own, so that micro-batches and padding change nothing.
        """
        import torch

        noise = np.zeros((*batch.mask.shape, width), dtype=np.float32)
        for row, length in enumerate(batch.mask.sum(1).tolist()):
            rng = self.generator("dropout", name, *self.moment, f"row {batch.first_row + row}")
            size = (length, width)
            noise[row, :length] = rng.standard_normal(size) if distribution == "normal" else rng.uniform(-1, 1, size)
        return torch.from_numpy(noise).to(batch.mask.device)

    def bernoulli(self, probability: float, shape: tuple[int, ...], name: str) -> Tensor:
        """Draw booleans that are True with `probability` from the `dropout` stream, anew at each step."""
        import torch

        draws = self.generator("dropout", name, *self.moment).random(shape, dtype=np.float32)
        return torch.from_numpy(draws < probability)


class Batch(Protocol):
    """The rows of one forward pass: token ids, attention mask and labels, each with the rows first."""

    @property
    def tokens(self) -> Tensor:
        """(rows, tokens) ids; under head tuning the (rows, width) features."""
        ...

    @property
    def mask(self) -> Tensor:
        """(rows, tokens): 1 where there is text."""
        ...

    @property
    def labels(self) -> Tensor:
        """(rows,) class indices, or scores under regression."""
        ...

    @property
    def first_row(self) -> int:
        """Number of the first row in the whole batch, of which this may be a part."""
        ...


class Forward(Protocol):
    """The outcome of a training forward pass."""

    @property
    def logits(self) -> Tensor:
        """(rows, outputs)."""
        ...

    @property
    def features(self) -> Tensor:
        """(rows, width): what the last linear layer read, dropout included."""
        ...

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The tensors the pass read; gradients flow to those that are trained."""
        ...

    @property
    def hidden(self) -> tuple[Tensor, ...] | None:
        """(rows, tokens, width) after the embeddings and after each layer; None under head tuning."""
        ...

    @property
    def embeddings(self) -> Tensor | None:
        """(rows, tokens, width) of the words, before positions are added; None under head tuning."""
        ...

    def rerun(self, noise: Mapping[str, Tensor], dropout_key: str = "") -> Forward:
        """Run the same rows again with noise (rows, tokens, width) added to the output of module groups.

        noise : by group: "embeddings" (the words' vectors) or "layer.k".  dropout_key : a name for other dropout masks;
        empty for the very same ones.
        """
        ...


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
