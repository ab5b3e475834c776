"""The report of a comparison: a page, the same in Markdown, its tables in LaTeX, and every run as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.comparison.agreement import Predictions
from stabilitybench.comparison.analysis import compare
from stabilitybench.comparison.glossary import GLOSSARY
from stabilitybench.comparison.methods_section import STATISTICS_REFERENCES, methods
from stabilitybench.comparison.model import Comparison
from stabilitybench.comparison.score_table import check_curves, check_scores, finished
from stabilitybench.comparison.sections import sections
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.comparison.tables.runs import every_run
from stabilitybench.documents.comma_separated import comma_separated
from stabilitybench.documents.formats import counted
from stabilitybench.documents.html import html
from stabilitybench.documents.latex import latex
from stabilitybench.documents.markdown import markdown
from stabilitybench.documents.report import BulletList, Code, Definitions, Prose, Report, Section
from stabilitybench.storage.writing import write_atomically

if TYPE_CHECKING:
    import pandas as pd

#: Tables that belong into a paper; lists of single runs do not.
FOR_PAPERS = (
    "summary", "failures", "spread", "two-part", "performance", "checkpoints", "across", "instability", "test-set",
    "components",
)  # fmt: skip


@dataclass(frozen=True)
class ReportPaths:
    """Where the files of a report are.

    Attributes
    ----------
    html, markdown : Path
        The page.
    latex : Path
        Its tables for a paper.
    csv : Path
        Every run.
    """

    html: Path
    markdown: Path
    latex: Path
    csv: Path


def write_report(
    scores: pd.DataFrame,
    curves: pd.DataFrame | None,
    facts: StudyFacts,
    folder: Path,
    predictions: Predictions | None = None,
) -> ReportPaths:
    r"""Write `report.html`, `report.md`, `tables.tex` and `scores.csv`, each whole or not at all.

    Parameters
    ----------
    scores : DataFrame
        One row per planned run (columns in docs/reports.md).
    curves : DataFrame or None
        One row per evaluation (columns in docs/reports.md); None leaves the learning curves out.
    facts : StudyFacts
        What the report must say beside the scores.
    folder : Path
        Where to write; it is made where it is not there.
    predictions : callable, optional
        Returns the stored predictions of a run by its id; without it nothing is said of them.

    Returns
    -------
    ReportPaths
        The page needs no network and no other file.

    Raises
    ------
    UserError
        For tables that break their contract.
    EnvironmentFailure
        When the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from stabilitybench.comparison.score_files import read_scores
    >>> runs = ["task,arm,score", "RTE,plain,0.61", "RTE,plain,0.48", "RTE,mixout,0.64", "RTE,mixout,0.65"]
    >>> facts = StudyFacts("demo", "plain", {"plain": [], "mixout": []}, {}, "init", "subset", origin="Made by hand.")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "runs.csv"
    ...     _ = file.write_text("\n".join(runs))
    ...     paths = write_report(read_scores(file, "runs").scores, None, facts, Path(folder))
    ...     print(paths.markdown.read_text().splitlines()[0])
    # demo
    """
    comparison = compare(in_order(scores, facts), facts.baseline)
    return write(build(comparison, scores, curves, facts, predictions), scores, folder)


def build(
    comparison: Comparison,
    scores: pd.DataFrame,
    curves: pd.DataFrame | None,
    facts: StudyFacts,
    predictions: Predictions | None = None,
) -> Report:
    """Tabulate and draw a comparison; nothing is written.

    Parameters
    ----------
    comparison : Comparison
        Of these scores.
    scores : DataFrame
        One row per planned run.
    curves : DataFrame or None
        One row per evaluation; None leaves the learning curves out.
    facts : StudyFacts
        What the report must say beside the scores.
    predictions : callable, optional
        Returns the stored predictions of a run by its id; without it nothing is said of them.

    Returns
    -------
    Report
        Its sections, appendices and data; what a study does not have is left out.

    Raises
    ------
    UserError
        For tables that break their contract.
    """
    scores = in_order(scores, facts)
    curves = None if curves is None else check_curves(curves)
    return Report(
        title=facts.name,
        headline=_headline(scores),
        notes=(*_incomplete(comparison), *comparison.notes, *facts.warnings),
        sections=sections(comparison, scores, curves, facts, predictions),
        appendices=_appendices(comparison, scores, facts),
        data=every_run(scores),
    )


def write(report: Report, scores: pd.DataFrame, folder: Path) -> ReportPaths:
    """Write the files of a report, each whole or not at all.

    Parameters
    ----------
    report : Report
        As `build` returns it.
    scores : DataFrame
        What scores.csv will hold.
    folder : Path
        Where to write; it is made where it is not there.

    Returns
    -------
    ReportPaths
        Where the files are.

    Raises
    ------
    EnvironmentFailure
        When the folder cannot be written.
    """
    paths = ReportPaths(*(folder / name for name in ("report.html", "report.md", "tables.tex", "scores.csv")))
    tables = [table for section in report.sections for table in section.tables if table.key in FOR_PAPERS]
    write_atomically(paths.csv, comma_separated(scores))
    write_atomically(paths.latex, latex(tables))
    write_atomically(paths.markdown, markdown(report))
    write_atomically(paths.html, html(report))
    return paths


def _appendices(comparison: Comparison, scores: pd.DataFrame, facts: StudyFacts) -> tuple[Section, ...]:
    """Return how it was done and what the words mean; scores from elsewhere have no study file and no environment."""
    references = BulletList("references", "References", (*facts.references, *STATISTICS_REFERENCES))
    said = Prose("methods-text", "", tuple(methods(comparison, scores, facts)))
    found = [Section("methods", "Methods", (said, references), listed=False)]
    if facts.spec_toml:
        found.append(Section("spec", "Resolved study file", (Code("spec-text", "", facts.spec_toml, "toml"),)))
    if facts.environment:
        entries = tuple(facts.environment.items())
        found.append(Section("environment", "Environment", (Definitions("environment-list", "", entries, short=True),)))
    return (*found, Section("glossary", "Glossary", (Definitions("glossary-list", "", GLOSSARY),)))


def in_order(scores: pd.DataFrame, facts: StudyFacts) -> pd.DataFrame:
    """Return checked rows, the arms of every task in the order of the study file and the baseline first.

    Parameters
    ----------
    scores : DataFrame
        One row per planned run.
    facts : StudyFacts
        Names the baseline, and the arms in their order; others come last.

    Raises
    ------
    UserError
        For a table that breaks its contract.
    """
    scores = check_scores(scores)
    names = [facts.baseline, *(a for a in facts.arms if a != facts.baseline)]
    place = {arm: i for i, arm in enumerate([*names, *(a for a in dict.fromkeys(scores["arm"]) if a not in names)])}
    order = scores.assign(
        _task=scores.groupby(["encoder", "task"], sort=False).ngroup(), _arm=scores["arm"].map(place)
    ).sort_values(["_task", "_arm", "seed"], kind="stable")
    return order.drop(columns=["_task", "_arm"]).reset_index(drop=True)


def _headline(scores: pd.DataFrame) -> str:
    encoders, tasks, arms = (scores[c].nunique() for c in ("encoder", "task", "arm"))
    count = f"{encoders} encoders x " if encoders > 1 else ""
    tail = "" if encoders > 1 or not scores["encoder"].iloc[0] else f" on {scores['encoder'].iloc[0]}"
    runs = f"{counted(len(scores), 'run')} planned, {len(finished(scores))} finished"
    return f"{count}{counted(arms, 'arm')} x {counted(tasks, 'task')}{tail}: {runs}"


def _incomplete(comparison: Comparison) -> list[str]:
    planned, done = sum(c.planned for c in comparison.cells), sum(c.n for c in comparison.cells)
    if planned == done:
        return []
    return [f"{planned - done} of {planned} planned runs are not finished and enter no statistic: see Coverage."]
