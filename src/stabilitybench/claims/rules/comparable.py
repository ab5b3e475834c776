"""Initialisation and order that contribute alike to the variance of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from scipy import stats

from stabilitybench.claims.evidence import Floats
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import CrossedCheck
from stabilitybench.statistics.crossed import factor_ratio, mean_squares
from stabilitybench.statistics.decisions import ALPHA

if TYPE_CHECKING:
    import pandas as pd


class ComparableCheck(CrossedCheck):
    """Two crossed factors contribute alike.

    Attributes
    ----------
    margin : float
        The ratio of their root mean squares lies between ``1 / margin`` and `margin`.
    """

    rule: Literal["comparable"]
    margin: float = Field(gt=0)

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return the ratio of what both factors contribute."""
        return comparable(self.grid(table), margin=self.margin)


def comparable(scores: Floats, *, margin: float) -> CheckResult:
    """Ask whether two crossed factors contribute alike.

    Parameters
    ----------
    scores : ndarray, shape (levels of the first factor, levels of the second)
        One run in each cell.
    margin : float
        The largest ratio that counts as alike, above 1; its inverse is the smallest.

    Returns
    -------
    CheckResult
        The ratio of the factors' root mean squares.  Supported where the two one-sided F tests put it inside
        (1 / margin, margin), adjusted; contradicted where its 95 % interval lies outside, else not detected.  Where
        neither factor passes its own F test against the interaction, the rule does not apply.
    """
    squares = mean_squares(scores)
    rest = squares.rest
    tested = [stats.f.sf(s.value / rest.value, s.df, rest.df) for s in (squares.rows, squares.columns) if rest.value]
    if tested and all(float(p) >= ALPHA for p in tested):
        note = "neither factor is seen to matter, so that both contribute alike for want of any contribution"
        return CheckResult(f"{scores.size} runs", unit="ratio", note=note, decided="not applicable")
    found = factor_ratio(squares)
    if found is None:
        return CheckResult(f"{scores.size} runs", unit="ratio", note="a factor has no effect", decided="not applicable")
    outside = found.low > margin or found.high < 1 / margin
    return CheckResult(
        f"{scores.shape[0]} x {scores.shape[1]} runs", found.estimate, found.low, found.high, "ratio",
        p=found.equivalence_p(margin), ahead=True, power=found.equivalence_power(margin),
        detectable=found.equivalence_margin(), note=f"alike: between 1/{margin:g} and {margin:g}",
        decided="contradicted" if outside else None, limits=(1 / margin, margin),
    )  # fmt: skip
