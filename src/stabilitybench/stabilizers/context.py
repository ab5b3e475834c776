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

    Attributes
    ----------
    name : str
        Name of the task, as in a study file.
    kind : {"classification", "regression"}
        What its labels are.
    outputs : int
        Width of the head: the number of classes, 1 under regression.
    n_train : int
        Number of training rows.
    """

    name: str
    kind: str
    outputs: int
    n_train: int

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return cross-entropy, or the squared error under regression, averaged over the rows.

        Parameters
        ----------
        logits : Tensor, shape (rows, outputs)
            What the classifier says.
        labels : Tensor, shape (rows,)
            Class indices, or scores under regression.

        Returns
        -------
        Tensor, shape ()
            ``-mean log softmax(logits)[label]``, or ``mean (logits[:, 0] - labels)^2``.
        """
        from torch.nn import functional

        if self.kind == "regression":
            return functional.mse_loss(logits[:, 0], labels.to(logits.dtype))
        return functional.cross_entropy(logits, labels)


@dataclass(frozen=True, eq=False)
class Context:
    """What a hook may read.

    Attributes
    ----------
    recipe : Recipe
        The recipe as all composed methods have changed it.
    layout : Layout
        Names and module groups of the encoder's tensors.
    task : TaskFacts
        Kind, width and size of the task.
    reference : mapping of str to Tensor
        The pretrained tensors before any change, stages included.
    seeds : Seeds
        Seeds of the run; draw through `generator`, `normal`, `row_noise` and `bernoulli`.
    total_steps : int
        Optimizer steps of the whole run.
    step : int, default 0
        Optimizer steps taken so far.
    start : mapping of str to Tensor
        All tensors at step 0, as the composed methods initialised them; empty while they do.
    rates : mapping of str to float
        Learning rate of each trained tensor in the step just taken; for `after_step` alone, empty elsewhere.
    member : int, default 0
        Number of the network in training, where a method trains several.
    training : bool, default False
        Whether a step is under way, with noise of its own.
    epoch_gradients : callable
        ``epoch_gradients()`` yields the gradient of each batch of the first epoch; for `setup` alone.
    training_features : callable
        ``training_features(params)`` returns what the last linear layer reads of every training row, (rows, width),
        without training noise, and the labels (rows,); for `initialize`, `setup` and `measures`.
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

    @property
    def dropout_key(self) -> int | Tensor:
        """The key of this step's dropout masks, 31 bits."""
        return self.seeds.key("dropout", *self.moment)

    def generator(self, stream: Stream, *names: str) -> np.random.Generator:
        """Return a generator of its own for each combination of names; the same names give the same draws.

        Parameters
        ----------
        stream : Stream
            Seed stream, such as "init" or "dropout".
        *names : str
            What is drawn; noise that is to differ from step to step has ``*ctx.moment`` among its names.

        Returns
        -------
        numpy.random.Generator
            At the start of its stream.
        """
        return self.seeds.generator(stream, *names)

    def normal(self, name: str, like: Tensor, *, std: float, purpose: str) -> Tensor:
        """Draw N(0, std^2) in the shape of `like`; equal on every device.

        Before the training these are initial values, from the `init` stream; in a step they are noise, from the
        `dropout` stream, anew at each step.

        Parameters
        ----------
        name : str
            Name of the tensor that is drawn: every name has draws of its own.
        like : Tensor
            Gives shape, dtype and device.
        std : float
            Standard deviation.
        purpose : str
            Name of the use, such as that of the method; other purposes have other draws.
        """
        import torch

        stream: Stream = "dropout" if self.training else "init"
        moment = self.moment if self.training else ()
        values = self.generator(stream, purpose, name, *moment).standard_normal(tuple(like.shape), dtype=np.float32)
        return (torch.from_numpy(values) * std).to(like)

    def row_noise(
        self, batch: Batch, width: int, name: str, distribution: Literal["normal", "uniform"] = "normal"
    ) -> Tensor:
        """Draw N(0, 1) or U(-1, 1) for each token, 0 beyond the text; anew at each step.

        Every row has a generator of its own, so that micro-batches and padding change nothing.

        Parameters
        ----------
        batch : Batch
            The rows of the pass.
        width : int
            Numbers for each token.
        name : str
            Name of the noise: every name has draws of its own.
        distribution : {"normal", "uniform"}, default "normal"
            N(0, 1) or U(-1, 1).

        Returns
        -------
        Tensor, shape (rows, tokens, width)
            float32, on the device of the batch.
        """
        import torch

        noise = np.zeros((*batch.mask.shape, width), dtype=np.float32)
        for row, length in enumerate(batch.mask.sum(1).tolist()):
            rng = self.generator("dropout", name, *self.moment, f"row {batch.first_row + row}")
            size = (length, width)
            noise[row, :length] = rng.standard_normal(size) if distribution == "normal" else rng.uniform(-1, 1, size)
        return torch.from_numpy(noise).to(batch.mask.device)

    def bernoulli(self, probability: float, shape: tuple[int, ...], name: str) -> Tensor:
        """Draw booleans that are True with `probability` from the `dropout` stream, anew at each step.

        Parameters
        ----------
        probability : float
            In [0, 1].
        shape : tuple of int
            Shape of the result.
        name : str
            Name of the noise: every name has draws of its own.

        Returns
        -------
        Tensor of bool
            On the CPU.
        """
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
        """Run the same rows again with noise added to the output of module groups.

        Parameters
        ----------
        noise : mapping of str to Tensor, shape (rows, tokens, width)
            By group: "embeddings" (the words' vectors) or "layer.k".
        dropout_key : str, default ""
            A name for other dropout masks; empty for the very same ones.

        Returns
        -------
        Forward
            The outcome of the second pass; gradients flow through it and through `noise`.
        """
        ...
