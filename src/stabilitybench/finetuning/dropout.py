"""Dropout as a function of (seed, step, place) alone.

A mask element is addressed by the module, the row in the whole batch, the position and the channel (for attention:
head, query and key), never by an index into a padded tensor.  So a run draws the same masks alone or beside
others, on any device, however its batches are packed, padded or cut into micro-batches.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from stabilitybench.finetuning.packing import Packing

ATTENTION = "stabilitybench_keyed"


def _word(value: int) -> Tensor:
    # A ready tensor: a Python number would be turned into one at every use, which costs as much as the operation.
    return torch.tensor(value, dtype=torch.int32)


_GOLDEN = _word(-1640531535)  # spreads neighbouring indices over all 32 bits (Knuth's multiplicative hashing)
_ROUNDS = (
    (_word(16), _word(0xFFFF), _word(-2048144789)),
    (_word(13), _word(0x7FFFF), _word(-1028477387)),
)


def _mix(x: Tensor) -> Tensor:
    """Scramble int32 values (the finaliser of Murmur hashing without its last shift; products wrap around).

    The high bits, which alone decide a mask, are as good as with it.
    """
    y = x
    for shift, positive, factor in _ROUNDS:
        # Murmur shifts unsigned numbers.  torch's shift copies the sign bit, which has to be masked away: without
        # that every result is positive, and nothing is ever dropped at rates up to one half.
        y = ((y >> shift).bitwise_and_(positive).bitwise_xor_(y)).mul_(factor)
    return y


def _enter(state: Tensor, coordinate: Tensor) -> Tensor:
    """Add a coordinate, counted from 0, to the address that `state` stands for."""
    return _mix(state + (coordinate + 1) * _GOLDEN)


def _index(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, dtype=torch.int32, device=like.device)


@dataclass(frozen=True, eq=False)
class Addresses:
    """Where the elements of one forward pass stand: hashed once, read by every dropout.

    Attributes
    ----------
    rows : Tensor of int32, shape (rows,)
        Of each row of the batch.
    tokens : Tensor of int32, shape (tokens,)
        Of each packed token, by row and position.
    token_rows : Tensor of int32, shape (tokens,)
        Of the row of each packed token.
    """

    rows: Tensor
    tokens: Tensor
    token_rows: Tensor

    @classmethod
    def of(cls, key: int | Tensor, packing: Packing, first_row: int = 0) -> Addresses:
        """Hash the addresses of a packed batch.

        Parameters
        ----------
        key : int or Tensor of int32, shape ()
            31 bits: other keys give other masks.
        packing : Packing
            Which cells hold tokens.
        first_row : int, default 0
            Number of the first row in the whole batch, of which this may be a part.
        """
        if isinstance(key, Tensor) and key.is_cuda and _kernel() is not None:
            from stabilitybench.finetuning.dropout_kernel import addresses

            return cls(*addresses(key, packing.row, packing.position, packing.rows, first_row))
        start = _mix(key if isinstance(key, Tensor) else _word(key).to(packing.index.device))
        rows = _enter(start, _index(packing.rows, start) + first_row)
        token_rows = rows.index_select(0, packing.row)
        return cls(rows, _enter(token_rows, packing.position.to(torch.int32)), token_rows)


def keep_mask(state: Tensor, shape: torch.Size, rate: float, place: int = 0) -> Tensor:
    """Return a boolean mask that is True with probability 1 - rate.

    The trailing axes are entered by their index, so each element depends on its own coordinates alone.

    Parameters
    ----------
    state : Tensor of int32
        Hashed addresses of the leading axes of `shape`.
    shape : torch.Size
        Shape of the mask.
    rate : float
        Dropout rate, in [0, 1).
    place : int, default 0
        A constant of the module and its use.
    """
    state = state ^ place
    for size in shape[state.ndim :]:
        state = _enter(state[..., None], _index(size, state))
    return state >= -(2**31) + round(rate * 2**32)


@cache
def _kernel() -> Callable[[Tensor, Tensor, int, float], Tensor] | None:
    """Return the fused form, where Triton is installed, as it is with torch for CUDA."""
    try:
        from stabilitybench.finetuning.dropout_kernel import dropout
    except ImportError:
        return None
    return dropout


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
        if x.is_cuda and (fused := _kernel()) is not None:
            return fused(x, state, place, self.p)
        state = state[:, None] if x.ndim == 3 else state
        return x * keep_mask(state, x.shape, self.p, place).to(x.dtype).mul_(1 / (1 - self.p))


def _fused_attention(query: Tensor) -> Callable[..., Tensor] | None:
    """Return the fused form, where its blocks hold these queries and Triton is installed."""
    width = query.size(-1)
    if not query.is_cuda or query.dtype == torch.float64 or width not in (16, 32, 64, 128) or _kernel() is None:
        return None
    from stabilitybench.finetuning.attention_kernel import attention as fused

    return fused


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
    if packing is not None and packing.lengths is not None and (fused := _fused_attention(query)) is not None:
        assert isinstance(dropout, KeyedDropout)
        drops = dropout.training and dropout.p > 0
        state = dropout.addresses.rows if drops and dropout.addresses else packing.first.to(torch.int32)
        place, rate = (dropout.turn(), dropout.p) if drops else (0, 0.0)
        parts = (t[:, :, 0] for t in (query, key, value))
        out = fused(*parts, packing.first, packing.lengths, packing.length, state, place, rate, scaling)
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
