"""`==` of results that hold arrays, tensors or tables: by content, where a dataclass of its own would raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar


class EqualByContent:
    """A dataclass with ``eq=False`` that equals another of its class where all compared fields hold the same.

    NaN is the same as NaN: two runs that diverged alike are equal.  Such objects have no hash.
    """

    __array_ufunc__: ClassVar[None] = None  # an array does not compare its items with this one by one

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [f.name for f in fields(self) if f.compare]  # type: ignore[arg-type]
        return all(same(getattr(self, name), getattr(other, name)) for name in names)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values hold the same: arrays, tensors and tables cell by cell, containers item by item.

    Parameters
    ----------
    one, other : object
        The values; NaN is the same as NaN, and types, shapes, dtypes and devices must agree.

    Examples
    --------
    >>> import numpy as np
    >>> same({"x": np.array([1.0, np.nan])}, {"x": np.array([1.0, np.nan])}), same(np.zeros(2), np.zeros(3))
    (True, False)
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "equals"):  # a table
        return type(one) is type(other) and bool(one.equals(other))
    if hasattr(one, "shape"):
        kinds = [
            (type(x), x.shape, x.dtype, str(getattr(x, "device", ""))) for x in (one, other) if hasattr(x, "shape")
        ]
        if len(kinds) < 2 or kinds[0] != kinds[1]:
            return False
        return bool(((one == other) | ((one != one) & (other != other))).all())
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)
    return bool(one == other)
