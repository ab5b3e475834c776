"""An arm against the baseline in numbers: the three questions, and the tests that are asked for by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from stabilitybench.comparison.detectable import detectable_difference, detectable_rate, detectable_ratio
from stabilitybench.comparison.model import ArmResult, BaselineContrast
from stabilitybench.equality import EqualByContent
from stabilitybench.power import DetectableRatio
from stabilitybench.statistics import (
    SdRatio,
    TestResult,
    brown_forsythe,
    deviation_ratio,
    fisher,
    holm,
    median_centred_permutation,
    sd_ratio,
)
from stabilitybench.statistics.decisions import ALPHA, LEVEL, POWER, first_step_level
from stabilitybench.statistics.looks import DeclaredLook
from stabilitybench.statistics.pairing import Pairing
from stabilitybench.statistics.questions import (
    Answer,
    Bools,
    Runs,
    correlation,
    failure_question,
    level_question,
    spread_question,
)
from stabilitybench.statistics.two_part_model import two_part
from stabilitybench.statuses import FINISHED

if TYPE_CHECKING:
    import pandas as pd

Kind = TypeVar("Kind", bound=Answer)
UNKNOWN = "failed runs are not known"


@dataclass(frozen=True, eq=False)
class Side(EqualByContent):
    """The runs of an arm on one task with one encoder.

    Attributes
    ----------
    there : numpy.ndarray of bool, shape (planned,)
        Which of the planned runs came to an end.
    done : DataFrame
        Checked rows of those that did.
    runs : Runs
        Their scores, and which of them failed.
    known : bool
        Whether failed runs are known.
    collapsed : numpy.ndarray of bool or None
        Which of them collapsed (constant predictions, or diverged); None where constants are not known.
    """

    there: Bools
    done: pd.DataFrame
    runs: Runs
    known: bool
    collapsed: Bools | None


def side(rows: pd.DataFrame) -> Side:
    """Return the runs of an arm.

    Parameters
    ----------
    rows : DataFrame
        Checked rows of the arm on one task with one encoder, one per planned run.
    """
    there = rows["status"].isin(FINISHED).to_numpy()
    done = rows[there]
    constant = done["constant"]
    marks: Bools | None = None
    if not len(done) or not constant.isna().all():
        marks = (constant.fillna(False).astype(bool) | (done["status"] == "diverged")).to_numpy()
    runs = Runs(done["score"].to_numpy(), done["failed"].to_numpy())
    return Side(there, done, runs, bool(done["failures_known"].all()), marks)


def against(arm: Side, base: Side, planned: Pairing, look: DeclaredLook | None = None) -> BaselineContrast:
    """Return the contrast of an arm with the baseline, before any adjustment.

    Parameters
    ----------
    arm, base : Side
        The arm and the baseline.
    planned : Pairing
        Of the planned runs.
    look : DeclaredLook, optional
        Of several that were declared; intervals and p-values then hold over all of them.
    """
    pairs = planned.finished(arm.there, base.there)
    one, two = arm.runs, base.runs
    level = LEVEL if look is None else min(1 - look.level, 1 - 1e-12)  # early looks may claim next to nothing
    failures = _over_looks(failure_question(one, two, pairs, level), look)
    parts = two_part(one.scores, one.failed, two.scores, two.failed, LEVEL)
    test = fisher(int(one.failed.sum()), one.failed.size, int(two.failed.sum()), two.failed.size)
    if not (arm.known and base.known):
        test = TestResult.undefined(UNKNOWN)
        difference = replace(parts.difference, estimate=None, low=None, high=None, note=test.reason)
        parts = replace(parts, difference=difference, fisher=test)
        failures = replace(failures, estimate=None, low=None, high=None, p=None, note=UNKNOWN)
    collapsed = None
    if arm.collapsed is not None and base.collapsed is not None:
        marked = Runs(one.scores, arm.collapsed), Runs(two.scores, base.collapsed)
        collapsed = failure_question(*marked, pairs, LEVEL)
    return BaselineContrast(
        pairing=pairs,
        correlation=correlation(one, two, pairs),
        failures=failures,
        spread=_over_looks(spread_question(one, two, pairs, level), look),
        level=_over_looks(level_question(one, two, pairs, level), look),
        identical=_identical(arm, base, pairs),
        collapsed=collapsed,
        deviation_all=deviation_ratio(one.scores, two.scores).estimate,
        ratio=_sd_ratio(arm, base),
        two_part=parts,
        brown_forsythe=brown_forsythe(one.scores, two.scores),
        permutation=median_centred_permutation(one.scores, two.scores, np.random.default_rng(0)),
        fisher=test,
    )


def _identical(arm: Side, base: Side, pairs: Pairing) -> bool:
    """Tell whether the arms are the same runs: equal in everything that is known of their ends."""
    if not 0 < len(pairs.pairs) == arm.runs.scores.size == base.runs.scores.size:
        return False
    mine, theirs = np.array(pairs.pairs, dtype=np.intp).T
    marks = [(arm.runs.scores, base.runs.scores), (arm.runs.failed, base.runs.failed)]
    if arm.collapsed is not None and base.collapsed is not None:
        marks.append((arm.collapsed, base.collapsed))
    return all(np.array_equal(one[mine], two[theirs]) for one, two in marks)


def _over_looks(answer: Kind, look: DeclaredLook | None) -> Kind:
    return answer if look is None or answer.p is None else replace(answer, p=look.adjusted(answer.p))


def adjusted(cells: list[ArmResult], alpha: float = ALPHA) -> list[ArmResult]:
    """Return the cells with Holm's adjustment of each question over all cells, and what each test can show in it.

    Parameters
    ----------
    cells : list of ArmResult
        Of the whole comparison, each baseline before its arms.
    alpha : float, default 0.05
        Level of a test before adjustment: that of the look, where looks were declared.
    """
    tested = {i: c.against for i, c in enumerate(cells) if c.against is not None}
    failures = _family({i: a.failures for i, a in tested.items()})
    spreads = _family({i: a.spread for i, a in tested.items()})
    levels = _family({i: a.level for i, a in tested.items()})
    base = cells[0]
    result = []
    for i, cell in enumerate(cells):
        if i in tested:
            found = replace(tested[i], failures=failures[i], spread=spreads[i], level=levels[i])
            cell = replace(cell, against=_with_detectable(found, cell, base, alpha))
        else:
            base = cell
        result.append(cell)
    return result


def _with_detectable(found: BaselineContrast, cell: ArmResult, base: ArmResult, alpha: float) -> BaselineContrast:
    failures, spread, level = found.failures, found.spread, found.level
    rate = ratio = difference = None
    if failures.p is not None:
        failed = base.failure.failed / base.n
        rate = detectable_rate(failures.n_arm, failures.n_baseline, failed, failures.tests, failures.paired, alpha)
    if spread.p is not None:
        ratio = _detectable_ratio(found, alpha)
    if level.se is not None and level.df is not None:
        difference = detectable_difference(level.se, level.df, level.tests, alpha)
    return replace(found, detectable_rate=rate, detectable_ratio=ratio, detectable_difference=difference)


def _detectable_ratio(found: BaselineContrast, alpha: float) -> DetectableRatio | None:
    spread = found.spread
    if found.pairing.kind != "crossed" or spread.se is None or spread.df is None:
        correlation = found.correlation if spread.paired else None
        return detectable_ratio(spread.n_arm, spread.n_baseline, spread.tests, correlation, alpha)
    # runs that share seeds count for less than their number says, which the standard error knows
    log = detectable_difference(spread.se, spread.df, spread.tests, alpha)
    return DetectableRatio(math.exp(-log), math.exp(log), first_step_level(spread.tests, alpha), POWER)


def _family(answers: dict[int, Kind]) -> dict[int, Kind]:
    """Return the answers to one question, each with its p after Holm's adjustment."""
    ps = holm({i: a.p for i, a in answers.items()})
    tests = sum(p is not None for p in ps.values())
    return {i: replace(a, holm=ps[i], tests=tests) for i, a in answers.items()}


def _sd_ratio(arm: Side, base: Side) -> SdRatio:
    ratio = sd_ratio(arm.runs.scores, base.runs.scores, LEVEL)
    if not (arm.runs.failed.any() or base.runs.failed.any()):
        return ratio
    note = f"withheld: failed runs ({_counted(arm)} here, {_counted(base)} in the baseline)"
    return replace(ratio, low=None, high=None, log_se=None, note=note)


def _counted(one: Side) -> str:
    failed = int(one.runs.failed.sum())
    return f"{failed}/{len(one.done)}" if one.known else f"at least {failed}/{len(one.done)}"
