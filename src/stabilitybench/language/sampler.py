"""Cheap random choices from an explicit numpy generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 4096


class Dice:
    """Draw many small choices from one random generator.

    One call of a numpy generator costs more than a sentence has time for, so uniform numbers are fetched in blocks of
    4096 and used one by one. Two dice on generators of the same seed give the same choices.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the numbers come from; it runs up to a block ahead of the choices.

    Examples
    --------
    >>> dice = Dice(np.random.default_rng(0))
    >>> [dice.below(6) for _ in range(5)]
    [3, 1, 0, 0, 4]
    """

    __slots__ = ("_numbers", "_rng")

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._numbers: list[float] = []

    def unit(self) -> float:
        """Return a number uniform in [0, 1)."""
        if not self._numbers:
            self._numbers = self._rng.random(_BLOCK)[::-1].tolist()
        return self._numbers.pop()

    def below(self, n: int) -> int:
        """Return an integer uniform in [0, n).

        Parameters
        ----------
        n : int
            Upper limit, excluded; at least 1.
        """
        return int(self.unit() * n)

    def chance(self, p: float) -> bool:
        """Return True with a given probability.

        Parameters
        ----------
        p : float
            The probability, in [0, 1].
        """
        return self.unit() < p

    def pick(self, items: Sequence[T]) -> T:
        """Return one item, each equally likely.

        Parameters
        ----------
        items : sequence
            What to choose from; not empty.
        """
        return items[int(self.unit() * len(items))]
