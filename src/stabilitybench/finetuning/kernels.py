"""The Triton kernels of a device, each held against its torch form before it is used there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from stabilitybench.finetuning import adam_kernel, attention_kernel, dropout_kernel
from stabilitybench.finetuning.masks import Addresses, drop
from stabilitybench.finetuning.packing import Packing
from stabilitybench.finetuning.triton_import import triton
from stabilitybench.optim.adam import AdamState, adam_step

#: How far sums in float32 may lie from the same in float64 or in another order, relative to the largest number.
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Kernels:
    """Fused forms of what torch does in many small kernels.

    Attributes
    ----------
    dropout, addresses, attention, adam : callable
        The functions of these names in `dropout_kernel`, `attention_kernel` and `adam_kernel`.
    """

    dropout: Callable[..., Tensor] = dropout_kernel.dropout
    addresses: Callable[..., tuple[Tensor, Tensor, Tensor]] = dropout_kernel.addresses
    attention: Callable[..., Tensor] = attention_kernel.attention
    adam: Callable[..., None] = adam_kernel.adam

    @staticmethod
    def attends(query: Tensor) -> bool:
        """Tell whether the blocks of `attention` hold these queries.

        Parameters
        ----------
        query : Tensor, shape (..., width of a head)
            Of any type.
        """
        return query.dtype != torch.float64 and query.size(-1) in (16, 32, 64, 128)


@cache
def kernels(device: torch.device) -> Kernels | None:
    """Return the kernels of a device; None where there are none, or where one of them does not do what torch does.

    Parameters
    ----------
    device : torch.device
        Where they will run.  Its first use takes some seconds, in which kernels are compiled.

    Warns
    -----
    UserWarning
        Where a kernel fails; the slower torch forms are used.
    """
    if device.type != "cuda" or triton is None:
        return None
    found = Kernels()
    wrong = faults(found, device)
    if not wrong:
        return found
    warnings.warn(
        f"the fused kernels are not used on {device}, since they do not compute there what torch computes: "
        f"{'; '.join(wrong)}",
        stacklevel=2,
    )
    return None


def faults(held: Kernels, device: torch.device) -> list[str]:
    """Return, in words, which kernels differ from their torch forms on small tensors, or cannot run.

    Parameters
    ----------
    held : Kernels
        What is tried.
    device : torch.device
        Where.
    """
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    lengths = torch.tensor([9, 70, 33], device=device)
    packing = Packing.of_lengths(lengths, 96, 128)
    key = torch.tensor(12345, dtype=torch.int32, device=device)
    at = Addresses.of(key, packing, 5)
    checks: dict[str, Callable[[], Iterator[bool]]] = {
        "addresses": lambda: _addresses(held, key, packing, at),
        "dropout": lambda: _dropout(held, numbers, at),
        "attention": lambda: _attention(held, numbers, packing, at),
        "Adam": lambda: _adam(held, numbers),
    }
    found = []
    for name, check in checks.items():
        try:
            if not all(check()):
                found.append(f"{name} differs")
        except Exception as error:  # a compiler may fail in any way
            found.append(f"{name} fails ({type(error).__name__})")
    return found


def _addresses(held: Kernels, key: Tensor, packing: Packing, at: Addresses) -> Iterator[bool]:
    got = held.addresses(key, packing.row, packing.position, packing.rows, 5)
    for mine, theirs in zip(got, (at.rows, at.tokens, at.token_rows), strict=True):
        yield torch.equal(mine, theirs)


def _dropout(held: Kernels, numbers: Callable[..., Tensor], at: Addresses) -> Iterator[bool]:
    """Hold values and gradients to the last bit: tokens, their pooled form, and attention weights."""
    for shape, state in (((128, 1, 37), at.tokens), ((128, 37), at.token_rows), ((3, 2, 33, 33), at.rows)):
        x, grad = numbers(*shape), numbers(*shape)
        for rate, place in ((0.1, 7), (0.9, 2**31 - 1)):
            ours, theirs = (_with_gradients(f, grad, x, state, place, rate) for f in (held.dropout, drop))
            yield all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _attention(held: Kernels, numbers: Callable[..., Tensor], packing: Packing, at: Addresses) -> Iterator[bool]:
    """Hold outputs and gradients against double precision; surplus tokens do not count."""
    heads, width, place, scale = 2, 16, 77, 0.25
    assert packing.lengths is not None
    lengths, tokens = packing.lengths, len(packing.index)
    grad = numbers(tokens, heads, width) * (packing.index < packing.rows * packing.length)[:, None, None]
    inputs = tuple(numbers(tokens, heads, width) for _ in range(3))
    for rate in (0.0, 0.3):

        def fused(*parts: Tensor, rate: float = rate) -> Tensor:
            return held.attention(*parts, packing.first, lengths, packing.length, at.rows, place, rate, scale)

        def plain(*parts: Tensor, rate: float = rate) -> Tensor:
            q, k, v = (packing.unpack(part).transpose(1, 2) for part in parts)
            padding = torch.arange(packing.length, device=lengths.device) >= lengths[:, None]
            scores = (q @ k.transpose(2, 3) * scale).masked_fill(padding[:, None, None], -torch.inf)
            return packing.pack((drop(torch.softmax(scores, -1), at.rows, place, rate) @ v).transpose(1, 2))

        ours = _with_gradients(fused, grad, *inputs)
        theirs = _with_gradients(plain, grad.double(), *(part.double() for part in inputs))
        real = packing.index < packing.rows * packing.length
        yield all(_close(a[real], b[real]) for a, b in zip(ours, theirs, strict=True))


def _adam(held: Kernels, numbers: Callable[..., Tensor]) -> Iterator[bool]:
    """Hold a step with the decay before and after it, with clipping and without, against `adam_step`."""
    start, grad, first, second = numbers(1500), numbers(1500), numbers(1500) * 0.1, numbers(1500).square() * 0.1
    betas, epsilon, rate, decay, step = (0.9, 0.999), 1e-8, 1e-2, 0.1, 5
    powers = [1 - betas[0] ** step, (1 - betas[1] ** step) ** 0.5]
    for late in (False, True):
        for clip in (None, 0.3):
            mine = [t.clone() for t in (start, first, second)]
            shadow = torch.zeros_like(start, dtype=torch.bfloat16)
            held.adam(
                mine[0], grad, mine[1], mine[2], shadow, factor=None if clip is None else grad.new_tensor(clip),
                rate=grad.new_tensor(rate), corrections=grad.new_tensor(powers), decay=decay, betas=betas,
                epsilon=epsilon, late=late,
            )  # fmt: skip
            weight = start.clone()
            state = AdamState({"w": first.clone()}, {"w": second.clone()}, step - 1)
            adam_step(
                {"w": weight}, {"w": grad * (clip or 1.0)}, state, rates={"w": rate}, decays={"w": decay}, betas=betas,
                epsilon=epsilon, decay_order="after" if late else "before",
            )  # fmt: skip
            theirs = [weight, state.first["w"], state.second["w"]]
            yield all(_close(a, b) for a, b in zip(mine, theirs, strict=True))
            # an interpreter of kernels cuts where a device rounds
            yield bool(((shadow - mine[0]).abs() <= mine[0].abs() * 2**-7).all())


def _with_gradients(function: Callable[..., Tensor], grad: Tensor, *arguments: Any) -> list[Tensor]:
    """Return a function's value, and the gradients of its arguments of numbers, along `grad`."""
    given = [a.clone().requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a for a in arguments]
    leaves = [a for a in given if isinstance(a, Tensor) and a.requires_grad]
    value = function(*given)
    return [value.detach(), *torch.autograd.grad(value, leaves, grad)]


def _close(ours: Tensor, theirs: Tensor) -> bool:
    """Tell whether numbers agree; those that are none never do."""
    return bool((ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max())
