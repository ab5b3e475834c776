"""Several arms of which at least one is better than the last."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from stabilitybench.claims.evidence import Cells
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import Comparison
from stabilitybench.claims.rules.contrast import contrast
from stabilitybench.statistics import holm


class BestOfCheck(Comparison):
    """Some arm has a higher mean than the last one.

    Attributes
    ----------
    interest : float
        The smallest difference worth knowing, in the unit of the scores.
    """

    rule: Literal["best-of"]
    interest: float = Field(gt=0)

    def compare(self, found: Cells) -> CheckResult:
        """Return the difference of the arm that is ahead most surely."""
        return best_of(found, interest=self.interest, unit=self.unit)


def best_of(cells: Cells, *, interest: float, unit: str) -> CheckResult:
    """Test whether some arm is better than the last one, the others compared with it and Holm's adjustment over them.

    Parameters
    ----------
    cells : dict of str to list of Sample
        By task, one sample per arm, at least two.
    interest : float
        The smallest difference worth knowing, in the unit of the scores, above 0.
    unit : str
        Of the effect; "points" shows it times 100.

    Returns
    -------
    CheckResult
        That of the surest arm among those that are ahead, with its p adjusted over the arms.  Where none is ahead it is
        that of the arm nearest to the last, with the largest p of all: every arm must be worse for the claim to be
        contradicted.
    """
    count = len(next(iter(cells.values()))) - 1
    found = [
        contrast({t: [row[i], row[-1]] for t, row in cells.items()}, (1, -1), interest=interest, unit=unit)
        for i in range(count)
    ]
    if any(f.p is None for f in found):
        return next(f for f in found if f.p is None)
    adjusted = holm({i: f.p for i, f in enumerate(found)})
    ahead = [i for i in range(count) if found[i].ahead]
    if ahead:
        best = min(ahead, key=lambda i: (found[i].p, -(found[i].effect or 0.0)))
        return replace(found[best], p=adjusted[best], note=f"one of {count} arms, Holm's adjustment over them")
    nearest = max(range(count), key=lambda i: found[i].effect or 0.0)
    return replace(found[nearest], p=max(f.p or 0.0 for f in found), note=f"all {count} arms lie below")
