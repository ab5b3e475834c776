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
        out: Tensor = _Linear.apply(flat, weight.to(dtype), bias.to(dtype))
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
            _join([layers[stem + ending] for ending in attention], dtype)


def _plain(part: nn.Linear, dtype: torch.dtype, x: Tensor) -> Tensor:
    return linear(x, part.weight, part.bias, dtype)


def _join(parts: list[nn.Linear], dtype: torch.dtype) -> None:
    """Let the first layer compute what all three return."""
    ready: dict[int, Tensor] = {}

    def forward(number: int, x: Tensor) -> Tensor:
        if number == 0:
            weight, bias = torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts])
            ready.update(enumerate(linear(x, weight, bias, dtype).chunk(len(parts), -1)))
        return ready.pop(number)

    for number, part in enumerate(parts):
        part.forward = partial(forward, number)  # type: ignore[method-assign]
