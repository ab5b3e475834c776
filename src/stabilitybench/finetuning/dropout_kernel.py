"""Keyed dropout as one Triton kernel: the same masks as `stabilitybench.finetuning.masks`, bit for bit.

A mask is a function of addresses, so the backward pass computes it again and none is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stabilitybench.finetuning.triton_import import jit, tl, triton

#: Elements of a program.
BLOCK = 1024


@jit()
def mix(x):  # type: ignore[no-untyped-def]
    """Scramble 32 bits.

    Parameters
    ----------
    x : block of int32
        Any values.
    """
    x = (((x >> 16) & 0xFFFF) ^ x) * -2048144789
    return (((x >> 13) & 0x7FFFF) ^ x) * -1028477387


@jit(do_not_specialize=["place", "threshold"])
def _drop(  # type: ignore[no-untyped-def]
    x_ptr, out_ptr, state_ptr, count, place, threshold, scale, A, B, C, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    rest = at // C
    if AXES == 1:
        state = tl.load(state_ptr + rest, mask=inside, other=0) ^ place
    else:
        query, rest = rest % B, rest // B
        head = rest % A
        state = tl.load(state_ptr + rest // A, mask=inside, other=0) ^ place
        state = mix(state + (head + 1) * -1640531535)
        state = mix(state + (query + 1) * -1640531535)
    state = mix(state + (at % C + 1) * -1640531535)
    x = tl.load(x_ptr + at, mask=inside, other=0.0)
    y = x.to(tl.float32) * tl.where(state >= threshold, scale, 0.0)
    tl.store(out_ptr + at, y.to(x.dtype), mask=inside)


@jit(do_not_specialize=["first_row"])
def _hash(  # type: ignore[no-untyped-def]
    key_ptr, row_ptr, position_ptr, rows_ptr, tokens_ptr, token_rows_ptr, rows, tokens, first_row, BLOCK: tl.constexpr
):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    start = mix(tl.load(key_ptr))
    tl.store(rows_ptr + at, mix(start + (at + first_row + 1) * -1640531535), mask=at < rows)
    inside = at < tokens
    row = tl.load(row_ptr + at, mask=inside, other=0).to(tl.int32)
    position = tl.load(position_ptr + at, mask=inside, other=0).to(tl.int32)
    state = mix(start + (row + first_row + 1) * -1640531535)
    tl.store(token_rows_ptr + at, state, mask=inside)
    tl.store(tokens_ptr + at, mix(state + (position + 1) * -1640531535), mask=inside)


def addresses(key: Tensor, row: Tensor, position: Tensor, rows: int, first_row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the fields of `stabilitybench.finetuning.masks.Addresses`.

    Parameters
    ----------
    key : Tensor of int32, shape ()
        Of the step.
    row, position : Tensor of int64, shape (tokens,)
        Of each packed token.
    rows : int
        Rows of the batch.
    first_row : int
        Number of the first of them.
    """
    tokens = len(row)
    made = (row.new_empty(n, dtype=torch.int32) for n in (rows, tokens, tokens))
    of_rows, of_tokens, token_rows = made
    grid = (triton.cdiv(max(rows, tokens), BLOCK),)
    _hash[grid](key, row, position, of_rows, of_tokens, token_rows, rows, tokens, first_row, BLOCK=BLOCK)
    return of_rows, of_tokens, token_rows


def _apply(x: Tensor, state: Tensor, place: int, rate: float) -> Tensor:
    out = torch.empty_like(x)
    axes = 3 if x.ndim == 4 else 1
    a, b, c = x.shape[1:] if axes == 3 else (1, 1, x.shape[-1])
    grid = (triton.cdiv(x.numel(), BLOCK),)
    threshold = -(2**31) + round(rate * 2**32)
    _drop[grid](x, out, state, x.numel(), place, threshold, 1 / (1 - rate), a, b, c, AXES=axes, BLOCK=BLOCK)
    return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, state: Tensor, place: int, rate: float) -> Tensor:
        ctx.save_for_backward(state)
        ctx.place, ctx.rate = place, rate
        return _apply(x.contiguous(), state, place, rate)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (state,) = ctx.saved_tensors
        return _apply(grads[0].contiguous(), state, ctx.place, ctx.rate), None, None, None


def dropout(x: Tensor, state: Tensor, place: int, rate: float) -> Tensor:
    """Drop elements and divide the others by 1 - rate, in float32 whatever the type of `x`.

    Parameters
    ----------
    x : Tensor of float32 or bfloat16
        Attention weights (rows, heads, queries, keys), or tokens (..., channels).
    state : Tensor of int32, shape (rows,) or (tokens,)
        Hashed addresses of the leading axis.
    place : int
        A constant of the module and its use.
    rate : float
        Dropout rate, in (0, 1).
    """
    out: Tensor = _Dropout.apply(x, state, place, rate)  # type: ignore[no-untyped-call]
    return out
