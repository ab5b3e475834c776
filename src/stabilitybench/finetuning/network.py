"""A classifier as a pure function of (parameters, batch, key)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from stabilitybench.encoders import Layout
from stabilitybench.encoders.loading import Skeleton
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.dropout import ATTENTION, install
from stabilitybench.recipe import Recipe


@dataclass(frozen=True)
class Pass:
    """The outcome of a forward pass: logits (rows, outputs) and, on request, the hidden states of every level."""

    logits: Tensor
    hidden: tuple[Tensor, ...] | None = None


class Network(Protocol):
    """Anything the training loop can train."""

    def __call__(
        self, params: Mapping[str, Tensor], batch: Any, key: int | None = None, *, hidden: bool = False
    ) -> Pass:
        """Run the classifier; a key switches training noise on."""
        ...


class EncoderNetwork:
    """A whole encoder with its head; every number it needs arrives as an argument.

    recipe.dropout sets every dropout rate, recipe.dropout_off the places without any; the hidden and attention
    dropout of the encoder's own configuration holds otherwise.
    """

    def __init__(self, skeleton: Skeleton, layout: Layout, recipe: Recipe, device: torch.device) -> None:
        self._module = copy.deepcopy(skeleton.module)
        self._segments = layout.parts.segments
        self._dropouts = install(self._module)
        for name, part in self._dropouts.items():
            if recipe.dropout is not None:
                part.p = recipe.dropout
            if layout.place(name) in recipe.dropout_off:
                part.p = 0.0
        self._module.set_attn_implementation(ATTENTION)  # type: ignore[operator]
        self._buffers = {name: b.to(device) for name, b in skeleton.buffers.items()}
        self._precision = recipe.precision
        self._device = device

    def __call__(
        self, params: Mapping[str, Tensor], batch: TokenBatch, key: int | None = None, *, hidden: bool = False
    ) -> Pass:
        """Run the encoder on `batch`; `key` (31 bits) switches dropout on and decides every mask."""
        self._module.train(key is not None)
        tensors: dict[str, Tensor] = {**params, **self._buffers}
        if key is not None:
            fixed = torch.tensor(key, dtype=torch.int32, device=self._device)
            row = torch.tensor(batch.first_row, dtype=torch.int32, device=self._device)
            for name, part in self._dropouts.items():
                tensors[f"{name}.key"], tensors[f"{name}.row"] = fixed, row
                part.calls = 0
        # A ready additive mask passes through transformers unchanged.
        lowest = torch.finfo(torch.float32).min
        inputs: dict[str, Any] = {
            "input_ids": batch.tokens,
            "attention_mask": ((1.0 - batch.mask.to(torch.float32)) * lowest)[:, None, None, :],
        }
        if self._segments:
            inputs["token_type_ids"] = batch.segments
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            out = functional_call(self._module, tensors, kwargs={**inputs, "output_hidden_states": hidden})
        logits = out.logits.float() if out.logits.dtype == torch.bfloat16 else out.logits
        return Pass(logits, out.hidden_states)


class HeadNetwork:
    """One linear layer on cached features: the classifier of head tuning."""

    def __call__(
        self, params: Mapping[str, Tensor], batch: Any, key: int | None = None, *, hidden: bool = False
    ) -> Pass:
        """Return logits ``features @ weight.T + bias``."""
        return Pass(nn.functional.linear(batch.tokens, params["classifier.weight"], params["classifier.bias"]))
