"""Arms against the baseline: failures, spread and level as three questions, with a verdict in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import pandas as pd

from stabilitybench.argument_checks import flag, of_kind
from stabilitybench.comparison.conclusions import conclusion
from stabilitybench.comparison.contrast import Side, adjusted, against, side
from stabilitybench.comparison.model import ArmResult, BaselineContrast, Comparison
from stabilitybench.comparison.score_table import GROUP, check_scores, pair_keys, seed_streams
from stabilitybench.comparison.verdicts import verdict
from stabilitybench.errors import UserError, suggest
from stabilitybench.statistics import Rate, sd, wilson
from stabilitybench.statistics.decisions import ALPHA, LEVEL
from stabilitybench.statistics.looks import DeclaredLook
from stabilitybench.statistics.pairing import independent, pairing
from stabilitybench.statistics.two_part_model import mixture


class Tabular(Protocol):
    """Results that can be had as one row per planned run."""

    def to_frame(self) -> pd.DataFrame:
        """Return the table of runs."""


def compare(
    scores: pd.DataFrame | Tabular, baseline: str, *, unpaired: bool = False, look: DeclaredLook | None = None
) -> Comparison:
    r"""Compare every arm with the baseline on each encoder and task.

    Three questions, each with Holm's adjustment over all its tests in the whole comparison: how often runs fail, how
    far they scatter, how good they are. Runs of equal seeds are compared in pairs (`statistics.pairing`). The result is
    deterministic: the permutation test draws from a fixed seed.

    Parameters
    ----------
    scores : DataFrame or Results
        Results of a study, or a table with one row per planned run (columns in docs/reports.md); scores are fractions.
        Unfinished runs count as planned and enter no statistic.
    baseline : str
        Name of the arm against which the others are compared.
    unpaired : bool, default False
        Whether to take runs of equal seeds as independent all the same; the verdicts then say so.
    look : DeclaredLook, optional
        Which of the looks that were declared beforehand this is; the results of a study know their own.  Intervals and
        p-values are then those with which the error holds over all looks.

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
    flag("unpaired", unpaired)
    if not isinstance(scores, pd.DataFrame):
        if not hasattr(scores, "to_frame"):
            raise UserError(f"scores: {type(scores).__name__}: must be the results of a study or a table of its runs")
        look = getattr(scores, "look", None) if look is None else look
        scores = scores.to_frame()
    if look is not None:
        of_kind("look", look, "a DeclaredLook", DeclaredLook)
    scores = check_scores(scores)
    arms = list(dict.fromkeys(scores["arm"]))
    if baseline not in arms:
        hint = suggest(baseline, arms)
        raise UserError(f'baseline "{baseline}": must be one of the arms {", ".join(arms)}{hint}')
    varied, fixed, shared = seed_streams(scores)
    keys, parts = pair_keys(scores)
    scores["_key"] = pd.Series(keys, index=scores.index, dtype=object)
    cells: list[ArmResult] = []
    for (encoder, task), part in scores.groupby(GROUP, sort=False):
        by_arm = {str(arm): rows for arm, rows in part.groupby("arm", sort=False)}
        if baseline not in by_arm:
            raise UserError(f'baseline "{baseline}": has no runs on task "{task}" with encoder "{encoder}"')
        reference = by_arm.pop(baseline)
        base = side(reference)
        cells.append(_cell(reference, base, None))
        for rows in by_arm.values():
            made = pairing([*rows["_key"]], [*reference["_key"]], parts)
            pairs = independent("unpaired, as asked for") if unpaired and made.pairs else made
            arm = side(rows)
            cells.append(_cell(rows, arm, against(arm, base, pairs, look)))
    notes = [_crossed_note(cells)] if shared else []
    if look is not None:
        notes.append(_look_note(look))
    elsewhere = not varied and not fixed
    told = ("not stated", "not stated") if elsewhere else (_listed(varied), _listed(fixed))
    return Comparison(
        baseline, _judged(adjusted(cells, ALPHA if look is None else look.level)), *told, tuple(notes), elsewhere
    )


def _look_note(look: DeclaredLook) -> str:
    """Say that and how the numbers allow for several looks."""
    sizes = _listed([str(size) for size in look.sizes])
    return (
        f"Look {look.number} of {len(look.sizes)} declared, at {sizes} seeds: p-values and intervals are those with "
        f"which the error holds over all looks (here a test alone has the level {look.level:.3g})."
    )


def _crossed_note(cells: list[ArmResult]) -> str:
    said = "Runs of one arm share seeds of a stream (a crossed design) and are not independent: "
    if all(c.against.pairing.kind == "crossed" for c in cells if c.against is not None):
        return f"{said}the answers on spread and level allow for it, failures are counted and not tested."
    return f"{said}the intervals and p-values, which take them as independent, are too optimistic."


def _cell(rows: pd.DataFrame, arm: Side, contrast: BaselineContrast | None) -> ArmResult:
    done, values = arm.done, arm.runs.scores
    kept = values[~arm.runs.failed]
    best = done["score_best"].dropna().to_numpy()
    first = rows.iloc[0]
    return ArmResult(
        encoder=str(first["encoder"]),
        task=str(first["task"]),
        arm=str(first["arm"]),
        is_baseline=contrast is None,
        metric=str((done if len(done) else rows).iloc[0]["metric"]),
        no_skill=float(done["no_skill"].iloc[0]) if len(done) and done["no_skill"].notna().all() else None,
        n_train=", ".join(f"{int(n)}" for n in sorted(rows["n_train"].dropna().unique())),
        planned=len(rows),
        n=len(done),
        failure=_failure(arm),
        near_no_skill=_flagged(done["near_no_skill"]),
        constant=_flagged(done["constant"]),
        diverged=int((done["status"] == "diverged").sum()),
        collapsed=None if arm.collapsed is None else int(arm.collapsed.sum()),
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
        mixture=mixture(values, arm.runs.failed),
        against=contrast,
    )


def _failure(arm: Side) -> Rate:
    found = wilson(int(arm.runs.failed.sum()), len(arm.done), LEVEL)
    return found if arm.known else replace(found, rate=None, low=None, high=None)


def _flagged(flags: pd.Series[bool]) -> int | None:
    return None if flags.isna().all() and len(flags) else int(flags.sum())


def _judged(cells: list[ArmResult]) -> tuple[ArmResult, ...]:
    """Return the cells with the verdict and the conclusion on each; the baseline stands before its arms."""
    result: list[ArmResult] = []
    base = cells[0]
    for cell in cells:
        if cell.against is None:
            base = cell
        else:
            cell = replace(cell, verdict=verdict(cell, base), conclusion=conclusion(cell, base))
        result.append(cell)
    return tuple(result)


def _listed(names: list[str]) -> str:
    """Join names as in a sentence."""
    return "nothing" if not names else ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
