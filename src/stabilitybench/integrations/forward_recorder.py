"""What penalties read of a classifier's forward pass, and second passes under the same or other dropout masks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stabilitybench.encoders import Layout
from stabilitybench.errors import UserError
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.network import ForwardOutput


@dataclass(frozen=True, eq=False)
class Noise:
    """The state of torch's global generators, from which a classifier of transformers draws its dropout masks.

    Only second passes need it: they must see the masks of the first, and must leave the generators as the training
    would find them without them.

    Attributes
    ----------
    cpu : torch.Tensor
        State of the generator of the CPU.
    accelerator : torch.Tensor or None
        State of that of the accelerator; None on the CPU.
    device : torch.device
        Where the model is.
    """

    cpu: Tensor
    accelerator: Tensor | None
    device: torch.device

    @classmethod
    def now(cls, device: torch.device) -> Noise:
        """Note the state; nothing is drawn.

        Parameters
        ----------
        device : torch.device
            Where the model is.
        """
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), cuda, device)

    @contextmanager
    def again(self, key: int | None = None) -> Iterator[None]:
        """Draw inside the block what was drawn after `now`, or what belongs to a key.

        Parameters
        ----------
        key : int or None, default None
            Seed of other draws; None repeats those after `now`.

        Yields
        ------
        None
            The generators are put back after the block.
        """
        with kept(self.device):
            if key is not None:
                torch.manual_seed(key)
            else:
                torch.set_rng_state(self.cpu)
                if self.accelerator is not None:
                    torch.cuda.set_rng_state(self.accelerator, self.device)
            yield


@contextmanager
def kept(device: torch.device) -> Iterator[None]:
    """Put torch's global generators back after the block.

    Parameters
    ----------
    device : torch.device
        Where the model is; the generator of the CPU is put back in any case.

    Yields
    ------
    None
        The block may draw what it likes.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@dataclass(eq=False)
class Seen:
    """What the hooks noted in the pass under way.

    Attributes
    ----------
    states : list of torch.Tensor
        What the first layer reads, and each layer's output, of shape (rows, tokens, width).
    words : torch.Tensor or None
        Word embeddings, of the same shape.
    features : torch.Tensor or None, shape (rows, width)
        What the last linear layer reads.
    logits : torch.Tensor or None, shape (rows, outputs)
        What it returns.
    """

    states: list[Tensor] = field(default_factory=list)
    words: Tensor | None = None
    features: Tensor | None = None
    logits: Tensor | None = None


