"""Finite rows on which floating point is hard put, and products that round otherwise."""

from __future__ import annotations

import numpy as np

KINDS = (
    "plain", "offset", "duplicates", "constant column", "collinear", "nearly low rank", "one row a class", "years",
    "whole numbers", "scales by column", "scales by row", "one decimal", "huge", "tiny",
)  # fmt: skip


def ill_conditioned(kind, seed, largest=9):
    """Return rows and labels of 2 to 4 classes, every class present."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    classes = int(random.integers(2, 5))
    n = classes if kind == "one row a class" else int(random.integers(classes, largest))
    d = int(random.integers(1, 7))
    x, y = random.standard_normal((n, d)), np.arange(n) % classes
    if random.random() < 0.4:
        x[np.arange(n), y % d] += 3
    if kind == "offset":
        x += 10.0 ** random.uniform(2, 8)
    elif kind == "duplicates":
        places = random.integers(0, n, size=n)
        x = x[places]
        y[1:] = y[places][1:]
        y[0] = (y[1:].max() + 1) % classes
    elif kind == "constant column":
        x[:, 0] = 10.0 ** random.integers(-8, 9)
    elif kind == "collinear":
        x = np.column_stack([x, x @ random.standard_normal((d, 2))])
        x += 10.0 ** random.uniform(-16, -3) * random.standard_normal(x.shape)
    elif kind == "nearly low rank":
        x = random.standard_normal((n, 2)) @ random.standard_normal((2, d))
        x += 10.0 ** random.uniform(-16, -1) * random.standard_normal(x.shape)
        x[:, 0] += 10
    elif kind == "years":
        x[:, 0] = random.integers(1950, 2026, size=n)
    elif kind == "whole numbers":
        x = random.integers(-2, 3, size=(n, d)).astype(float)
    elif kind == "scales by column":
        x *= 10.0 ** random.uniform(-8, 8, size=d)
    elif kind == "scales by row":
        x *= 10.0 ** random.uniform(-5, 5, size=(n, 1))
    elif kind == "one decimal":
        x = 1e5 + x.round(1)
    elif kind in ("huge", "tiny"):
        x *= 10.0 ** (random.uniform(2, 150) * (1 if kind == "huge" else -1))
    return x, y


class Rounded(np.ndarray):
    """An array whose products are off in the last bit, at random: what another kernel would make of them."""

    random = np.random.default_rng(0)

    def __matmul__(self, other):
        return self._off(np.asarray(self) @ np.asarray(other))

    def __rmatmul__(self, other):
        return self._off(np.asarray(other) @ np.asarray(self))

    @classmethod
    def _off(cls, product):
        bits = cls.random.integers(-1, 2, size=np.shape(product))
        return np.asarray(product * (1.0 + np.finfo(float).eps * bits)).view(cls)
