"""The parts of a report in the order in which they are read: figures and tables under headings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stabilitybench.comparison import figures, tables
from stabilitybench.comparison.across_tasks import over_tasks
from stabilitybench.comparison.agreement import Predictions, agreements
from stabilitybench.comparison.seed_selection import droppings, joined
from stabilitybench.documents.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.analysis import Comparison
    from stabilitybench.comparison.study_facts import StudyFacts


@dataclass(frozen=True)
class FigureGroup:
    """Figures of one kind with the caption that says how to read them."""

    key: str
    title: str
    caption: str
    figures: tuple[figures.Figure, ...]


Block: TypeAlias = Table | FigureGroup


@dataclass(frozen=True)
class Section:
    """A heading of the report and what stands under it.

    listed : whether the contents name its parts, where there are several.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    listed: bool = True

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the section."""
        return tuple(b for b in self.blocks if isinstance(b, Table))


def sections(
    comparison: Comparison,
    scores: pd.DataFrame,
    curves: pd.DataFrame | None,
    facts: StudyFacts,
    predictions: Predictions | None,
) -> tuple[Section, ...]:
    """Return the sections of a report; what a study does not have, such as crossed seeds, has no section.

    scores, curves : checked rows, the arms in the order to print.
    """
    caption = tables.caption(comparison, facts.varied, facts.fixed)
    unfinished, components = tables.unfinished_runs(scores), tables.components(scores)
    checkpoints = tables.checkpoints(comparison, caption)
    across = over_tasks(comparison)
    agreement = () if predictions is None else agreements(scores, predictions)
    found = [
        Section("verdicts", "Verdicts", (tables.summary(comparison, caption),)),
        Section("figures", "Figures", _galleries(comparison, scores, curves)),
        Section("failures-and-spread", "Failures and spread", (
            tables.failures(comparison, caption), tables.spreads(comparison, caption),
            tables.two_parts(comparison, caption),
        )),
        Section("level-part", "Level", (
            tables.levels(comparison, scores, caption), *([checkpoints] if checkpoints.rows else []),
        )),
    ]  # fmt: skip
    if across:
        forest = FigureGroup(
            "forest", "Forest plots", FOREST, tuple(figures.forest_figures(across, comparison.baseline))
        )
        found.append(Section("across-tasks", "Across tasks", (forest, tables.across_tasks(across))))
    if agreement:
        heat = FigureGroup("disagreement", "Disagreement of runs", HEAT, tuple(figures.disagreement_figures(agreement)))
        found.append(Section("predictions", "Predictions", (heat, tables.instability(agreement))))
    selection = _selection(scores, curves, predictions)
    if selection:
        found.append(Section("seed-selection", "Several seeds at once", selection))
    if facts.paired:
        found.append(Section("pairs", "Runs in pairs", (tables.paired(comparison, scores),)))
    if components.rows:
        found.append(Section("variance", "Variance components", (components,)))
    return (
        *found,
        Section(
            "coverage-part",
            "Coverage",
            (tables.coverage(comparison, scores), *([unfinished] if unfinished.rows else [])),
        ),
        Section("failed", "Failed runs", (tables.failed_runs(comparison, scores),)),
    )


def _galleries(comparison: Comparison, scores: pd.DataFrame, curves: pd.DataFrame | None) -> tuple[FigureGroup, ...]:
    learning = () if curves is None else tuple(figures.curve_figures(curves, scores))
    drawn = (
        FigureGroup("seeds", "All seeds", SEEDS, tuple(figures.seed_figures(scores))),
        FigureGroup("ecdf", "Distributions", ECDF, tuple(figures.ecdf_figures(scores, comparison.baseline))),
        FigureGroup("rates", "Failures", RATES, tuple(figures.rate_figures(comparison))),
        FigureGroup("ratios", "SD ratios", RATIOS, tuple(figures.ratio_figures(comparison))),
        FigureGroup("curves", "Learning curves", CURVES, learning),
    )  # fmt: skip
    return tuple(g for g in drawn if g.figures)


def _selection(scores: pd.DataFrame, curves: pd.DataFrame | None, predictions: Predictions | None) -> tuple[Table, ...]:
    dropped = () if curves is None else droppings(scores, curves)
    together = () if predictions is None else joined(scores, predictions)
    found = [tables.early_dropping(dropped), tables.early_failures(dropped)] if dropped else []
    found += [tables.ensembles(together)] if together else []
    return tuple(table for table in found if table.rows)


SEEDS = (
    "Every point is one run; the box holds the middle half, its line is the median. Crosses are failed runs, the "
    "dotted line is no skill."
)
ECDF = (
    "For each score, the share of runs that reach at most it: a steep line is a stable arm, a step at the left its "
    "failed runs. The baseline is black, the dotted line is no skill."
)
RATES = "Bars are shares of failed runs, lines their 95 % Wilson intervals; the baseline is grey."
RATIOS = (
    "Dots with lines are SD ratios with 95 % intervals. Open diamonds have no interval: where runs failed it is "
    "withheld, and the diamond is the descriptive ratio among the runs that did not fail (at least 10 on both sides)."
)
CURVES = (
    "Thin lines are runs (failed ones in orange-red), the thick line is the median across seeds, the band the middle "
    "half."
)
FOREST = (
    "One row per task, SD ratio with 95 % interval; squares grow with the weight in the summary. The diamond is the "
    "random-effects mean with its Hartung-Knapp interval, the grey line below it the 95 % prediction interval for "
    "another task. Fewer than three tasks with an interval have no summary, as two cannot tell how tasks differ."
)
HEAT = (
    "Each square holds all pairs of runs of an arm: the share of test texts on which the two predict different "
    "classes. Failed runs stand last, behind the orange-red lines."
)
