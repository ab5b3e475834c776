"""An arm that fails less often, or more often, than another."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from stabilitybench.claims.evidence import Cells
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import PairComparison, runs_of
from stabilitybench.errors import UserError
from stabilitybench.power import fisher_power, minimal_detectable_rate, seeds_for_rates
from stabilitybench.statistics.decisions import ALPHA, POWER
from stabilitybench.statistics.stratified import stratified_fisher, stratified_risk_difference


class FailuresCheck(PairComparison):
    """The first arm fails less often than the second, or more often.

    Attributes
    ----------
    higher : bool
        Whether it is claimed to fail more often.
    interest : float
        The smallest difference of the failure rates worth knowing.
    """

    rule: Literal["failures"]
    higher: bool
    interest: float = Field(gt=0)

    directed: ClassVar[bool] = True

    def compare(self, found: Cells) -> CheckResult:
        """Return the difference of the failure rates and its test."""
        return failures(found, higher=self.higher, interest=self.interest)


def failures(cells: Cells, *, higher: bool = False, interest: float = 0.3) -> CheckResult:
    """Test whether the first arm of each cell fails less (or more) often than the second.

    Exact and conditional on the failures of each task; with one task it is Fisher's test.  The interval combines Wilson
    limits [1]_, over tasks by squaring and adding.

    A task where neither arm scores on average above a constant guess is left out: there it is chance which runs end
    below the guess, and nobody avoids a failure.

    Parameters
    ----------
    cells : dict of str to list of Sample
        By task, the samples of the two arms, of single runs.
    higher : bool, default False
        Whether the first arm is claimed to fail more often, rather than less.
    interest : float, default 0.3
        The smallest difference of the failure rates worth knowing, in (0, 1].

    Returns
    -------
    CheckResult
        The rate of the first arm minus that of the second, averaged over the tasks.  Where no task is left, the rule
        does not apply.

    Raises
    ------
    UserError
        Where single runs are not known.

    References
    ----------
    .. [1] R. G. Newcombe (1998), "Interval estimation for the difference between independent proportions: comparison of
       eleven methods", Statistics in Medicine 17:873-890.
    """
    for task, pair in cells.items():
        if not all(s.known for s in pair):
            raise UserError(f"{task}: failed runs were not published; a check of failures needs single runs")
    lost = [t for t, pair in cells.items() if not any(s.learned for s in pair)]
    notes = [f"left out, since neither arm learned anything: {', '.join(lost)}"] if lost else []
    if len(lost) == len(cells):
        return CheckResult(runs_of(cells), unit="failure rate", note=notes[0], decided="not applicable")
    cells = {t: pair for t, pair in cells.items() if t not in lost}
    tables = [(a.failures, a.n, b.failures, b.n) for a, b in cells.values()]
    found = stratified_risk_difference(tables)
    effect = found.estimate or 0.0
    failed_a, n_a, failed_b, n_b = (sum(table[i] for table in tables) for i in range(4))
    rate = failed_b / n_b
    target = min(1.0, rate + interest) if higher else max(0.0, rate - interest)
    reach = minimal_detectable_rate(n_a, n_b, rate, ALPHA, POWER)
    limit = reach.above if higher else reach.below
    seeds = seeds_for_rates(target, rate, ALPHA, POWER) if target != rate else None
    notes.append(f"failed: {failed_a} of {n_a} against {failed_b} of {n_b}")
    return CheckResult(
        runs_of(cells), effect, found.low, found.high, "failure rate", p=stratified_fisher(tables),
        ahead=effect != 0 and (effect > 0) == higher, power=fisher_power(target, rate, n_a, n_b, ALPHA),
        detectable=None if limit is None else limit - rate, seeds=None if seeds is None else -(-seeds // len(cells)),
        note="; ".join(notes),
    )  # fmt: skip
