"""Attention over packed rows with keyed dropout as Triton kernels: no padded grid, no matrix of weights in memory.

The usual scheme of blocks with a running maximum (Dao 2023, arXiv 2307.08691).  The masks are those of
`stabilitybench.finetuning.masks`, computed from addresses in the forward and again in the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stabilitybench.finetuning.dropout_kernel import mix
from stabilitybench.finetuning.triton_import import jit, tl, triton

#: Queries and keys of a block.
BLOCK = 64


@jit()
def dot(a, b):  # type: ignore[no-untyped-def]
    """Return a matrix product that does not round float32 to fewer bits.

    Parameters
    ----------
    a, b : block of numbers, shape (m, k) and (k, n)
        Its factors.
    """
    return tl.dot(a, b, input_precision="ieee")


@jit()
def _keep(state, head, query, key, threshold):  # type: ignore[no-untyped-def]
    """Return the mask of a block of weights; `query` is a column, `key` a row."""
    at = mix(state + (head + 1) * -1640531535)
    at = mix(at + (query + 1) * -1640531535)
    return mix(at + (key + 1) * -1640531535) >= threshold


@jit(do_not_specialize=["place", "threshold"])
def _forward(  # type: ignore[no-untyped-def]
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, first_ptr, length_ptr, state_ptr, tokens, stride, place, threshold,
    factor, scale, DROP: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, heads = tl.program_id(2), tl.program_id(1), tl.num_programs(1)
    first, length = tl.load(first_ptr + row), tl.load(length_ptr + row).to(tl.int32)
    query = tl.program_id(0) * N + tl.arange(0, N)
    if tl.program_id(0) * N >= length:
        return
    inside, channel = query < length, tl.arange(0, D)
    state = tl.load(state_ptr + row) ^ place
    base = head * D + channel[None, :]
    q = tl.load(q_ptr + (first + query)[:, None] * stride + base, mask=inside[:, None], other=0.0)
    top = tl.full([N], -1.0e30, tl.float32)
    mass, out = tl.zeros([N], tl.float32), tl.zeros([N, D], tl.float32)
    for start in range(0, length, N):
        key = start + tl.arange(0, N)
        seen = key < length
        at = (first + key)[:, None] * stride + base
        k = tl.load(k_ptr + at, mask=seen[:, None], other=0.0)
        v = tl.load(v_ptr + at, mask=seen[:, None], other=0.0)
        scores = tl.where(seen[None, :], dot(q, tl.trans(k)) * scale, -1.0e30)
        above = tl.maximum(top, tl.max(scores, 1))
        shrink, weights = tl.exp(top - above), tl.exp(scores - above[:, None])
        mass = mass * shrink + tl.sum(weights, 1)
        if DROP:
            weights = tl.where(_keep(state, head, query[:, None], key[None, :], threshold), weights * factor, 0.0)
        out = out * shrink[:, None] + dot(weights.to(v.dtype), v)
        top = above
    at = (first + query)[:, None] * (heads * D) + base
    tl.store(out_ptr + at, (out / mass[:, None]).to(out_ptr.dtype.element_ty), mask=inside[:, None])
    tl.store(lse_ptr + head * tokens + first + query, top + tl.log(mass), mask=inside)


@jit(do_not_specialize=["place", "threshold"])
def _backward_queries(  # type: ignore[no-untyped-def]
    q_ptr, k_ptr, v_ptr, out_ptr, grad_ptr, lse_ptr, delta_ptr, dq_ptr, first_ptr, length_ptr, state_ptr, tokens,
    stride, out_stride, place, threshold, factor, scale, DROP: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, heads = tl.program_id(2), tl.program_id(1), tl.num_programs(1)
    first, length = tl.load(first_ptr + row), tl.load(length_ptr + row).to(tl.int32)
    query = tl.program_id(0) * N + tl.arange(0, N)
    if tl.program_id(0) * N >= length:
        return
    inside, channel = query < length, tl.arange(0, D)
    state = tl.load(state_ptr + row) ^ place
    base = head * D + channel[None, :]
    q = tl.load(q_ptr + (first + query)[:, None] * stride + base, mask=inside[:, None], other=0.0)
    there = (first + query)[:, None] * (heads * D) + base
    grad = tl.load(grad_ptr + there, mask=inside[:, None], other=0.0)
    out = tl.load(out_ptr + there, mask=inside[:, None], other=0.0)
    delta = tl.sum(out.to(tl.float32) * grad.to(tl.float32), 1)
    tl.store(delta_ptr + head * tokens + first + query, delta, mask=inside)
    lse = tl.load(lse_ptr + head * tokens + first + query, mask=inside, other=0.0)
    dq = tl.zeros([N, D], tl.float32)
    for start in range(0, length, N):
        key = start + tl.arange(0, N)
        seen = key < length
        at = (first + key)[:, None] * stride + base
        k = tl.load(k_ptr + at, mask=seen[:, None], other=0.0)
        v = tl.load(v_ptr + at, mask=seen[:, None], other=0.0)
        scores = tl.where(seen[None, :], dot(q, tl.trans(k)) * scale, -1.0e30)
        weights = tl.exp(scores - lse[:, None])
        slope = dot(grad, tl.trans(v))
        if DROP:
            slope = tl.where(_keep(state, head, query[:, None], key[None, :], threshold), slope * factor, 0.0)
        dscores = weights * (slope - delta[:, None])
        dq += dot(dscores.to(k.dtype), k)
    at = (first + query)[:, None] * out_stride + base
    tl.store(dq_ptr + at, (dq * scale).to(dq_ptr.dtype.element_ty), mask=inside[:, None])


@jit(do_not_specialize=["place", "threshold"])
def _backward_keys(  # type: ignore[no-untyped-def]
    q_ptr, k_ptr, v_ptr, grad_ptr, lse_ptr, delta_ptr, dk_ptr, dv_ptr, first_ptr, length_ptr, state_ptr, tokens,
    stride, out_stride, place, threshold, factor, scale, DROP: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, heads = tl.program_id(2), tl.program_id(1), tl.num_programs(1)
    first, length = tl.load(first_ptr + row), tl.load(length_ptr + row).to(tl.int32)
    key = tl.program_id(0) * N + tl.arange(0, N)
    if tl.program_id(0) * N >= length:
        return
    seen, channel = key < length, tl.arange(0, D)
    state = tl.load(state_ptr + row) ^ place
    base = head * D + channel[None, :]
    k = tl.load(k_ptr + (first + key)[:, None] * stride + base, mask=seen[:, None], other=0.0)
    v = tl.load(v_ptr + (first + key)[:, None] * stride + base, mask=seen[:, None], other=0.0)
    dk, dv = tl.zeros([N, D], tl.float32), tl.zeros([N, D], tl.float32)
    for start in range(0, length, N):
        query = start + tl.arange(0, N)
        inside = query < length
        q = tl.load(q_ptr + (first + query)[:, None] * stride + base, mask=inside[:, None], other=0.0)
        grad = tl.load(grad_ptr + (first + query)[:, None] * (heads * D) + base, mask=inside[:, None], other=0.0)
        lse = tl.load(lse_ptr + head * tokens + first + query, mask=inside, other=1.0e30)
        delta = tl.load(delta_ptr + head * tokens + first + query, mask=inside, other=0.0)
        # keys are rows here, and queries columns
        scores = tl.where(seen[:, None], dot(k, tl.trans(q)) * scale, -1.0e30)
        weights = tl.exp(scores - lse[None, :])
        slope = dot(v, tl.trans(grad))
        kept = weights
        if DROP:
            keep = _keep(state, head, query[None, :], key[:, None], threshold)
            kept, slope = tl.where(keep, weights * factor, 0.0), tl.where(keep, slope * factor, 0.0)
        dv += dot(kept.to(grad.dtype), grad)
        dscores = weights * (slope - delta[None, :])
        dk += dot(dscores.to(q.dtype), q)
    at = (first + key)[:, None] * out_stride + base
    tl.store(dk_ptr + at, (dk * scale).to(dk_ptr.dtype.element_ty), mask=seen[:, None])
    tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=seen[:, None])


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, first: Tensor, lengths: Tensor, length: int,
        state: Tensor, place: int, rate: float, scale: float,
    ) -> Tensor:  # fmt: skip
        tokens, heads, width = query.shape
        out = query.new_zeros(query.shape)
        lse = torch.empty((heads, tokens), dtype=torch.float32, device=query.device)
        grid = (triton.cdiv(length, BLOCK), heads, len(lengths))
        drop = (place, -(2**31) + round(rate * 2**32), 1 / (1 - rate))
        _forward[grid](
            query, key, value, out, lse, first, lengths, state, tokens, query.stride(0), *drop, scale,
            DROP=rate > 0, D=width, N=BLOCK,
        )  # fmt: skip
        ctx.save_for_backward(query, key, value, out, lse, first, lengths, state)
        ctx.rest = grid, drop, rate > 0, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        query, key, value, out, lse, first, lengths, state = ctx.saved_tensors
        grid, drop, dropped, scale = ctx.rest
        tokens, heads, width = query.shape
        grad, delta = grads[0].contiguous(), torch.empty_like(lse)
        dq, dk, dv = query.new_zeros((3, tokens, heads, width))
        common: tuple[Any, ...] = (first, lengths, state, tokens, query.stride(0), heads * width, *drop, scale)
        sizes = {"DROP": dropped, "D": width, "N": BLOCK}
        _backward_queries[grid](query, key, value, out, grad, lse, delta, dq, *common, **sizes)
        _backward_keys[grid](query, key, value, grad, lse, delta, dk, dv, *common, **sizes)
        return dq, dk, dv, None, None, None, None, None, None, None


def attention(
    query: Tensor, key: Tensor, value: Tensor, first: Tensor, lengths: Tensor, length: int, state: Tensor,
    place: int, rate: float, scale: float,
) -> Tensor:  # fmt: skip
    """Return scaled dot-product attention with keyed dropout within each row.

    Parameters
    ----------
    query, key, value : Tensor, shape (tokens, heads, width of a head)
        Packed rows; equal strides, the last two contiguous; a width that is a power of 2, at least 16.
    first, lengths : Tensor of int64, shape (rows,)
        Where each row begins, and how many tokens it has.
    length : int
        At least the longest of them.
    state : Tensor of int32, shape (rows,)
        Hashed address of each row.
    place : int
        A constant of the module and its use.
    rate : float
        Dropout rate, in [0, 1).
    scale : float
        Factor of the scores.

    Returns
    -------
    Tensor, shape (tokens, heads, width of a head)
        0 for tokens that belong to no row.
    """
    out: Tensor = _Attention.apply(query, key, value, first, lengths, length, state, place, rate, scale)  # type: ignore[no-untyped-call]
    return out
