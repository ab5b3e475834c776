"""The kinds of measurement, by name."""

from __future__ import annotations

from stabilitybench.suites.measurements import common_minimiser, full, head, max_margin
from stabilitybench.suites.measurements.base import Kind

KINDS: dict[str, Kind] = {module.KIND.name: module.KIND for module in (head, max_margin, full, common_minimiser)}


def bound_names(kind: str) -> tuple[str, ...]:
    """Return the bounds that a kind of measurement can be held against.

    Parameters
    ----------
    kind : str
        Its name, a key of `KINDS`.

    Examples
    --------
    >>> bound_names("max-margin")
    ('B2 refit', 'B2 one fit', 'B2 closed form', 'P2')
    """
    return tuple(KINDS[kind].bounds)
