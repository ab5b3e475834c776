"""How far two predictions of the same rows lie apart: what several penalties have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def symmetric(first: Tensor, second: Tensor, kind: str) -> Tensor:
    """Return KL(p || q) + KL(q || p), averaged over rows; under regression the mean squared difference.

    Parameters
    ----------
    first, second : Tensor, shape (rows, outputs)
        Logits, whose softmax are p and q.
    kind : {"classification", "regression"}
        What the labels are.

    Returns
    -------
    Tensor, shape ()
        At least 0; gradients flow to both.
    """
    if kind == "regression":
        return (first - second).square().mean()
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(-1).mean()
