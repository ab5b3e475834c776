"""Arms against the baseline: failures and spread as two questions, with a verdict in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from stabilitybench.comparison.detectable import detectable_rate, detectable_ratio
from stabilitybench.comparison.score_table import GROUP, check_scores, finished, seed_streams
from stabilitybench.errors import UserError, suggest
from stabilitybench.statistics import (
    DetectableRate,
    DetectableRatio,
    Rate,
    SdRatio,
    TestResult,
    brown_forsythe,
    fisher,
    holm,
    median_centred_permutation,
    sd,
    sd_ratio,
    wilson,
)
from stabilitybench.statistics.decisions import LEVEL
from stabilitybench.statistics.two_part_model import Mixture, TwoPart, mixture, two_part

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BaselineContrast:
    """An arm set against the baseline of its encoder and task.

    ratio : SD ratio over all runs; its interval is withheld (`ratio.note`) when either side has failed runs.
    distance_ratio : mean distance to the median over the baseline's, which is what Brown-Forsythe compares.
    two_part : failure, then spread among the runs that did not fail; the latter is descriptive, as it conditions on
        the outcome.
    brown_forsythe, fisher, permutation : the tests, over all finished runs; the permutation test is a
        companion without adjustment, and no verdict rests on it.
    brown_forsythe_holm, fisher_holm : adjusted over all printed tests of the same kind.
    detectable_ratio, detectable_rate : what each test shows in 80 of 100 studies with these numbers of runs at the
        first step of Holm's adjustment, for normal scores and for the baseline's rate as seen; None beside a test that
        is undefined or too large to count.
    """

    ratio: SdRatio
    distance_ratio: float | None
    two_part: TwoPart
    brown_forsythe: TestResult
    permutation: TestResult
    fisher: TestResult
    brown_forsythe_holm: float | None = None
    fisher_holm: float | None = None
    detectable_ratio: DetectableRatio | None = None
    detectable_rate: DetectableRate | None = None

    @property
    def kept_ratio(self) -> float | None:
        """SD ratio among the runs that did not fail, where some did and 10 on each side did not; descriptive."""
        return self.two_part.ratio.estimate if self.withheld else None

    @property
    def withheld(self) -> bool:
        """True when the SD ratio's interval is held back because of failed runs."""
        return self.ratio.note.startswith("withheld")


@dataclass(frozen=True)
class ArmResult:
    """One arm on one task with one encoder: scores are fractions, None where there are too few runs.

    planned, n : runs planned, and runs finished (failed and diverged ones included).
    failure : failed runs of n with the Wilson interval; without a rate where nothing tells failed runs from others,
        and `failed` then counts those that ended without a score.
    kept, mean_kept, sd_kept : the runs that did not fail.
    near_no_skill, constant : runs so flagged; None where the scores come without these flags.
    mixture : what failed runs, and what ordinary spread, contribute to the variance.
    mean_best, sd_best : the test score of the best-validation checkpoint.
    against : None for the baseline.
    """

    encoder: str
    task: str
    arm: str
    is_baseline: bool
    metric: str
    no_skill: float | None
    n_train: str
    planned: int
    n: int
    failure: Rate
    near_no_skill: int | None
    constant: int | None
    diverged: int
    mean: float | None
    sd: float | None
    median: float | None
    minimum: float | None
    maximum: float | None
    mean_best: float | None
    sd_best: float | None
    kept: int
    mean_kept: float | None
    sd_kept: float | None
    mixture: Mixture
    against: BaselineContrast | None

    @property
    def failures_known(self) -> bool:
        """False when nothing tells which of the runs failed."""
        return self.n == 0 or self.failure.rate is not None

    @property
    def level(self) -> bool:
        """True when all scores are equal, which no fine-tuning that works brings about."""
        return self.n > 1 and self.minimum == self.maximum


