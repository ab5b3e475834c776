"""One deviation ratio per arm from several tasks, by random effects, and one SD ratio beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.statistics.across import MetaAnalysis, meta_analysis
from stabilitybench.statistics.deviation import DeviationRatio

if TYPE_CHECKING:
    from stabilitybench.comparison.model import BaselineContrast, Comparison
    from stabilitybench.statistics.questions import SpreadAnswer


@dataclass(frozen=True)
class TaskMetaAnalysis:
    """An arm over all tasks of one encoder.

    Attributes
    ----------
    encoder, arm : str
        Labels.
    ratios : dict of str to DeviationRatio
        Deviation ratio to the baseline among the runs that did not fail, by task.
    summary : MetaAnalysis
        Their random-effects summary.
    sd_summary : MetaAnalysis
        That of the SD ratios over all runs, which describes.
    """

    encoder: str
    arm: str
    ratios: dict[str, DeviationRatio]
    summary: MetaAnalysis
    sd_summary: MetaAnalysis

    @property
    def usable(self) -> int:
        """Tasks whose ratio has an interval, which is what the summary needs three of."""
        return sum(ratio.low is not None for ratio in self.ratios.values())


def over_tasks(comparison: Comparison) -> tuple[TaskMetaAnalysis, ...]:
    """Return the arms that were compared on two tasks or more, with their random-effects summary.

    Parameters
    ----------
    comparison : Comparison
        Of any number of encoders and tasks.

    Returns
    -------
    tuple of TaskMetaAnalysis
        One per encoder and arm; the summary says itself why it may be missing.
    """
    found: dict[tuple[str, str], dict[str, BaselineContrast]] = {}
    for cell in comparison.cells:
        if cell.against is not None:
            found.setdefault((cell.encoder, cell.arm), {})[cell.task] = cell.against
    result = []
    for (encoder, arm), tasks in found.items():
        if len(tasks) > 1:
            ratios = {task: _ratio(against.spread) for task, against in tasks.items()}
            sds = meta_analysis({task: against.ratio for task, against in tasks.items()})
            result.append(TaskMetaAnalysis(encoder, arm, ratios, meta_analysis(ratios), sds))
    return tuple(result)


def _ratio(found: SpreadAnswer) -> DeviationRatio:
    numbers = found.estimate, found.low, found.high, found.p, found.df, found.se
    return DeviationRatio(*numbers, found.n_arm, found.n_baseline, found.method, found.note)
