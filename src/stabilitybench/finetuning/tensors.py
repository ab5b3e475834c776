"""Named tensors: drawn, averaged, measured and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from stabilitybench.encoders import Layout
from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.optim.clipping import norm
from stabilitybench.stabilizers import Context

Params = dict[str, Tensor]


def draw_new(
    shapes: Mapping[str, tuple[int, ...]], ctx: Context, device: torch.device, dtype: torch.dtype = torch.float32
) -> Params:
    """Draw the tensors that a checkpoint lacks: weights N(0, initializer_range^2), biases 0, norms 1.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shape by name.
    ctx : Context
        Gives the `init` stream, by name.
    device : torch.device
        Where the tensors are put.
    dtype : torch.dtype, default torch.float32
        Their type.
    """
    drawn: Params = {}
    for name, shape in shapes.items():
        empty = torch.zeros(shape, device=device, dtype=dtype)
        if is_norm(name) and not is_bias(name):
            drawn[name] = torch.ones_like(empty)
        elif is_bias(name):
            drawn[name] = empty
        else:
            # the purpose is part of what every head is drawn from
            drawn[name] = ctx.normal(name, empty, std=ctx.layout.initializer_range, purpose="fresh")
    return drawn


def copied(tensors: Mapping[str, Tensor]) -> Params:
    """Return tensors of one's own with the same values.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Left alone; the copies have no gradient.
    """
    return {name: t.detach().clone() for name, t in tensors.items()}


def average(networks: Sequence[Mapping[str, Tensor]]) -> Params:
    """Return the mean of each tensor; of a single network its own tensors.

    Parameters
    ----------
    networks : sequence of mapping of str to Tensor
        At least one, all with the same names.
    """
    if len(networks) == 1:
        return dict(networks[0])
    return {name: torch.stack([n[name] for n in networks]).mean(0) for name in networks[0]}


def norm_by_module(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, float]:
    """Return the Euclidean norm of tensors by module group, bottom first; groups without tensors are left out.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Weights, gradients or differences.
    layout : Layout
        Gives the groups.
    """
    groups: dict[str, Params] = {}
    for name, tensor in tensors.items():
        groups.setdefault(layout.module_group(name), {})[name] = tensor
    return {group: float(norm(groups[group])) for group in layout.module_groups if group in groups}


def digest(*networks: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all tensors, by name, one network after the other.

    Parameters
    ----------
    *networks : mapping of str to Tensor
        Names and bytes are hashed; shape, dtype and device are not.  On an accelerator, whose numbers differ from those
        of a CPU anyway, checksums are hashed in place of the bytes: copying a gigabyte takes as long as many steps.
    """
    out = hashlib.sha256()
    for params in networks:
        names = sorted(params)
        sums = _checksums([params[n] for n in names if params[n].device.type != "cpu"])
        for name in names:
            out.update(name.encode())
            tensor = params[name].detach()
            out.update(next(sums) if tensor.device.type != "cpu" else tensor.contiguous().numpy().tobytes())
    return out.hexdigest()


def _checksums(tensors: Sequence[Tensor]) -> Iterator[bytes]:
    """Yield a checksum of each tensor: 64-bit sums of its words, each times a weight that hangs on its place."""
    sums = []
    for tensor in tensors:
        words = tensor.detach().contiguous().view(torch.int32).flatten()
        place = torch.arange(1, 1 + len(words), device=words.device)
        sums.append((words * (place * _WEIGHT ^ (place >> 7))).sum())
    values = torch.stack(sums).tolist() if sums else []
    yield from (value.to_bytes(8, "little", signed=True) for value in values)


#: Odd, so that neighbouring places have weights that differ in all bits (the golden ratio of 2^63).
_WEIGHT = 0x4F1BBCDCBFA53E0B
