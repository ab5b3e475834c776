"""Runs that are dropped early, against whole runs of the same cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stabilitybench.claims.evidence import Floats, MissingEvidence, chosen
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import ArmCheck
from stabilitybench.statistics.bootstrap import bootstrap_test
from stabilitybench.statistics.dropping import dropping_cost, dropping_gains

if TYPE_CHECKING:
    import pandas as pd

#: The reading after this share of the training, and the final one: columns of the table.
FRACTION, EARLY, FINAL = 0.4, "validation_2", "validation_5"
_ENTROPY = 2_002_064


class EarlyDroppingCheck(ArmCheck):
    """Starting more runs and dropping the worst early gives a better best run.

    Attributes
    ----------
    started, dropped : int
        How many runs are started, and how many of them are dropped.
    interest : float
        The smallest gain worth knowing, in the unit of the scores.
    """

    rule: Literal["early-dropping"]
    started: int = Field(ge=2)
    dropped: int = Field(ge=1)
    interest: float = Field(gt=0)

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return the gain and its test."""
        rows = chosen(table, self.tasks_of(table)[0], self.arms[0])
        for column in (EARLY, FINAL):
            if column not in rows or rows[column].isna().any():
                raise MissingEvidence(f"{self.arms[0]}: {column} is not known of every run")
        early, final = (rows[column].to_numpy(np.float64) for column in (EARLY, FINAL))
        return early_dropping(
            early, final, started=self.started, dropped=self.dropped, fraction=FRACTION, interest=self.interest,
            unit=self.unit,
        )  # fmt: skip


def early_dropping(
    readings: Floats, final: Floats, *, started: int, dropped: int, fraction: float, interest: float, unit: str
) -> CheckResult:
    """Compare, at equal cost, the best of s runs of which k were dropped early with the best of fewer whole runs [1]_.

    Parameters
    ----------
    readings, final : ndarray, shape (n,)
        Validation score of each run after the fraction f of its training, and at its end.
    started, dropped : int
        s and k, with 0 < k < s.
    fraction : float
        f, in (0, 1).
    interest : float
        The smallest gain worth knowing, in the unit of the scores, above 0.
    unit : str
        Of the effect; "points" shows it times 100.

    Returns
    -------
    CheckResult
        The expected best of the s - k kept minus that of as many undisturbed runs as they cost, (s - k) + k f; both by
        resampling the runs.  Where the bootstrap does not vary, the rule does not apply.

    References
    ----------
    .. [1] J. Dodge et al. (2020), "Fine-tuning pretrained language models: weight initializations, data orders, and
       early stopping", arXiv 2002.06305.
    """
    effect, drawn = dropping_gains(readings, final, started, dropped, fraction, np.random.default_rng(_ENTROPY))
    scale, n = 100.0 if unit == "points" else 1.0, len(final)
    found = bootstrap_test(drawn)
    said = (
        f"{started} started, {dropped} dropped after {100 * fraction:g} % of the training, for the cost of "
        f"{dropping_cost(started, dropped, fraction):g}"
    )
    if found is None:
        return CheckResult(
            f"{n}", scale * effect, unit=unit, note=f"the bootstrap does not vary; {said}", decided="not applicable"
        )
    reach = found.detectable()
    return CheckResult(
        f"{n}", scale * effect, scale * found.low, scale * found.high, unit, p=found.p, ahead=effect > 0,
        power=found.power(interest), detectable=scale * reach, seeds=math.ceil(n * (reach / interest) ** 2), note=said,
    )  # fmt: skip
