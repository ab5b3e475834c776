"""Which stabilizers can stand together, and in which order they act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stabilitybench.argument_checks import several
from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.traits import remedy

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout


def compose(
    stabilizers: Iterable[Stabilizer], layout: Layout | None = None, *, where: str = ""
) -> tuple[Stabilizer, ...]:
    """Return the stabilizers in the order they act: that of `Stabilizer.position`, then of the names.

    Parameters
    ----------
    stabilizers : iterable of Stabilizer
        In any order.
    layout : Layout, optional
        The encoder, once it is known: some conflicts depend on its depth.
    where : str, default ""
        How the caller calls this list, put before every message.

    Raises
    ------
    UserError
        Where a name stands twice, or two stabilizers cannot stand together; the message has a remedy.

    Examples
    --------
    >>> from stabilitybench.stabilizers import build
    >>> [s.name for s in compose([build("freeze"), build("reinit")])]
    ['reinit', 'freeze']
    """
    prefix = f"{where}: " if where else ""
    given = several("stabilizers", stabilizers, "stabilizers", Stabilizer)
    for name, count in Counter(s.name for s in given).items():
        if count > 1:
            raise UserError(f'{prefix}"{name}" stands {count} times: give it once')
    for i, one in enumerate(given):
        for other in given[i + 1 :]:
            said = remedy(one.traits, other.traits) or one.conflict(other, layout) or other.conflict(one, layout)
            if said:
                raise UserError(f'{prefix}"{one.name}" and "{other.name}" exclude each other: {said}')
    return tuple(sorted(given, key=lambda s: (s.position, s.name)))
