"""Looks at a study before it is complete: those that its file declares, and the price of those that it does not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from stabilitybench.storage.toml import TomlTable


class LooksEntry(TomlTable):
    """The numbers of seeds at which one looks, declared before the first run.

    Attributes
    ----------
    sizes : list of int
        Seeds per arm at each look, ascending, at least 2 looks.
    bounds : {"pocock", "obrien-fleming"}, default "pocock"
        How the error is shared out: every look at one level, or little for early looks.
    """

    sizes: list[int] = Field(min_length=2)
    bounds: Literal["pocock", "obrien-fleming"] = "pocock"

    @field_validator("sizes")
    @classmethod
    def _ascending(cls, sizes: list[int]) -> list[int]:
        if sizes[0] < 2 or any(second <= first for first, second in pairwise(sizes)):
            raise ValueError("must be numbers of seeds from 2 that ascend from look to look, such as [10, 20]")
        from stabilitybench.statistics.looks import MOST_LOOKS, WIDEST  # takes longer than reading a file without looks

        if len(sizes) > MOST_LOOKS or sizes[-1] > WIDEST * sizes[0]:
            raise ValueError(f"must be at most {MOST_LOOKS}, the last at no more than {WIDEST} times the first")
        return sizes


def price_of_looks(sizes: Sequence[int]) -> str:
    """Return what it costs to look at several numbers of seeds without having said so before; empty where nothing.

    Parameters
    ----------
    sizes : sequence of int
        Seeds per arm at each look, ascending; with fewer than four no test can claim anything.

    Examples
    --------
    >>> print(price_of_looks([10, 20]))
    undeclared looks at 10 and 20 seeds: a test at 5 % errs in 8.3 % of studies without a difference
    >>> price_of_looks([1, 20])
    ''
    """
    from stabilitybench.statistics.decisions import ALPHA  # not needed before a study was looked at
    from stabilitybench.statistics.looks import MOST_LOOKS, undeclared_error

    able = sorted({size for size in sizes if size >= 4})[-MOST_LOOKS:]
    if len(able) < 2:
        return ""
    said = f"{', '.join(map(str, able[:-1]))} and {able[-1]}"
    return (
        f"undeclared looks at {said} seeds: a test at {100 * ALPHA:g} % errs in "
        f"{100 * undeclared_error(able):.1f} % of studies without a difference"
    )
