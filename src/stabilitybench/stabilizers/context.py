"""What a hook may read: the context of a step, the task, the rows of a pass and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from stabilitybench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe
    from stabilitybench.seeds import Seeds, Stream

    Params = dict[str, Tensor]


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
