"""Dropout as a function of (seed, step, place) alone.

A mask element is addressed by the module, the row in the whole batch, the position and the channel (for attention:
head, query and key), never by an index into a padded tensor.  So a run draws the same masks alone or beside
others, on any device, however its batches are padded or cut into micro-batches.
"""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

ATTENTION = "stabilitybench_keyed"


def _mix(x: Tensor) -> Tensor:
    """Scramble int32 values bit by bit (the finaliser of Murmur hashing; products wrap around).

    In place on its own copies: this is the largest part of the price of a mask.
    """
    # Murmur shifts unsigned numbers.  torch's shift copies the sign bit, which has to be masked away: without that
    # every result is positive, and nothing is ever dropped at rates up to one half.
    y = x >> 16
    y &= 0xFFFF
    y ^= x
    y *= -2048144789
    y ^= (y >> 13).bitwise_and_(0x7FFFF)
    y *= -1028477387
    y ^= (y >> 16).bitwise_and_(0xFFFF)
    return y


def keep_mask(key: Tensor, row: Tensor, shape: torch.Size, rate: float, place: int = 0) -> Tensor:
    """Return a boolean mask of `shape` that is True with probability 1 - rate.

    key : scalar int32.  row : scalar int32, number of the first row in its batch.  shape : (rows, ...).
    place : a constant of the module and its use.  Each element depends on its own coordinates alone.
    """
    state = _mix(key ^ place)
    for axis, size in enumerate(shape):
        index = torch.arange(size, dtype=torch.int32, device=key.device)
        if axis == 0:
            index = index + row
        state = _mix(state[..., None] + (index + 1) * -1640531535)
    threshold = -(2**31) + round(rate * 2**32)
    return state >= threshold


class KeyedDropout(nn.Module):
    """Dropout whose mask is computed from a key given as a buffer, so that the module keeps no random state.

    calls : uses of the module in this forward pass, set to 0 before each pass.  Some classifiers use one module
    twice (RoBERTa's head, ALBERT's shared layers); every use has a mask of its own.
    """

    key: Tensor
    row: Tensor

    def __init__(self, rate: float, place: str) -> None:
        super().__init__()
        self.p = rate  # the name that transformers' attention reads
        self.place = place
        self.calls = 0
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)
        self.register_buffer("row", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of `x` (rows first) while training."""
        if not self.training or self.p == 0:
            return x
        place = zlib.crc32(f"{self.place} {self.calls}".encode()) >> 1
        self.calls += 1
        keep = keep_mask(self.key, self.row, x.shape, self.p, place)
        return x * keep.to(x.dtype) * (1 / (1 - self.p))


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention with keyed dropout, in the form `transformers` calls.

    query, key, value : (rows, heads, tokens, width of a head).  attention_mask : (rows, 1, 1, tokens), additive.
    """
    scores = torch.matmul(query, key.transpose(2, 3)) * (query.size(-1) ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    dropout = module.get_submodule("attention_dropout" if hasattr(module, "attention_dropout") else "dropout")
    weights = dropout(weights)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


AttentionInterface.register(ATTENTION, attention)


def install(module: nn.Module) -> dict[str, KeyedDropout]:
    """Replace every `nn.Dropout` under `module` by a keyed one; return them by name."""
    rates = {name: part.p for name, part in module.named_modules() if isinstance(part, nn.Dropout)}
    keyed = {name: KeyedDropout(rate, name) for name, rate in rates.items()}
    for name, part in keyed.items():
        parent, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(parent), leaf, part)
    return keyed
