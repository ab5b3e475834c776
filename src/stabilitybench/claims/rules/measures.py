"""Measures of instability that agree the more, the larger the spread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from stabilitybench.claims.evidence import Floats, MissingEvidence, chosen
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import ArmCheck
from stabilitybench.instability.measures import spreads_and_agreements
from stabilitybench.statistics.correlation import (
    correlation_power,
    detectable_correlation,
    groups_for_correlation,
    rank_correlation,
)

if TYPE_CHECKING:
    import pandas as pd

_ENTROPY = 2_002_065


class MeasuresCheck(ArmCheck):
    """Over arms and tasks, SD and disagreement agree better where the SD is larger.

    Attributes
    ----------
    interest : float
        The smallest rank correlation worth knowing.
    """

    rule: Literal["measures"]
    interest: float = Field(gt=0)

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return the correlation and its test."""
        groups = {}
        for task in self.tasks_of(table):
            for arm in self.arms:
                rows = chosen(table, task, arm)
                if "predicted" not in rows or rows["predicted"].isna().any():
                    raise MissingEvidence(f"{arm} on {task}: the predictions of its runs are not in the table")
                groups[f"{task} {arm}"] = (_unpacked(rows["predicted"]), rows[self.quantity].to_numpy(np.float64))
        return measures_agree(groups, interest=self.interest)


def measures_agree(predictions: Mapping[str, tuple[npt.NDArray[np.int64], Floats]], *, interest: float) -> CheckResult:
    """Ask whether measures of instability agree the more, the larger the SD: Spearman over groups of runs.

    Parameters
    ----------
    predictions : mapping of str to (ndarray, ndarray)
        Per group (an arm on a task) the predicted classes, shape (runs, examples), and the scores, shape (runs,).
        Groups without any spread of their own are left out.
    interest : float
        The smallest rank correlation worth knowing, in (0, 1).

    Returns
    -------
    CheckResult
        The rank correlation of SD and agreement; with fewer than 6 groups that vary, the rule does not apply.
    """
    spreads, agreements = spreads_and_agreements(predictions, np.random.default_rng(_ENTROPY))
    k = len(spreads)
    if k < 6:
        return CheckResult(f"{k} groups", unit="correlation", note="fewer than 6 groups vary", decided="not applicable")
    found = rank_correlation(spreads, agreements)
    return CheckResult(
        f"{k} groups", found.estimate, found.low, found.high, "correlation", p=found.p, ahead=found.estimate > 0,
        power=correlation_power(interest, k), detectable=detectable_correlation(k),
        note=f"median agreement {float(np.median(agreements)):.2f}; {groups_for_correlation(interest)} groups would "
        f"detect a correlation of {interest:g}; taken as independent, though groups share seeds and test rows",
    )  # fmt: skip


def _unpacked(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return predicted classes [runs, examples] from their digits, one text per run.

    >>> _unpacked(["010", "011"]).tolist()
    [[0, 1, 0], [0, 1, 1]]
    """
    return np.array([[int(digit) for digit in text] for text in texts], np.int64)
