"""Many tests at once: Holm's adjustment, with undefined tests outside the family."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from stabilitybench.errors import UserError

Key = TypeVar("Key", bound=Hashable)


def holm(p_values: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """Return Holm-adjusted p-values (Holm 1979, Scand. J. Statist. 6:65-70) in the order given.

    None marks an undefined test: it stays None and does not count in the family.  Ordered
    p(1) <= ... <= p(m), the k-th adjusted value is the largest of min(1, (m - j + 1) p(j)) over j <= k.
    Raises UserError for a p-value outside [0, 1], NaN included.

    >>> holm({"a": 0.01, "b": 0.04, "c": None, "d": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': None, 'd': 0.06}
    """
    for key, p in p_values.items():
        if p is not None and not 0 <= p <= 1:
            raise UserError(f"holm: p-value of {key!r} is {p}: must lie in [0, 1], or be None for an undefined test")
    adjusted: dict[Key, float | None] = dict.fromkeys(p_values)
    defined = sorted((p, index, key) for index, (key, p) in enumerate(p_values.items()) if p is not None)
    running = 0.0
    for rank, (p, _, key) in enumerate(defined):
        running = max(running, min(1.0, (len(defined) - rank) * p))
        adjusted[key] = running
    return adjusted
