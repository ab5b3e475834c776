"""Gradient norms and clipping on dictionaries of tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def norm(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the Euclidean norm of all tensors taken as one vector.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Tensors of any shapes, on one device.

    Returns
    -------
    Tensor
        A scalar; 0 for no tensors.

    Examples
    --------
    >>> norm({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])})
    tensor(5.)
    """
    if not tensors:
        return torch.zeros(())
    norms: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors.values()))))
    return norms


@torch.no_grad()
def clip(
    grads: Mapping[str, Tensor], limit: float, *, scope: str = "global", norms: Tensor | None = None
) -> dict[str, Tensor]:
    """Scale gradients so that their norm is at most `limit`.

    Parameters
    ----------
    grads : mapping of str to Tensor
        Gradients, which stay as they are.
    limit : float
        Largest norm; 0 turns clipping off.
    scope : {"global", "tensor"}, default "global"
        "global" measures all tensors as one vector, as torch.nn.utils.clip_grad_norm_ does; "tensor" measures each
        alone, as the optimizer of the released BERT did.
    norms : Tensor, shape (tensors,), optional
        The norm of each gradient, where they are known.

    Returns
    -------
    dict of str to Tensor
        The scaled gradients, in the order of `grads`.

    Examples
    --------
    >>> clip({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}, 1.0)
    {'a': tensor([0.6000]), 'b': tensor([0.8000])}
    """
    if not limit or not grads:
        return dict(grads)
    if scope == "tensor":
        return {name: g * _factor(torch.linalg.vector_norm(g), limit) for name, g in grads.items()}
    factor = clip_factor(torch.stack(torch._foreach_norm(list(grads.values()))) if norms is None else norms, limit)
    return dict(zip(grads, torch._foreach_mul(list(grads.values()), factor), strict=True))


@torch.no_grad()
def clip_factor(norms: Tensor, limit: float) -> Tensor:
    """Return by what all gradients are multiplied so that their norm is at most `limit`.

    Parameters
    ----------
    norms : Tensor, shape (tensors,)
        The norm of each gradient.
    limit : float
        Largest norm, above 0.

    Examples
    --------
    >>> clip_factor(torch.tensor([3.0, 4.0]), 1.0)
    tensor(0.2000)
    """
    return _factor(torch.linalg.vector_norm(norms), limit)


def _factor(size: Tensor, limit: float) -> Tensor:
    return torch.clamp(limit / (size + 1e-6), max=1.0)