@dataclass(frozen=True)
class Comparison:
    """Every arm of a study against its baseline; made by `compare`.

    varied, fixed : seed streams that differ between runs, and that do not.
    notes : what a reader must know before trusting the p-values, one sentence each.
    elsewhere : the scores were not made by a study, so that split and checkpoint are not known.
    """

    baseline: str
    cells: tuple[ArmResult, ...]
    varied: str
    fixed: str
    notes: tuple[str, ...]
    elsewhere: bool = False

    def baseline_of(self, cell: ArmResult) -> ArmResult:
        """Return the baseline's cell for the same encoder and task."""
        return next(c for c in self.cells if c.is_baseline and (c.encoder, c.task) == (cell.encoder, cell.task))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per (encoder, task, arm) in fractions, with NaN where a number is undefined."""
        from stabilitybench.comparison.tidy import comparison_frame

        return comparison_frame(self)

    def show(self, console: Console | None = None) -> None:
        """Print the summary table to the terminal."""
        from rich.console import Console

        from stabilitybench.comparison.terminal import print_comparison

        print_comparison(self, console or Console())


class Tabular(Protocol):
    """Results that can be had as one row per planned run."""

    def to_frame(self) -> pd.DataFrame:
        """Return the table of runs."""


def compare(scores: pd.DataFrame | Tabular, baseline: str) -> Comparison:
    """Compare every arm with `baseline` on each encoder and task.

    scores : results of a study, or their table with one row per planned run (columns in docs/reports.md); scores are
    fractions.  Unfinished runs count as planned and enter no statistic.  Holm's adjustment runs over all Fisher
    tests, and separately over all Brown-Forsythe tests, of the whole comparison.  The result is deterministic: the
    permutation test draws from a fixed seed.

    Raises UserError for a frame that breaks the contract, or a baseline that is not among the arms of a task.
    """
    if not isinstance(scores, pd.DataFrame):
        if not hasattr(scores, "to_frame"):
            raise UserError(f"scores: {type(scores).__name__}: must be the results of a study or a table of its runs")
        scores = scores.to_frame()
    scores = check_scores(scores)
    arms = list(dict.fromkeys(scores["arm"]))
    if baseline not in arms:
        hint = suggest(baseline, arms)
        raise UserError(f'baseline "{baseline}": must be one of the arms {", ".join(arms)}{hint}')
    varied, fixed, shared = seed_streams(scores)
    cells: list[ArmResult] = []
    for (encoder, task), part in scores.groupby(GROUP, sort=False):
        by_arm = {str(arm): rows for arm, rows in part.groupby("arm", sort=False)}
        if baseline not in by_arm:
            raise UserError(f'baseline "{baseline}": has no runs on task "{task}" with encoder "{encoder}"')
        base = _cell(by_arm.pop(baseline), None)
        cells.append(base)
        reference = finished(part[part["arm"] == baseline])
        cells += [_cell(rows, reference) for rows in by_arm.values()]
    notes = []
    if shared:
        notes.append(
            "Runs of one arm share seeds of a stream (a crossed design): they are not independent, and the "
            "intervals and p-values, which take them as independent, are too optimistic."
        )
    elsewhere = not varied and not fixed
    told = ("not stated", "not stated") if elsewhere else (_listed(varied), _listed(fixed))
    return Comparison(baseline, _adjusted(cells), *told, tuple(notes), elsewhere)


def _cell(rows: pd.DataFrame, reference: pd.DataFrame | None) -> ArmResult:
    done = finished(rows)
    values = done["score"].to_numpy()
    kept = done.loc[~done["failed"], "score"].to_numpy()
    best = done["score_best"].dropna().to_numpy()
    first = rows.iloc[0]
    return ArmResult(
        encoder=str(first["encoder"]),
        task=str(first["task"]),
        arm=str(first["arm"]),
        is_baseline=reference is None,
        metric=str((done if len(done) else rows).iloc[0]["metric"]),
        no_skill=float(done["no_skill"].iloc[0]) if len(done) and done["no_skill"].notna().all() else None,
        n_train=", ".join(f"{int(n)}" for n in sorted(rows["n_train"].dropna().unique())),
        planned=len(rows),
        n=len(done),
        failure=_failure(done),
        near_no_skill=_flagged(done["near_no_skill"]),
        constant=_flagged(done["constant"]),
        diverged=int((done["status"] == "diverged").sum()),
        mean=float(values.mean()) if len(values) else None,
        sd=sd(values) if len(values) > 1 else None,
        median=float(np.median(values)) if len(values) else None,
        minimum=float(values.min()) if len(values) else None,
        maximum=float(values.max()) if len(values) else None,
        mean_best=float(best.mean()) if len(best) else None,
        sd_best=sd(best) if len(best) > 1 else None,
        kept=len(kept),
        mean_kept=float(kept.mean()) if len(kept) else None,
        sd_kept=sd(kept) if len(kept) > 1 else None,
        mixture=mixture(values, done["failed"].to_numpy()),
        against=None if reference is None else _against(done, reference),
    )


def _failure(done: pd.DataFrame) -> Rate:
    found = wilson(int(done["failed"].sum()), len(done), LEVEL)
    return found if done["failures_known"].all() else replace(found, rate=None, low=None, high=None)


def _counted(done: pd.DataFrame) -> str:
    failed = int(done["failed"].sum())
    return f"{failed}/{len(done)}" if done["failures_known"].all() else f"at least {failed}/{len(done)}"


def _against(done: pd.DataFrame, reference: pd.DataFrame) -> BaselineContrast:
    arm, base = done["score"].to_numpy(), reference["score"].to_numpy()
    failed, base_failed = int(done["failed"].sum()), int(reference["failed"].sum())
    ratio = sd_ratio(arm, base, LEVEL)
    if failed or base_failed:
        note = f"withheld: failed runs ({_counted(done)} here, {_counted(reference)} in the baseline)"
        ratio = replace(ratio, low=None, high=None, log_se=None, note=note)
    parts = two_part(arm, done["failed"].to_numpy(), base, reference["failed"].to_numpy(), LEVEL)
    test = fisher(failed, len(arm), base_failed, len(base))
    if not (done["failures_known"].all() and reference["failures_known"].all()):
        test = TestResult.undefined("failed runs are not known")
        difference = replace(parts.difference, estimate=None, low=None, high=None, note=test.reason)
        parts = replace(parts, difference=difference, fisher=test)
    return BaselineContrast(
        ratio=ratio,
        distance_ratio=_distance(arm) / _distance(base) if len(arm) and len(base) and _distance(base) else None,
        two_part=parts,
        brown_forsythe=brown_forsythe(arm, base),
        permutation=median_centred_permutation(arm, base, np.random.default_rng(0)),
        fisher=test,
    )


def _flagged(flags: pd.Series[bool]) -> int | None:
    return None if flags.isna().all() and len(flags) else int(flags.sum())


def _distance(values: npt.NDArray[np.float64]) -> float:
    return float(np.abs(values - np.median(values)).mean())


def _adjusted(cells: list[ArmResult]) -> tuple[ArmResult, ...]:
    """Return the cells with Holm's adjustment over each family, and what each test can show in it."""
    tested = {i: c.against for i, c in enumerate(cells) if c.against is not None}
    failure = holm({i: a.fisher.p for i, a in tested.items()})
    spread = holm({i: a.brown_forsythe.p for i, a in tested.items()})
    failures, spreads = (sum(p is not None for p in family.values()) for family in (failure, spread))
    base: ArmResult | None = None
    result = []
    for i, cell in enumerate(cells):
        if cell.is_baseline:
            base = cell
        if base is not None and i in tested:
            found = replace(tested[i], fisher_holm=failure[i], brown_forsythe_holm=spread[i])
            if failure[i] is not None:
                rate = detectable_rate(cell.n, base.n, base.failure.failed, failures)
                found = replace(found, detectable_rate=rate)
            if spread[i] is not None:
                found = replace(found, detectable_ratio=detectable_ratio(cell.n, base.n, spreads))
            cell = replace(cell, against=found)
        result.append(cell)
    return tuple(result)


def _listed(names: list[str]) -> str:
    """Join names as in a sentence."""
    return "nothing" if not names else ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
