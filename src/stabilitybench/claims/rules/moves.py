"""Which way a measured quantity of a synthetic suite goes with its factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from stabilitybench.claims.evidence import MissingEvidence
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import SuiteCheck
from stabilitybench.statistics.one_sample import detectable_share, median_limits, sign_power, sign_test
from stabilitybench.suites.predictions import ROUNDING, SAME

if TYPE_CHECKING:
    import pandas as pd


class Moves(SuiteCheck):
    """A quantity of one suite rises, or falls.

    Attributes
    ----------
    higher : bool
        Whether it is claimed to rise.
    """

    rule: Literal["moves"]
    higher: bool

    directed: ClassVar[bool] = True

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return which way the quantity goes."""
        return moves(table, self.suites[0], self.items[0], rises=self.higher)


def moves(table: pd.DataFrame, suite: str, item: str, *, rises: bool) -> CheckResult:
    """Test whether a quantity of a suite rises (or falls) from the smallest to the largest value of its factor.

    A sign test over the dataset seeds, whose random streams are the same at every value.

    Parameters
    ----------
    table : DataFrame
        Measured suites, with the columns of `stabilitybench.claims.evidence.SUITE_COLUMNS`.
    suite : str
        Name of the suite.
    item : str
        Name of the quantity.
    rises : bool
        Whether it is claimed to rise, rather than fall.

    Returns
    -------
    CheckResult
        The median of largest / smallest with the interval of order statistics; a median change of less than 10 % is
        none, whatever its sign.  `power` is that to detect a direction that 95 % of such datasets share.

    Raises
    ------
    MissingEvidence
        Where the quantity is not in the table, or fewer than 6 seeds have both ends.
    """
    part = table[(table["suite"] == suite) & (table["item"] == item) & table["amount"].notna()]
    if part.empty:
        raise MissingEvidence(f"{item} of suite {suite}: not in the table")
    values = sorted(set(part["value"]))
    ends = part.pivot(index="seed", columns="value", values="amount")[[values[0], values[-1]]].dropna()
    n = len(ends)
    if len(values) < 2 or n < 6:
        raise MissingEvidence(f"{item} of suite {suite}: {n} seeds with both ends; fewer than 6 cannot be tested")
    first, last = (ends.iloc[:, i].to_numpy(np.float64) for i in (0, 1))
    tiny = 1e-300
    ratios = (last + tiny) / (first + tiny)
    up, down = int((ratios > 1 + ROUNDING).sum()), int((ratios < 1 - ROUNDING).sum())
    effect = float(np.median(ratios))
    low, high = median_limits(ratios) or (None, None)
    small = abs(effect - 1) <= SAME
    note = f"{up} of {n} rise, {down} fall; medians {np.median(first):.3g} to {np.median(last):.3g}"
    if small:
        note += "; a change below 10 % counts as none"
    if (share := detectable_share(n)) is not None:
        note += f"; detectable: a direction shared by {100 * share:.0f} % of the seeds"
    return CheckResult(
        f"{n} seeds x 2 values", effect, low, high, "largest / smallest", p=sign_test(up, down),
        ahead=(effect > 1) == rises, power=sign_power(0.95, n), note=note, decided="not detected" if small else None,
    )  # fmt: skip
