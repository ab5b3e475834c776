"""Arms whose means are not all the same."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from stabilitybench.claims.evidence import Cells, only_task
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import Comparison, runs_of
from stabilitybench.statistics.contrasts import detectable_range, range_power, seeds_for_range, welch_anova


class DifferCheck(Comparison):
    """The means of the arms differ, in whatever direction.

    Attributes
    ----------
    interest : float
        The smallest distance between the extreme means worth knowing, in the unit of the scores.
    """

    rule: Literal["differ"]
    interest: float = Field(gt=0)

    def compare(self, found: Cells) -> CheckResult:
        """Return the range of the means and their test."""
        return differ(found, interest=self.interest, unit=self.unit)


def differ(cells: Cells, *, interest: float, unit: str) -> CheckResult:
    """Test whether the means of the arms differ at all, by Welch's analysis of variance.

    Parameters
    ----------
    cells : dict of str to list of Sample
        One task, and on it one sample of single runs per arm.
    interest : float
        The smallest distance between the extreme means worth knowing, in the unit of the scores, above 0.
    unit : str
        Of the effect; "points" shows it times 100.

    Returns
    -------
    CheckResult
        The range of the means.  Supported where the test rejects; there is no direction to contradict.  Where an arm
        has no spread, the rule does not apply.

    Raises
    ------
    UserError
        Where there are several tasks.
    """
    arms = only_task(cells)
    p = welch_anova([s.values for s in arms]).p
    if p is None:
        note = "no test: an arm has no spread"
        return CheckResult(runs_of(cells), unit=unit, note=note, decided="not applicable")
    means = [s.mean for s in arms]
    scale = 100.0 if unit == "points" else 1.0
    pooled, k, n = math.sqrt(float(np.mean([s.sd**2 for s in arms]))), len(arms), min(s.n for s in arms)
    reach = detectable_range(pooled, k, n)
    return CheckResult(
        runs_of(cells), scale * (max(means) - min(means)), unit=unit, p=p, ahead=True,
        power=range_power(interest, pooled, k, n), detectable=None if reach is None else scale * reach,
        seeds=seeds_for_range(interest, pooled, k), note="means " + ", ".join(f"{scale * m:.1f}" for m in means),
    )  # fmt: skip
