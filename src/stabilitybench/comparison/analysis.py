"""Arms against the baseline: failures and spread as two questions, with a verdict in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from stabilitybench.comparison.conclusions import conclusion
from stabilitybench.comparison.detectable import detectable_rate, detectable_ratio
from stabilitybench.comparison.model import ArmResult, BaselineContrast, Comparison
from stabilitybench.comparison.score_table import GROUP, check_scores, finished, seed_streams
from stabilitybench.comparison.verdicts import verdict
from stabilitybench.errors import UserError, suggest
from stabilitybench.statistics import (
    Rate,
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
from stabilitybench.statistics.two_part_model import mixture, two_part


class Tabular(Protocol):
    """Results that can be had as one row per planned run."""

    def to_frame(self) -> pd.DataFrame:
        """Return the table of runs."""


def compare(scores: pd.DataFrame | Tabular, baseline: str) -> Comparison:
    r"""Compare every arm with the baseline on each encoder and task.

    Holm's adjustment runs over all Fisher tests, and separately over all Brown-Forsythe tests, of the whole comparison.
    The result is deterministic: the permutation test draws from a fixed seed.

    Parameters
    ----------
    scores : DataFrame or Results
        Results of a study, or a table with one row per planned run (columns in docs/reports.md); scores are fractions.
        Unfinished runs count as planned and enter no statistic.
    baseline : str
        Name of the arm against which the others are compared.

    Returns
    -------
    Comparison
        Each arm on each task, its contrast with the baseline, and the verdict on it.

    Raises
    ------
    UserError
        For a table that breaks the contract, or a baseline that is not among the arms of a task.

    Examples
    --------
    Two arms of three runs each, from a CSV file as other tools write it:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from stabilitybench.comparison.score_files import read_scores
    >>> runs = ["task,arm,seed,score", "RTE,plain,0,0.61", "RTE,plain,1,0.48", "RTE,plain,2,0.66",
    ...         "RTE,mixout,0,0.64", "RTE,mixout,1,0.65", "RTE,mixout,2,0.63"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "runs.csv"
    ...     _ = file.write_text("\n".join(runs))
    ...     scores = read_scores(file, "runs").scores
    >>> found = compare(scores, "plain")
    >>> print([f"{cell.arm}: SD {cell.sd:.3f}" for cell in found.cells])
    ['plain: SD 0.093', 'mixout: SD 0.010']
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
    return Comparison(baseline, _judged(_adjusted(cells)), *told, tuple(notes), elsewhere)


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


def _judged(cells: tuple[ArmResult, ...]) -> tuple[ArmResult, ...]:
    """Return the cells with the verdict and the conclusion on each; the baseline stands before its arms."""
    result: list[ArmResult] = []
    base = cells[0]
    for cell in cells:
        base = cell if cell.is_baseline else base
        result.append(replace(cell, verdict=verdict(cell, base), conclusion=conclusion(cell, base)))
    return tuple(result)


def _listed(names: list[str]) -> str:
    """Join names as in a sentence."""
    return "nothing" if not names else ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
