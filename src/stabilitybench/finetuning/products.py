"""Linear layers on an accelerator: what torch computes, under autocast too, in fewer and larger kernels."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn


@lru_cache(maxsize=64)
def _ones(rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones((1, rows), dtype=dtype, device=device)


class _Linear(torch.autograd.Function):
    """``x @ weight.T + bias`` whose gradient of the bias is a product, too: summing over rows takes twice as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.addmm(bias, x, weight.t())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        wanted = ctx.needs_input_grad
        return (
            grad @ weight if wanted[0] else None,
            grad.t() @ x if wanted[1] else None,
            (_ones(len(grad), grad.dtype, grad.device) @ grad)[0] if wanted[2] else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a linear layer's output, computed in a given type.

    Parameters
    ----------
    x : Tensor, shape (..., in)
        Inputs.
    weight : Tensor, shape (out, in)
        Weights; cast unless they are ready.
    bias : Tensor, shape (out,)
        Biases; likewise.
    dtype : torch.dtype
        Of the product.
    """
    flat = x.to(dtype).reshape(-1, x.shape[-1])
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = _Linear.apply(flat, weight.to(dtype), bias.to(dtype))  # type: ignore[no-untyped-call]
    return out.view(*x.shape[:-1], -1)


def install(module: nn.Module, attention: tuple[str, str, str], dtype: torch.dtype) -> None:
    """Let the linear layers of a module compute so, those of query, key and value as one.

    Parameters
    ----------
    module : nn.Module
        Changed in place; its layers read their weights at each call.
    attention : tuple of three str
        How the layers of query, key and value are called, from the name of their layer on.
    dtype : torch.dtype
        Of the products.
    """
    layers = {name: p for name, p in module.named_modules() if isinstance(p, nn.Linear) and p.bias is not None}
    for part in layers.values():
        part.forward = partial(_plain, part, dtype)  # type: ignore[method-assign]
    for name in layers:
        if name.endswith(attention[0]):
            stem = name.removesuffix(attention[0])
            parts = [layers[stem + ending] for ending in attention]
            joined = _Joined(parts, dtype)
            for number, part in enumerate(parts):
                part.forward = partial(joined, number)  # type: ignore[method-assign]


def _plain(part: nn.Linear, dtype: torch.dtype, x: Tensor) -> Tensor:
    return linear(x, part.weight, part.bias, dtype)


class _Joined:
    """Layers that read the same input: the first that is called computes what all return."""

    def __init__(self, parts: list[nn.Linear], dtype: torch.dtype) -> None:
        self._parts, self._dtype = parts, dtype
        self._input: Tensor | None = None
        self._ready: dict[int, Tensor] = {}

    def __call__(self, number: int, x: Tensor) -> Tensor:
        if self._input is not x or number not in self._ready:
            weight, bias = torch.cat([p.weight for p in self._parts]), torch.cat([p.bias for p in self._parts])
            outputs = linear(x, weight, bias, self._dtype).chunk(len(self._parts), -1)
            self._input, self._ready = x, dict(enumerate(outputs))
        out = self._ready.pop(number)
        if not self._ready:
            self._input = None  # nothing outlives the pass
        return out
