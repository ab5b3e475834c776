"""An arm against the baseline in numbers: the three questions, and the tests that are asked for by name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from stabilitybench.comparison.detectable import detectable_difference, detectable_rate, detectable_ratio
from stabilitybench.comparison.model import ArmResult, BaselineContrast
from stabilitybench.comparison.score_table import finished
from stabilitybench.statistics import (
    DetectableRatio,
    SdRatio,
    TestResult,
    brown_forsythe,
    deviation_ratio,
    fisher,
    holm,
    median_centred_permutation,
    sd_ratio,
)
from stabilitybench.statistics.decisions import LEVEL, POWER, first_step_level
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


def against(rows: pd.DataFrame, reference: pd.DataFrame, pairs: Pairing) -> BaselineContrast:
    """Return the contrast of an arm with the baseline, before any adjustment.

    Parameters
    ----------
    rows, reference : DataFrame
        Checked rows of the arm and of the baseline on one task with one encoder, one per planned run.
    pairs : Pairing
        Of the planned runs.
    """
    pairs = pairs.finished(*(frame["status"].isin(FINISHED).to_numpy() for frame in (rows, reference)))
    done, base = finished(rows), finished(reference)
    known = bool(done["failures_known"].all() and base["failures_known"].all())
    arm, other = (Runs(f["score"].to_numpy(), f["failed"].to_numpy()) for f in (done, base))
    failures = failure_question(arm, other, pairs, LEVEL)
    parts = two_part(arm.scores, arm.failed, other.scores, other.failed, LEVEL)
    test = fisher(int(arm.failed.sum()), arm.failed.size, int(other.failed.sum()), other.failed.size)
    if not known:
        test = TestResult.undefined(UNKNOWN)
        difference = replace(parts.difference, estimate=None, low=None, high=None, note=test.reason)
        parts = replace(parts, difference=difference, fisher=test)
        failures = replace(failures, estimate=None, low=None, high=None, p=None, note=UNKNOWN)
    return BaselineContrast(
        pairing=pairs,
        correlation=correlation(arm, other, pairs),
        failures=failures,
        spread=spread_question(arm, other, pairs, LEVEL),
        level=level_question(arm, other, pairs, LEVEL),
        collapsed=_collapsed(done, base, pairs),
        deviation_all=deviation_ratio(arm.scores, other.scores).estimate,
        ratio=_sd_ratio(done, base),
        two_part=parts,
        brown_forsythe=brown_forsythe(arm.scores, other.scores),
        permutation=median_centred_permutation(arm.scores, other.scores, np.random.default_rng(0)),
        fisher=test,
    )


def collapsed(done: pd.DataFrame) -> Bools | None:
    """Return which runs collapsed: constant predictions, or diverged; None where constants are not known.

    Parameters
    ----------
    done : DataFrame
        Finished runs, checked rows.
    """
    if len(done) and done["constant"].isna().all():
        return None
    marks: Bools = (done["constant"].fillna(False).astype(bool) | (done["status"] == "diverged")).to_numpy()
    return marks


def adjusted(cells: list[ArmResult]) -> list[ArmResult]:
    """Return the cells with Holm's adjustment of each question over all cells, and what each test can show in it.

    Parameters
    ----------
    cells : list of ArmResult
        Of the whole comparison, each baseline before its arms.
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
            cell = replace(cell, against=_with_detectable(found, cell, base))
        else:
            base = cell
        result.append(cell)
    return result


def _with_detectable(found: BaselineContrast, cell: ArmResult, base: ArmResult) -> BaselineContrast:
    failures, spread, level = found.failures, found.spread, found.level
    rate = ratio = difference = None
    if failures.p is not None:
        failed = base.failure.failed / base.n
        rate = detectable_rate(failures.n_arm, failures.n_baseline, failed, failures.tests, failures.paired)
    if spread.p is not None:
        ratio = _detectable_ratio(found)
    if level.se is not None and level.df is not None:
        difference = detectable_difference(level.se, level.df, level.tests)
    return replace(found, detectable_rate=rate, detectable_ratio=ratio, detectable_difference=difference)


def _detectable_ratio(found: BaselineContrast) -> DetectableRatio | None:
    spread = found.spread
    if found.pairing.kind != "crossed" or spread.se is None or spread.df is None:
        correlation = found.correlation if spread.paired else None
        return detectable_ratio(spread.n_arm, spread.n_baseline, spread.tests, correlation)
    # runs that share seeds count for less than their number says, which the standard error knows
    log = detectable_difference(spread.se, spread.df, spread.tests)
    return DetectableRatio(math.exp(-log), math.exp(log), first_step_level(spread.tests), POWER)


def _family(answers: dict[int, Kind]) -> dict[int, Kind]:
    """Return the answers to one question, each with its p after Holm's adjustment."""
    ps = holm({i: a.p for i, a in answers.items()})
    tests = sum(p is not None for p in ps.values())
    return {i: replace(a, holm=ps[i], tests=tests) for i, a in answers.items()}


def _collapsed(done: pd.DataFrame, base: pd.DataFrame, pairs: Pairing) -> Answer | None:
    marks = [collapsed(frame) for frame in (done, base)]
    if marks[0] is None or marks[1] is None:
        return None
    arm, other = (Runs(f["score"].to_numpy(), m) for f, m in ((done, marks[0]), (base, marks[1])))
    return failure_question(arm, other, pairs, LEVEL)


def _sd_ratio(done: pd.DataFrame, base: pd.DataFrame) -> SdRatio:
    ratio = sd_ratio(done["score"].to_numpy(), base["score"].to_numpy(), LEVEL)
    if not (done["failed"].any() or base["failed"].any()):
        return ratio
    note = f"withheld: failed runs ({_counted(done)} here, {_counted(base)} in the baseline)"
    return replace(ratio, low=None, high=None, log_se=None, note=note)


def _counted(done: pd.DataFrame) -> str:
    failed = int(done["failed"].sum())
    return f"{failed}/{len(done)}" if done["failures_known"].all() else f"at least {failed}/{len(done)}"