class Watch:
    """Hooks on a classifier of `transformers`: they note what penalties read and let noise in.

    While nobody looks, they do nothing; `close` takes them away.

    Parameters
    ----------
    module : torch.nn.Module
        The classifier.
    layout : Layout
        Its architecture map, which tells where words, layers and output stand.
    """

    def __init__(self, module: nn.Module, layout: Layout) -> None:
        self._noise: Mapping[str, Tensor] = {}
        self._seen: Seen | None = None
        layers = list(module.get_submodule(layout.parts.layers.rstrip(".")).children())
        groups = [None if layout.parts.shared_layers else f"layer.{k}" for k in range(len(layers))]
        words: nn.Module = module.get_input_embeddings()  # type: ignore[operator]
        self._handles = [
            module.get_submodule(layout.parts.output).register_forward_hook(self._output),
            words.register_forward_hook(self._words),
            layers[0].register_forward_pre_hook(self._bottom, with_kwargs=True),
            *(layer.register_forward_hook(self._above(group)) for layer, group in zip(layers, groups, strict=True)),
        ]

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    @contextmanager
    def looking(self, noise: Mapping[str, Tensor] | None = None) -> Iterator[Seen]:
        """Note the pass made inside the block, with `noise` added to module groups.

        Parameters
        ----------
        noise : mapping of str to torch.Tensor or None, default None
            Tensors to add to the outputs of module groups, by the name of the group.

        Yields
        ------
        Seen
            Filled while the model runs.
        """
        outer = self._seen, self._noise
        self._seen, self._noise = Seen(), noise or {}
        try:
            yield self._seen
        finally:
            self._seen, self._noise = outer

    def _output(self, _: nn.Module, inputs: tuple[Any, ...], out: Tensor) -> None:
        if self._seen is not None:
            self._seen.features, self._seen.logits = inputs[0], out

    def _words(self, _: nn.Module, __: Any, out: Tensor) -> Tensor:
        if self._seen is None:
            return out
        self._seen.words = out
        return self._noised("embeddings", out)

    def _bottom(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Shared layers pass here once for each use; only the first time are these the embeddings.
        if self._seen is not None and not self._seen.states:
            self._seen.states.append(args[0] if args else next(iter(kwargs.values())))

    def _above(self, group: str | None) -> Callable[[nn.Module, Any, Any], Any]:
        def note(_: nn.Module, __: Any, out: Any) -> Any:
            if self._seen is None:
                return out
            states = self._noised(group, out[0] if isinstance(out, tuple) else out)
            self._seen.states.append(states)
            return (states, *out[1:]) if isinstance(out, tuple) else states

        return note

    def _noised(self, group: str | None, states: Tensor) -> Tensor:
        noise = self._noise.get(group) if group else None
        return states if noise is None else states + noise.to(states.dtype)


def batch_of(inputs: Mapping[str, Any], labels: Tensor | None, kind: str, first_row: int) -> TokenBatch:
    """Return the rows of a Trainer's batch as penalties know them.

    Parameters
    ----------
    inputs : mapping of str to object
        What the model is called with: input_ids of shape (rows, tokens) and, unless every row is full, attention_mask
        of the same shape, padded on the right.
    labels : torch.Tensor or None, shape (rows,)
        One for each row.
    kind : str
        Of the task: "classification" or "regression".
    first_row : int
        Place of the first row in the whole batch, above 0 in later micro-batches.

    Raises
    ------
    UserError
        Where tokens or labels are missing, shapes differ, or texts are padded on the left.
    """
    tokens = inputs.get("input_ids")
    if tokens is None or labels is None:
        raise UserError(f"the batch has {', '.join(inputs)}: a stabilizer with a penalty needs input_ids and labels")
    if labels.numel() != len(tokens) or (kind == "classification" and labels.is_floating_point()):
        raise UserError(
            f"the labels are {labels.dtype} of shape {tuple(labels.shape)}: must be one class, or one score, per row"
        )
    mask = inputs.get("attention_mask")
    mask = torch.ones_like(tokens) if mask is None else mask
    if mask.shape != tokens.shape:
        raise UserError(
            f"attention_mask has shape {tuple(mask.shape)}: must be that of input_ids, {tuple(tokens.shape)}"
        )
    if bool((mask[:, 1:] > mask[:, :-1]).any()):
        raise UserError('the batch is padded on the left: set tokenizer.padding_side = "right"')
    return TokenBatch(tokens, mask, None, labels.flatten(), first_row)


def output_of(
    seen: Seen,
    weights: Mapping[str, Tensor],
    batch: TokenBatch,
    rerun: Callable[[Mapping[str, Tensor], str], ForwardOutput],
) -> ForwardOutput:
    """Return the pass just made; states beyond the text are 0, whatever the model made of padding.

    Parameters
    ----------
    seen : Seen
        What was noted of the pass, features, logits and words among it.
    weights : mapping of str to torch.Tensor
        The weights it was made with.
    batch : TokenBatch
        Its rows.
    rerun : callable
        Makes the pass again with noise added to module groups and dropout masks of a name ("": the same masks).
    """
    assert seen.features is not None
    assert seen.logits is not None
    assert seen.words is not None
    beyond = (batch.mask == 0)[..., None]
    states = tuple(state.masked_fill(beyond, 0.0) for state in seen.states)
    words = seen.words.masked_fill(beyond, 0.0)
    return ForwardOutput(full_precision(seen.logits), full_precision(seen.features), weights, states, words, rerun)


def full_precision(values: Tensor) -> Tensor:
    """Return bf16 values as float32, and others as they are.

    Parameters
    ----------
    values : torch.Tensor
        The values, of any shape.
    """
    return values.float() if values.dtype == torch.bfloat16 else values


def other_masks(key: int, name: str) -> int:
    """Return the key of dropout masks that go by `name`.

    Parameters
    ----------
    key : int
        Key of the masks of the first pass.
    name : str
        What the stabilizer calls the other masks.
    """
    return key ^ (zlib.crc32(name.encode()) >> 1)
