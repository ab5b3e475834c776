"""Gradient descent and all its leave-one-out runs, written as plainly as possible: what the bounds are held against."""

from __future__ import annotations

import numpy as np


def residuals(scores: np.ndarray, y: np.ndarray, loss: str) -> np.ndarray:
    """Derivative of each sample's loss in its scores; scores [runs, n] or [runs, n, C]."""
    if loss == "logistic":
        signs = np.where(y == 1, 1.0, -1.0)
        return -signs / (1 + np.exp(np.clip(signs * scores, -700, 700)))
    if loss == "softmax":
        shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True) - np.eye(scores.shape[-1])[y]
    return scores - y


def leave_one_out_runs(
    x: np.ndarray,
    y: np.ndarray,
    *,
    loss: str,
    rate: float,
    steps: list[int],
    weight: str,
    l2: float = 0.0,
    start: np.ndarray | None = None,
    batches: list[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the run on all samples [k, ...] and the n runs without one [k, n, ...] at each of `steps`."""
    n, d = x.shape
    shape = (d,) if loss != "softmax" else (int(y.max()) + 1, d)
    shares = np.vstack([np.full(n, 1 / n), np.full((n, n), 1 / n if weight == "1/n" else 1 / (n - 1))])
    shares[np.arange(1, n + 1), np.arange(n)] = 0.0
    w = np.zeros((n + 1, *shape)) if start is None else np.tile(start, (n + 1,) + (1,) * len(shape))
    kept = []
    for t in range(1, max(steps) + 1):
        used = np.arange(n) if batches is None else batches[t - 1]
        scale = shares[:, used] * (n / len(used))
        if loss == "softmax":
            pull = residuals(np.einsum("rcd,nd->rnc", w, x[used]), y[used], loss)
            gradient = np.einsum("rn,rnc,nd->rcd", scale, pull, x[used], optimize=True)
        else:
            gradient = (scale * residuals(w @ x[used].T, y[used], loss)) @ x[used]
        w = w - rate * (gradient + l2 * w)
        if t in steps:
            kept.append(w)
    runs = np.array(kept)
    return runs[:, 0], runs[:, 1:]


def moved(full: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Euclidean distance of the weights, [k, n]."""
    gap = without - full[:, None]
    return np.linalg.norm(gap.reshape(*gap.shape[:2], -1), axis=2)


def turned(full: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Distance of the directions of the weights, [k, n]."""
    return moved(unit(full, 1), unit(without, 2))


def unit(w: np.ndarray, leading: int) -> np.ndarray:
    """Divide each weight array by its norm; the first `leading` axes count the arrays."""
    flat = w.reshape(*w.shape[:leading], -1)
    return (flat / np.linalg.norm(flat, axis=-1, keepdims=True)).reshape(w.shape)
