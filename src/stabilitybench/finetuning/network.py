"""A classifier as a pure function of (parameters, batch, key)."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from stabilitybench.encoders import Layout
from stabilitybench.encoders.layout import ARCHITECTURES
from stabilitybench.encoders.loading import PretrainedClassifier
from stabilitybench.finetuning import products
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.dropout import ATTENTION, addresses, install
from stabilitybench.finetuning.packing import Packing
from stabilitybench.recipe import Recipe


@dataclass(frozen=True, eq=False)
class ForwardOutput:
    """The outcome of a forward pass.

    Attributes
    ----------
    logits : Tensor, shape (rows, outputs)
        What the classifier says.
    features : Tensor, shape (rows, width)
        What the last linear layer read, dropout included.
    weights : mapping of str to Tensor
        The tensors that were read.
    hidden : tuple of Tensor, shape (rows, tokens, width), or None
        The states of every level, embeddings first; on request, for penalties.
    embeddings : Tensor, shape (rows, tokens, width), or None
        Those of the words, before positions are added; on request.
    again : callable or None
        ``again(noise, dropout_key)`` does what `rerun` says; on request.
    """

    logits: Tensor
    features: Tensor
    weights: Mapping[str, Tensor]
    hidden: tuple[Tensor, ...] | None = None
    embeddings: Tensor | None = None
    again: Callable[[Mapping[str, Tensor], str], ForwardOutput] | None = None

    def rerun(self, noise: Mapping[str, Tensor], dropout_key: str = "") -> ForwardOutput:
        """Run the same rows again with noise added to the output of module groups.

        Parameters
        ----------
        noise : mapping of str to Tensor, shape (rows, tokens, width)
            By group: "embeddings" (the words' vectors) or "layer.k".
        dropout_key : str, default ""
            A name for other dropout masks; empty for the very same ones.
        """
        assert self.again is not None
        return self.again(noise, dropout_key)


class Network(Protocol):
    """Anything the training loop can train."""

    def __call__(
        self, params: Mapping[str, Tensor], batch: Any, key: int | Tensor | None = None, *, hidden: bool = False
    ) -> ForwardOutput:
        """Run the classifier; a key switches training noise on; `hidden` asks for what penalties may read."""
        ...


class EncoderNetwork:
    """A whole encoder with its head; every number it needs arrives as an argument.

    Parameters
    ----------
    classifier : PretrainedClassifier
        Gives module, which is copied, and buffers; its pretrained tensors are not read.
    layout : Layout
        Names and module groups of the tensors.
    recipe : Recipe
        `dropout` sets every dropout rate, `dropout_off` the module groups without any; the hidden and attention dropout
        of the encoder's own configuration holds otherwise.  `precision` is that of the pass.
    device : torch.device
        Where the parameters will be.

    Attributes
    ----------
    linear_weights : frozenset of str
        Names of the weights and biases of linear layers.
    """

    def __init__(self, classifier: PretrainedClassifier, layout: Layout, recipe: Recipe, device: torch.device) -> None:
        self._module = copy.deepcopy(classifier.module)
        self._layout = layout
        self._dropouts = install(self._module)
        for name, part in self._dropouts.items():
            if recipe.dropout is not None:
                part.p = recipe.dropout
            if layout.module_group(name) in recipe.dropout_off:
                part.p = 0.0
        if device.type == "cuda":
            dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
            products.install(self._module, ARCHITECTURES[layout.architecture].attention[:3], dtype)
        self._module.set_attn_implementation(ATTENTION)  # type: ignore[operator]
        self._module.eval()
        for name, buffer in classifier.buffers.items():
            owner, _, leaf = name.rpartition(".")
            self._module.get_submodule(owner)._buffers[leaf] = buffer.to(device)
        self._noise: Mapping[str, Tensor] = {}  # by module group, packed, in the pass under way
        self._seen: dict[str, Tensor] = {}
        self._watch(layout)
        self._slots: list[tuple[dict[str, Any], str, str]] = []
        for name, _ in self._module.named_parameters():
            owner, _, leaf = name.rpartition(".")
            self._slots.append((self._module.get_submodule(owner)._parameters, leaf, name))
        self._precision = recipe.precision
        self._device = device
        # What autocast would cast at every use; a matrix shared with the embedding is read there in float32.
        linear = [name for name, part in self._module.named_modules() if isinstance(part, nn.Linear)]
        self.linear_weights = frozenset(f"{name}.{leaf}" for name in linear for leaf in ("weight", "bias"))

    def _watch(self, layout: Layout) -> None:
        """Note what the last linear layer reads and what the words look like, and let noise in at every group."""

        def features(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._seen["features"] = inputs[0]

        def entrance(group: str) -> Callable[[nn.Module, Any, Any], Any]:
            def add(_: nn.Module, __: Any, out: Any) -> Any:
                states = out[0] if isinstance(out, tuple) else out
                if group == "embeddings":
                    self._seen[group] = states
                if group not in self._noise:
                    return out
                states = states + self._noise[group].to(states.dtype)
                return (states, *out[1:]) if isinstance(out, tuple) else states

            return add

        self._module.get_submodule(layout.parts.output).register_forward_pre_hook(features)
        self._module.get_input_embeddings().register_forward_hook(entrance("embeddings"))  # type: ignore[operator]
        if not layout.parts.shared_layers:
            for k in range(layout.depth):
                self._module.get_submodule(f"{layout.parts.layers}{k}").register_forward_hook(entrance(f"layer.{k}"))

    def __call__(
        self,
        params: Mapping[str, Tensor],
        batch: TokenBatch,
        key: int | Tensor | None = None,
        *,
        hidden: bool = False,
        noise: Mapping[str, Tensor] | None = None,
    ) -> ForwardOutput:
        """Run the encoder on `batch`; `key` (31 bits) switches dropout on and decides every mask."""
        if self._module.training != (key is not None):  # walking through all modules costs a millisecond
            self._module.train(key is not None)
        # What torch.func.functional_call does, without looking every name up again at each call; nothing has to be put
        # back, since nobody else sees this module.
        for slots, leaf, name in self._slots:
            slots[leaf] = params[name]
        packing = Packing.of(batch.mask) if batch.packing is None else batch.packing
        if key is not None:
            at = addresses(key, packing, batch.first_row)
            for part in self._dropouts.values():
                part.addresses, part.calls = at, 0
        inputs = packed_inputs(self._layout, batch, packing)
        self._noise = {group: packing.pack(added)[:, None] for group, added in (noise or {}).items()}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            out = self._module(**inputs, output_hidden_states=hidden)
        # Every token went through the head as if it were the first of a row; those that are count.
        seen, self._seen = self._seen, {}
        features = _full_precision(seen["features"].flatten(0, -2).index_select(0, packing.first))
        logits = _full_precision(out.logits.index_select(0, packing.first))
        if not hidden:
            return ForwardOutput(logits, features, params)

        def again(noise: Mapping[str, Tensor], dropout_key: str) -> ForwardOutput:
            other = key if key is None or not dropout_key else key ^ (zlib.crc32(dropout_key.encode()) >> 1)
            return self(params, batch, other, hidden=True, noise=noise)

        states = tuple(packing.unpack(h[:, 0]) for h in out.hidden_states)
        return ForwardOutput(logits, features, params, states, packing.unpack(seen["embeddings"][:, 0]), again)


def _full_precision(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.bfloat16 else values


def packed_inputs(layout: Layout, batch: TokenBatch, packing: Packing) -> dict[str, Any]:
    """Return what a `transformers` encoder reads of a packed batch, whose attention knows the packing.

    Parameters
    ----------
    layout : Layout
        Number of the first position, and whether there are segments.
    batch : TokenBatch
        The padded rows.
    packing : Packing
        Which cells hold tokens.

    Returns
    -------
    dict of str to Any
        Keyword arguments of the encoder; ids of tokens, positions and segments are (tokens, 1).
    """
    # A ready additive mask passes through transformers unchanged.
    lowest = torch.finfo(torch.float32).min
    inputs: dict[str, Any] = {
        "input_ids": packing.pack(batch.tokens)[:, None],
        "position_ids": packing.position[:, None] + layout.first_position,
        "attention_mask": ((1.0 - batch.mask.to(torch.float32)) * lowest)[:, None, None, :],
        "packing": packing,
    }
    if layout.parts.segments:
        assert batch.segments is not None
        inputs["token_type_ids"] = packing.pack(batch.segments)[:, None]
    return inputs


class HeadNetwork:
    """One linear layer on cached features: the classifier of head tuning."""

    def __call__(
        self, params: Mapping[str, Tensor], batch: Any, key: int | Tensor | None = None, *, hidden: bool = False
    ) -> ForwardOutput:
        """Return logits ``features @ weight.T + bias``."""
        logits = nn.functional.linear(batch.tokens, params["classifier.weight"], params["classifier.bias"])
        return ForwardOutput(logits, batch.tokens, params)
