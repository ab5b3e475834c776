"""One SD ratio per arm from several tasks, by random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.statistics.random_effects import MetaAnalysis, meta_analysis
from stabilitybench.statistics.sd_ratio_intervals import SdRatio

if TYPE_CHECKING:
    from stabilitybench.comparison.model import Comparison


@dataclass(frozen=True)
class TaskMetaAnalysis:
    """An arm over all tasks of one encoder.

    Attributes
    ----------
    encoder, arm : str
        Labels.
    ratios : dict of str to SdRatio
        SD ratio to the baseline, by task.
    summary : MetaAnalysis
        Their random-effects summary.
    """

    encoder: str
    arm: str
    ratios: dict[str, SdRatio]
    summary: MetaAnalysis

    @property
    def usable(self) -> int:
        """Tasks whose ratio has an interval, which is what the summary needs three of."""
        return sum(ratio.has_interval for ratio in self.ratios.values())


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
    found: dict[tuple[str, str], dict[str, SdRatio]] = {}
    for cell in comparison.cells:
        if cell.against is not None:
            found.setdefault((cell.encoder, cell.arm), {})[cell.task] = cell.against.ratio
    return tuple(
        TaskMetaAnalysis(encoder, arm, ratios, meta_analysis(ratios))
        for (encoder, arm), ratios in found.items()
        if len(ratios) > 1
    )
