"""A few expensive things kept per process, so that the seeds of a study share them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memory(Generic[T]):
    """Keep the values used last, by key.

    Parameters
    ----------
    size : int
        Number of values that are kept, at least 1.

    Examples
    --------
    >>> memory = Memory[int](size=1)
    >>> memory.get("a", lambda: 1), memory.get("a", lambda: 2)
    (1, 1)
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[Hashable, T] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, made at first use.

        Parameters
        ----------
        key : hashable
            All that the value depends on.
        make : callable
            ``make()`` returns the value.
        """
        value = self._values.pop(key) if key in self._values else make()
        self._values[key] = value  # the one used last stands last
        while len(self._values) > self._size:
            del self._values[next(iter(self._values))]
        return value
