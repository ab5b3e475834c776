"""A weighted sum of arm means against a value: a difference, an interaction, a share of another arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from stabilitybench.claims.evidence import Cells, combined
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import Comparison, runs_of
from stabilitybench.statistics.decisions import seeds_for_effect


class ContrastCheck(Comparison):
    """The means of the arms, weighted and added, lie above a value, or below.

    Attributes
    ----------
    weights : list of float
        One for each arm.
    higher : bool
        Whether the sum is claimed to lie above `null`.
    interest : float
        The smallest distance from `null` worth knowing, in the unit of the scores.
    null : float, default 0
        What the sum is tested against.
    """

    rule: Literal["contrast"]
    weights: list[float]
    higher: bool
    interest: float = Field(gt=0)
    null: float = 0.0

    directed: ClassVar[bool] = True

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        if len(self.weights) != len(self.arms):
            raise ValueError(f"weights = {self.weights}: must be one for each of the {len(self.arms)} arms")
        return self

    def compare(self, found: Cells) -> CheckResult:
        """Return the sum and its test."""
        return contrast(found, self.weights, higher=self.higher, null=self.null, interest=self.interest, unit=self.unit)


def contrast(
    cells: Cells, weights: Sequence[float], *, higher: bool = True, null: float = 0.0, interest: float, unit: str
) -> CheckResult:
    """Test a weighted sum of arm means against `null`, by Welch's t over all tasks at once.

    Parameters
    ----------
    cells : dict of str to list of Sample
        By task, one sample per arm.
    weights : sequence of float
        One per arm: (1, -1) is the difference of two.
    higher : bool, default True
        Whether the sum is claimed to lie above `null`, rather than below.
    null : float, default 0
        What the sum is tested against, in the unit of the scores.
    interest : float
        The smallest distance from `null` worth knowing, in the unit of the scores, above 0.
    unit : str
        Of the effect; "points" shows it times 100.

    Returns
    -------
    CheckResult
        The weighted sum, averaged over the tasks; the note tells that of each.  Where no arm has any spread, the rule
        does not apply.

    Examples
    --------
    >>> from scipy.stats import ttest_ind
    >>> from stabilitybench.claims.evidence import Sample
    >>> a, b = Sample.of([3.0, 4.0, 6.0]), Sample.of([1.0, 2.0, 2.5, 2.0])
    >>> found = contrast({"t": [a, b]}, [1, -1], interest=1.0, unit="")
    >>> abs(found.p - float(ttest_ind(a.values, b.values, equal_var=False).pvalue)) < 1e-9
    True
    """
    found = combined(cells, weights)
    scale = 100.0 if unit == "points" else 1.0
    effect, n = found.estimate, runs_of(cells)
    if found.se == 0:
        return CheckResult(
            n, scale * effect, unit=unit, note="no test: no arm has any spread", decided="not applicable"
        )
    half, reach = found.half_width(), found.detectable()
    largest = max(sample.n for row in cells.values() for sample in row)
    notes = [] if null == 0 else [f"tested against {scale * null:g}"]
    if len(cells) > 1:  # a mean over tasks may hide effects that go against each other
        each = {t: combined({t: row}, weights).estimate for t, row in cells.items()}
        notes.append("by task: " + ", ".join(f"{t} {scale * e:+.1f}" for t, e in each.items()))
    return CheckResult(
        n, scale * effect, scale * (effect - half), scale * (effect + half), unit, p=found.p(null),
        ahead=(effect > null) == higher, power=found.power(interest), detectable=scale * reach,
        seeds=seeds_for_effect(largest, reach, interest), note="; ".join(notes), limits=(scale * null,) if null else (),
    )  # fmt: skip
