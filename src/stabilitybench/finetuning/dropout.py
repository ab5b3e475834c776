"""Dropout with the masks of `stabilitybench.finetuning.masks`, in place of a module's own."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from stabilitybench.finetuning.kernels import kernels
from stabilitybench.finetuning.masks import Addresses, drop
from stabilitybench.finetuning.packing import Packing

ATTENTION = "stabilitybench_keyed"


def addresses(key: int | Tensor, packing: Packing, first_row: int = 0) -> Addresses:
    """Hash the addresses of a packed batch, by a fused kernel where there is one.

    Parameters
    ----------
    key, packing, first_row : object
        As for `Addresses.of`.
    """
    if isinstance(key, Tensor) and (fused := kernels(key.device)) is not None:
        return Addresses(*fused.addresses(key, packing.row, packing.position, packing.rows, first_row))
    return Addresses.of(key, packing, first_row)


class KeyedDropout(nn.Module):
    """Dropout whose mask is computed from a key and the addresses of its elements; it keeps no random state.

    Parameters
    ----------
    rate : float
        Dropout rate, in [0, 1); kept as `p`.
    place : str
        Name of the module, which has masks of its own.

    Attributes
    ----------
    addresses : Addresses or None
        Set before each pass.
    calls : int
        Uses of the module in this pass, set to 0 before it.  Some classifiers use one module twice (RoBERTa's head,
        ALBERT's shared layers); every use has a mask of its own.
    """

    def __init__(self, rate: float, place: str) -> None:
        super().__init__()
        self.p = rate  # the name that transformers' attention reads
        self.place = place
        self.addresses: Addresses | None = None
        self.calls = 0

    def turn(self) -> int:
        """Return the constant of this use of the module, 31 bits, and count it."""
        place = zlib.crc32(f"{self.place} {self.calls}".encode()) >> 1
        self.calls += 1
        return place

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements while training, and divide the others by 1 - rate.

        Parameters
        ----------
        x : Tensor
            Packed tokens (tokens, 1, channels), their pooled form (tokens, channels), or attention weights
            (rows, heads, queries, keys).
        """
        if not self.training or self.p == 0:
            return x
        assert self.addresses is not None
        place = self.turn()
        if x.ndim == 4:  # attention is never packed
            state = self.addresses.rows
        else:
            state = self.addresses.tokens if x.ndim == 3 else self.addresses.token_rows
        fused = kernels(x.device)
        return drop(x, state, place, self.p) if fused is None else fused.dropout(x, state, place, self.p)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    packing: Packing | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor | None]:
    """Return scaled dot-product attention with keyed dropout, in the form `transformers` calls.

    ``dropout(softmax(query key^T scaling + attention_mask)) value``

    Parameters
    ----------
    module : nn.Module
        The attention that calls; its dropout is used.
    query, key, value : Tensor, shape (rows, heads, tokens, width of a head)
        With `packing`, (packed tokens, heads, 1, width of a head).
    attention_mask : Tensor, shape (rows, 1, 1, tokens), or None
        Additive: 0 where there is text, very low elsewhere.
    scaling : float, optional
        Factor of the scores; None: 1 / sqrt(width of a head).
    packing : Packing, optional
        Which cells hold tokens.
    **_ : Any
        What `transformers` passes besides; ignored.

    Returns
    -------
    out : Tensor, shape (rows, tokens, heads, width of a head)
        With `packing`, (packed tokens, 1, heads, width of a head).
    weights : Tensor, shape (rows, heads, tokens, tokens), or None
        After dropout; None where they are never made.
    """
    dropout = module.get_submodule("attention_dropout" if hasattr(module, "attention_dropout") else "dropout")
    scaling = query.size(-1) ** -0.5 if scaling is None else scaling
    fused = kernels(query.device)
    if fused is not None and packing is not None and packing.lengths is not None and fused.attends(query):
        assert isinstance(dropout, KeyedDropout)
        drops = dropout.training and dropout.p > 0
        state = dropout.addresses.rows if drops and dropout.addresses else packing.first.to(torch.int32)
        place, rate = (dropout.turn(), dropout.p) if drops else (0, 0.0)
        parts = (t[:, :, 0] for t in (query, key, value))
        out = fused.attention(*parts, packing.first, packing.lengths, packing.length, state, place, rate, scaling)
        return out[:, None], None
    if packing is not None:
        query, key, value = packing.unpack(torch.cat([query, key, value], dim=-1)[:, :, 0]).transpose(1, 2).chunk(3, -1)
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = dropout(torch.softmax(scores, dim=-1).to(value.dtype))
    out = torch.matmul(weights, value).transpose(1, 2)
    return (out.contiguous() if packing is None else packing.pack(out)[:, None]), weights


AttentionInterface.register(ATTENTION, attention)


def install(module: nn.Module) -> dict[str, KeyedDropout]:
    """Replace every `nn.Dropout` under a module by a keyed one; return them by name.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    """
    rates = {name: part.p for name, part in module.named_modules() if isinstance(part, nn.Dropout)}
    keyed = {name: KeyedDropout(rate, name) for name, rate in rates.items()}
    for name, part in keyed.items():
        parent, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(parent), leaf, part)
    return keyed
