"""Rules for the synthetic suites: which way a measured quantity goes, and whether a bound is ever exceeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from stabilitybench.claims.evidence import MissingEvidence
from stabilitybench.claims.findings import CheckResult
from stabilitybench.statistics.decisions import ALPHA, POWER

if TYPE_CHECKING:
    import pandas as pd

SUITE_COLUMNS = ("suite", "value", "seed", "kind", "item", "amount", "checks", "violations", "published")
#: A change of the median by less than this share is none.
SAME = 0.1
#: Fewer checks than this cannot show that a bound holds.
ENOUGH_CHECKS = 100


def moves(table: pd.DataFrame, suite: str, item: str, *, rises: bool) -> CheckResult:
    """Test whether a quantity of a suite rises (or falls) from the smallest to the largest value of its factor.

    A sign test over the dataset seeds, whose random streams are the same at every value; the effect is the median of
    largest / smallest with the interval of order statistics.  A median change of less than 10 % is none, whatever its
    sign.  power : to detect a direction that 95 % of such datasets share.
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
    ratios = np.sort((last + tiny) / (first + tiny))
    up, down = int((ratios > 1 + 1e-6).sum()), int((ratios < 1 - 1e-6).sum())
    p = float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0
    effect = float(np.median(ratios))
    k = int(stats.binom.ppf(ALPHA / 2, n, 0.5))
    low, high = (float(ratios[k - 1]), float(ratios[n - k])) if k >= 1 else (None, None)
    small = abs(effect - 1) <= SAME
    share = next((s for s in np.linspace(0.5, 1, 101) if _sign_power(float(s), n) >= POWER), None)
    note = f"{up} of {n} rise, {down} fall; medians {np.median(first):.3g} to {np.median(last):.3g}"
    if small:
        note += "; a change below 10 % counts as none"
    if share is not None:
        note += f"; detectable: a direction shared by {100 * share:.0f} % of the seeds"
    return CheckResult(
        f"{n} seeds x 2 values", effect, low, high, "largest / smallest", p=p, ahead=(effect > 1) == rises,
        power=_sign_power(0.95, n), note=note, decided="not detected" if small else None,
    )  # fmt: skip


def holds(table: pd.DataFrame, suites: Sequence[str], bounds: Sequence[str]) -> CheckResult:
    """Ask whether bounds are ever exceeded, over all their checks; the interval of the violation rate is Wilson's.

    Supported with no violation in at least 100 checks, contradicted by a single one.
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
    limits = stats.binomtest(violations, checks).proportion_ci(method="wilson")
    return CheckResult(
        f"{checks} checks", violations / checks, float(limits.low), float(limits.high), "violation rate",
        ahead=violations == 0, note=f"{violations} violations", decided="contradicted" if violations else "supported",
    )  # fmt: skip


def exceeds(table: pd.DataFrame, suite: str, bound: str) -> CheckResult:
    """Ask whether a bound on an expectation keeps above what is measured, setting by setting (one-sided t tests).

    Contradicted where, in some setting, the mean of measured - bound over datasets lies significantly above 0, with
    Holm's adjustment over the settings; supported where it lies significantly below 0 in all, by the largest p.
    """
    from stabilitybench.statistics import holm

    part = table[(table["suite"] == suite) & (table["item"] == bound) & table["amount"].notna()]
    if part.empty or "measured" not in part:
        raise MissingEvidence(f"{bound} of suite {suite}: not in the table")
    above, below, gaps = {}, {}, []
    for value, cell in part.groupby("value", sort=False):
        gap = (cell["measured"] - cell["amount"]).to_numpy(np.float64)
        if len(gap) < 3:
            raise MissingEvidence(f"{bound} of suite {suite}: {len(gap)} datasets at {value}; needs 3")
        se = max(gap.std(ddof=1), 1e-300) / math.sqrt(len(gap))
        above[value] = float(stats.t.sf(gap.mean() / se, len(gap) - 1))
        below[value] = float(stats.t.cdf(gap.mean() / se, len(gap) - 1))
        gaps.append(float(gap.mean()))
    over = max(gaps) > 0
    p = min(q for q in holm(above).values() if q is not None) if over else max(below.values())
    return CheckResult(
        f"{len(part)} datasets", max(gaps), unit="measured - bound", p=p, ahead=not over,
        note=f"{len(gaps)} settings; the largest mean of measured - bound",
    )  # fmt: skip


def _sign_power(share: float, n: int) -> float:
    """Return the power of the two-sided sign test at the level ALPHA where a share of the seeds goes one way."""
    rejected = _rejected(n)
    return float(stats.binom.cdf(rejected, n, share) + stats.binom.cdf(rejected, n, 1 - share))


@lru_cache
def _rejected(n: int) -> int:
    """Return the largest count of the rarer sign that the test rejects with; -1 where it never does."""
    return max((k for k in range(n // 2 + 1) if stats.binomtest(k, n).pvalue < ALPHA), default=-1)
