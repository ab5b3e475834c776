"""Whether bounds that hold for each dataset are ever exceeded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from stabilitybench.claims.evidence import MissingEvidence
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import SuiteCheck
from stabilitybench.statistics import wilson

if TYPE_CHECKING:
    import pandas as pd

#: Fewer checks than this cannot show that a bound holds.
ENOUGH_CHECKS = 100


class BoundHolds(SuiteCheck):
    """Bounds of suites are never exceeded."""

    rule: Literal["bound"]

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return how often the bounds are exceeded."""
        return holds(table, self.suites, self.items)


def holds(table: pd.DataFrame, suites: Sequence[str], bounds: Sequence[str]) -> CheckResult:
    """Ask whether bounds are ever exceeded, over all their checks.

    Parameters
    ----------
    table : DataFrame
        Measured suites, with the columns of `stabilitybench.claims.evidence.SUITE_COLUMNS`.
    suites : sequence of str
        Names of suites, each with a row of a bound.
    bounds : sequence of str
        Names of bounds, each with a row in a suite.

    Returns
    -------
    CheckResult
        The violation rate with Wilson's interval; supported with no violation in at least 100 checks, contradicted by a
        single one.

    Raises
    ------
    MissingEvidence
        Where a suite or bound has no row, violations were not counted, or fewer than 100 checks were made.
    """
    part = table[table["suite"].isin(suites) & table["item"].isin(bounds) & (table["kind"] == "bound")]
    lost = [b for b in bounds if not (part["item"] == b).any()] + [s for s in suites if not (part["suite"] == s).any()]
    if lost:
        raise MissingEvidence(f"{', '.join(lost)}: without a row among {', '.join(suites)} x {', '.join(bounds)}")
    part = part[part["checks"].fillna(0) > 0]
    if part["violations"].isna().any():
        raise MissingEvidence(f"{', '.join(bounds)}: checks without a count of violations")
    checks, violations = int(part["checks"].sum()), int(part["violations"].sum())
    if checks < ENOUGH_CHECKS:
        raise MissingEvidence(f"{checks} checks of {', '.join(bounds)}; fewer than {ENOUGH_CHECKS} show nothing")
    found = wilson(violations, checks)
    return CheckResult(
        f"{checks} checks", found.rate, found.low, found.high, "violation rate", ahead=violations == 0,
        note=f"{violations} violations", decided="contradicted" if violations else "supported",
    )  # fmt: skip
