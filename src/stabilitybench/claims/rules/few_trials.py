"""A few runs of one arm whose best matches that of many runs of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from stabilitybench.claims.evidence import Cells, MissingEvidence, Sample, only_task
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import PairComparison
from stabilitybench.statistics.decisions import POWER
from stabilitybench.statistics.few_runs import best_chance_power, chance_of_best


class FewTrialsCheck(PairComparison):
    """The best of a few runs of the first arm comes near the best of the many of the second.

    Attributes
    ----------
    budgets : list of int
        The few, and the number of runs of the second arm.
    margin : float
        How near, in the unit of the scores.
    interest : float
        The smallest distance of the chance from one half worth knowing.
    """

    rule: Literal["few-trials"]
    budgets: list[int]
    margin: float = Field(gt=0)
    interest: float = Field(gt=0)

    directed: ClassVar[bool] = True

    @model_validator(mode="after")
    def _few_and_many(self) -> Self:
        if len(self.budgets) != 2 or min(self.budgets) < 1:
            raise ValueError(f"budgets = {self.budgets}: must be two numbers of runs, the few and the many")
        return self

    def compare(self, found: Cells) -> CheckResult:
        """Return the chance that the few match the many, and its test."""
        first, second = only_task(found)
        return few_trials(first, second, budgets=self.budgets, margin=self.margin, interest=self.interest)


def few_trials(first: Sample, second: Sample, *, budgets: Sequence[int], margin: float, interest: float) -> CheckResult:
    """Ask whether a few runs of the first arm are likely to match the best of the many runs of the second.

    The best of the many is the one that was made: what is asked is about these runs.

    Parameters
    ----------
    first, second : Sample
        Single runs of the two arms.
    budgets : sequence of int
        m, the few, and the number of runs of the second arm.
    margin : float
        How near to the best run of the second arm counts as matching it, in the unit of the scores.
    interest : float
        The smallest distance of the chance from one half worth knowing.

    Returns
    -------
    CheckResult
        The chance that the best of m runs comes within `margin` of the best run of the second arm; tested against one
        half by the exact binomial test for one run.

    Raises
    ------
    MissingEvidence
        Where the second arm has not as many runs as the claim is about.
    """
    m, many = budgets
    if second.n != many:
        raise MissingEvidence(f"{second.n} runs to take the best of, where the claim is about {many}")
    goal = float(second.values.max()) - margin
    reached = int(np.count_nonzero(first.values >= goal))
    found = chance_of_best(reached, first.n, m)
    target = min(0.5 + interest, 0.999)
    grid = (float(c) for c in np.linspace(0.5, 1, 501)[1:])
    return CheckResult(
        f"{first.n} + {second.n}", found.estimate, found.low, found.high, "chance", p=found.p,
        ahead=found.estimate > 0.5, power=best_chance_power(target, m, first.n),
        detectable=next((c for c in grid if best_chance_power(c, m, first.n) >= POWER), None),
        seeds=next((n for n in range(3, 2000) if best_chance_power(target, m, n) >= POWER), None),
        note=f"{reached} of {first.n} runs come within {100 * margin:g} points of the best of {many}; chance of {m}",
        limits=(0.5,),
    )  # fmt: skip
