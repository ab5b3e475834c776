"""The findings of a report in the order in which they are read: figures and tables under headings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.comparison.across_tasks import over_tasks
from stabilitybench.comparison.agreement import Predictions, agreements
from stabilitybench.comparison.figures import curves as learning
from stabilitybench.comparison.figures import ecdf, forest, heatmap, rates, ratios, seeds
from stabilitybench.comparison.seed_selection import droppings, ensembles
from stabilitybench.comparison.tables import cells, evidence, pairs, runs, selection
from stabilitybench.comparison.tables import scores as comparisons
from stabilitybench.documents.report import FigureGroup, Section
from stabilitybench.documents.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.model import Comparison
    from stabilitybench.comparison.study_facts import StudyFacts


def sections(
    comparison: Comparison,
    scores: pd.DataFrame,
    curves: pd.DataFrame | None,
    facts: StudyFacts,
    predictions: Predictions | None,
) -> tuple[Section, ...]:
    """Return the sections of a report; what a study does not have, such as crossed seeds, has no section.

    Parameters
    ----------
    comparison : Comparison
        Of these scores.
    scores : DataFrame
        Checked rows, the arms in the order to print.
    curves : DataFrame or None
        Checked rows, one per evaluation.
    facts : StudyFacts
        Which seeds varied.
    predictions : callable or None
        Returns the stored predictions of a run by its id.
    """
    caption = cells.caption(comparison, facts.varied, facts.fixed)
    across = over_tasks(comparison)
    agreement = () if predictions is None else agreements(scores, predictions)
    dropped = () if curves is None else droppings(scores, curves)
    averaged = () if predictions is None else ensembles(scores, predictions)
    found = (
        Section("verdicts", "Verdicts", (comparisons.summary(comparison, caption),)),
        Section("figures", "Figures", _filled(
            seeds.seed_figures(scores),
            ecdf.ecdf_figures(scores, comparison.baseline),
            rates.rate_figures(comparison),
            ratios.ratio_figures(comparison),
            None if curves is None else learning.curve_figures(curves, scores),
        )),
        Section("failures-and-spread", "Failures and spread", (
            comparisons.failures(comparison, caption),
            comparisons.spreads(comparison, caption),
            comparisons.two_parts(comparison, caption),
        )),
        Section("performance-part", "Performance", (
            evidence.levels(comparison, scores, caption),
            *_filled(comparisons.checkpoints(comparison, caption)),
        )),
        Section("across-tasks", "Across tasks", _filled(
            forest.forest_figures(across, comparison.baseline), evidence.across_tasks(across),
        )),
        Section("predictions", "Predictions", _filled(
            heatmap.disagreement_figures(agreement), evidence.instability(agreement),
        )),
        Section("seed-selection", "Several seeds at once", _filled(
            selection.early_dropping(dropped), selection.early_failures(dropped), selection.ensembles(averaged),
        )),
        Section("pairs", "Runs in pairs", _filled(pairs.paired(comparison, scores))),
        Section("variance", "Variance components", _filled(evidence.components(scores))),
        Section("coverage-part", "Coverage", (
            runs.coverage(comparison, scores), *_filled(runs.unfinished_runs(scores)),
        )),
        Section("failed", "Failed runs", (runs.failed_runs(comparison, scores),)),
    )  # fmt: skip
    return tuple(section for section in found if section.blocks)


def _filled(*blocks: Table | FigureGroup | None) -> tuple[Table | FigureGroup, ...]:
    """Return the figures and tables that show something."""
    return tuple(b for b in blocks if b is not None and (b.rows if isinstance(b, Table) else b.figures))
