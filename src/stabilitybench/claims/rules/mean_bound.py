"""Whether a bound on an expectation keeps above the mean of what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from stabilitybench.claims.evidence import MissingEvidence
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import SuiteCheck
from stabilitybench.statistics import holm
from stabilitybench.statistics.one_sample import mean_excess

if TYPE_CHECKING:
    import pandas as pd


class MeanBoundHolds(SuiteCheck):
    """A bound of one suite holds on average."""

    rule: Literal["mean-bound"]

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return by how much the measured mean exceeds the bound, at most."""
        return exceeds(table, self.suites[0], self.items[0])


def exceeds(table: pd.DataFrame, suite: str, bound: str) -> CheckResult:
    """Ask whether a bound on an expectation keeps above what is measured, setting by setting (one-sided t tests).

    Parameters
    ----------
    table : DataFrame
        Measured suites, with the columns of `stabilitybench.claims.evidence.SUITE_COLUMNS` and measured.
    suite : str
        Name of the suite.
    bound : str
        Name of the bound.

    Returns
    -------
    CheckResult
        The largest mean of measured - bound.  Contradicted where, in some setting, that mean over datasets lies
        significantly above 0, with Holm's adjustment over the settings; supported where it lies significantly below 0
        in all, by the largest p.

    Raises
    ------
    MissingEvidence
        Where the bound is not in the table, or a setting has fewer than 3 datasets.
    """
    part = table[(table["suite"] == suite) & (table["item"] == bound) & table["amount"].notna()]
    if part.empty or "measured" not in part:
        raise MissingEvidence(f"{bound} of suite {suite}: not in the table")
    found = {}
    for value, cell in part.groupby("value", sort=False):
        gap = (cell["measured"] - cell["amount"]).to_numpy(np.float64)
        if len(gap) < 3:
            raise MissingEvidence(f"{bound} of suite {suite}: {len(gap)} datasets at {value}; needs 3")
        found[value] = mean_excess(gap)
    largest = max(it.estimate for it in found.values())
    above = holm({value: it.above for value, it in found.items()})
    p = min(q for q in above.values() if q is not None) if largest > 0 else max(it.below for it in found.values())
    return CheckResult(
        f"{len(part)} datasets", largest, unit="measured - bound", p=p, ahead=not largest > 0,
        note=f"{len(found)} settings; the largest mean of measured - bound",
    )  # fmt: skip
