"""A factor, initialisation or order, that matters at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from stabilitybench.claims.evidence import Floats
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import CrossedCheck
from stabilitybench.statistics.crossed import factor_effect

if TYPE_CHECKING:
    import pandas as pd


class MattersCheck(CrossedCheck):
    """A crossed factor contributes to the variance of scores.

    Attributes
    ----------
    factor : {"init", "order"}
        Which one.
    interest : float
        The smallest SD of its effects worth knowing, as a multiple of that of what is left.
    """

    rule: Literal["matters"]
    factor: Literal["init", "order"]
    interest: float = Field(gt=0)

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return what the factor contributes, and its test."""
        return matters(self.grid(table), factor=0 if self.factor == "init" else 1, interest=self.interest)


def matters(scores: Floats, *, factor: int, interest: float) -> CheckResult:
    """Ask whether a factor of a crossed design matters at all, by its F test against the interaction.

    Parameters
    ----------
    scores : ndarray, shape (levels of the first factor, levels of the second)
        One run in each cell.
    factor : {0, 1}
        Which factor, by its axis.
    interest : float
        The smallest effect worth knowing, above 0.

    Returns
    -------
    CheckResult
        The SD of the factor's effects over that of what is left (0: none), with its F interval.  There is no direction
        to contradict; where nothing is left over, the rule does not apply.
    """
    unit = "SD over the rest"
    found = factor_effect(scores, factor)
    if found is None:
        return CheckResult(f"{scores.size} runs", unit=unit, note="nothing is left over", decided="not applicable")
    return CheckResult(
        f"{scores.shape[0]} x {scores.shape[1]} runs", found.estimate, found.low, found.high, unit, p=found.p,
        ahead=True, power=found.power(interest), detectable=found.detectable(),
    )  # fmt: skip
