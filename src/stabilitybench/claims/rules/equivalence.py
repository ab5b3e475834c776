"""Two arms that differ by less than a margin on every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from stabilitybench.claims.evidence import Cells, Sample, combined
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import PairComparison, runs_of
from stabilitybench.statistics.contrasts import Contrast
from stabilitybench.statistics.decisions import ALPHA, seeds_for_effect


class EquivalenceCheck(PairComparison):
    """The means of two arms are practically the same.

    Attributes
    ----------
    margin : float
        By how much they may differ, in the unit of the scores.
    """

    rule: Literal["equivalence"]
    margin: float = Field(gt=0)

    def compare(self, found: Cells) -> CheckResult:
        """Return the largest difference and its tests."""
        return equivalence(found, margin=self.margin, unit=self.unit)


@dataclass(frozen=True)
class _Task:
    """Two arms on one task: their difference, and the runs of the larger one."""

    found: Contrast
    runs: int


def equivalence(cells: Cells, *, margin: float, unit: str) -> CheckResult:
    """Test whether two arms differ by less than `margin` in mean on every task, by two one-sided Welch tests.

    Each task has its own pair of tests [1]_ and the largest p counts, so that gains on one task cannot make up for
    losses on another.

    Parameters
    ----------
    cells : dict of str to list of Sample
        By task, the samples of the two arms.
    margin : float
        By how much the means may differ, in the unit of the scores, above 0.
    unit : str
        Of the effect; "points" shows it times 100.

    Returns
    -------
    CheckResult
        That of the task where the arms differ most.  Supported where p, adjusted, is significant; contradicted where
        the interval of some task, at 95 % over all tasks (Bonferroni), lies beyond the margin; else not detected.
        Where at least half of the runs of both arms end with the very same score, the method did nothing to speak of,
        and the rule does not apply.  `detectable` is the margin that equal arms with this spread would be shown to keep
        with a power of 80 %.

    References
    ----------
    .. [1] D. J. Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach for
       assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics
       15:657-680.
    """
    tasks = {t: _Task(combined({t: row}, (1.0, -1.0)), max(s.n for s in row)) for t, row in cells.items()}
    for task, row in cells.items():
        same = _same_runs(*row)
        if 2 * same >= row[0].n:
            return CheckResult(runs_of(cells), unit=unit, decided="not applicable", note=(
                f"{task}: {same} of {row[0].n} runs end with the same score in both arms: the method changes next to "
                "nothing here"
            ))  # fmt: skip
    if any(one.found.se == 0 for one in tasks.values()):
        return CheckResult(runs_of(cells), unit=unit, note="an arm has no spread", decided="not applicable")
    scale = 100.0 if unit == "points" else 1.0
    it = max((one.found for one in tasks.values()), key=lambda found: abs(scale * found.estimate))
    half = it.half_width()
    seeds = [seeds_for_effect(one.runs, one.found.equivalence_margin(), margin) for one in tasks.values()]
    beyond = any(abs(one.found.estimate) - one.found.half_width(ALPHA / len(cells)) > margin for one in tasks.values())
    notes = [f"margin {scale * margin:g} {unit}".rstrip()]
    if len(cells) > 1:
        notes.append("by task: " + ", ".join(f"{t} {scale * one.found.estimate:+.1f}" for t, one in tasks.items()))
    return CheckResult(
        runs_of(cells), scale * it.estimate, scale * (it.estimate - half), scale * (it.estimate + half), unit,
        p=max(one.found.equivalence_p(margin) for one in tasks.values()), ahead=True,
        power=min(one.found.equivalence_power(margin) for one in tasks.values()),
        detectable=max(scale * one.found.equivalence_margin() for one in tasks.values()),
        seeds=None if None in seeds else max(k for k in seeds if k is not None),
        note="; ".join(notes), decided="contradicted" if beyond else None,
        limits=(-scale * margin, scale * margin),
    )  # fmt: skip


def _same_runs(first: Sample, second: Sample) -> int:
    """Return how many runs of two arms, in the order of their seeds, do not fail and end with the same score."""
    if not (first.known and second.known and first.n == second.n):
        return 0
    return int(np.count_nonzero((first.values == second.values) & ~first.failed & ~second.failed))
