"""The report: one self-contained HTML page, the same in Markdown, its tables in LaTeX, and every run as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.comparison import tables
from stabilitybench.comparison.agreement import Predictions
from stabilitybench.comparison.analysis import Comparison, compare
from stabilitybench.comparison.glossary import GLOSSARY
from stabilitybench.comparison.methods_section import STATISTICS_REFERENCES, methods
from stabilitybench.comparison.score_table import check_curves, check_scores, finished
from stabilitybench.comparison.sections import Section, sections
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.documents.latex import latex
from stabilitybench.documents.markdown import markdown
from stabilitybench.storage.writing import write_atomically

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReportPaths:
    """Where the files of a report are."""

    html: Path
    markdown: Path
    latex: Path
    csv: Path


@dataclass(frozen=True)
class Report:
    """Everything that a report shows, before it becomes HTML, Markdown or LaTeX.

    headline : what was run, in one line.  notes : what stands in the way of trust, one sentence each.
    every_run : the data behind it.
    """

    facts: StudyFacts
    headline: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    methods: tuple[str, ...]
    references: tuple[str, ...]
    glossary: tuple[tuple[str, str], ...]
    every_run: tables.Table

    @property
    def contents(self) -> tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]:
        """The table of contents: key and title of each section, and of the parts of those that have several."""
        found = [
            (
                s.key,
                s.title,
                tuple((f"part-{b.key}", b.title) for b in s.blocks) if s.listed and len(s.blocks) > 1 else (),
            )
            for s in self.sections
        ]
        found.append(("methods", "Methods", ()))
        found += [("spec", "Study file", ())] if self.facts.spec_toml else []
        found += [("environment", "Environment", ())] if self.facts.environment else []
        return (*found, ("words", "Words", ()), ("data", self.every_run.title, ()))


def write_report(
    scores: pd.DataFrame,
    curves: pd.DataFrame | None,
    facts: StudyFacts,
    folder: Path,
    predictions: Predictions | None = None,
) -> ReportPaths:
    """Write `report.html`, `report.md`, `tables.tex` and `scores.csv` into `folder`, each whole or not at all.

    scores : one row per planned run; curves : one row per evaluation, or None (columns in docs/reports.md).
    predictions : returns the stored predictions of a run by its id; without it nothing is said of them.  The page
    needs no network and no other file.  Raises UserError for frames that break their contract, and
    EnvironmentFailure when the folder cannot be written.
    """
    report = build(scores, curves, facts, predictions)
    paths = ReportPaths(*(folder / name for name in ("report.html", "report.md", "tables.tex", "scores.csv")))
    write_atomically(paths.csv, scores.to_csv(index=False, lineterminator="\n"))
    write_atomically(paths.latex, latex(report))
    write_atomically(paths.markdown, markdown(report))
    write_atomically(paths.html, html(report))
    return paths


def build(
    scores: pd.DataFrame, curves: pd.DataFrame | None, facts: StudyFacts, predictions: Predictions | None = None
) -> Report:
    """Compare, tabulate and draw; nothing is written."""
    scores = _in_order(check_scores(scores), facts)
    curves = None if curves is None else check_curves(curves)
    comparison = compare(scores, facts.baseline)
    return Report(
        facts=facts,
        headline=_headline(scores),
        notes=(*_incomplete(comparison), *comparison.notes, *facts.warnings),
        sections=sections(comparison, scores, curves, facts, predictions),
        methods=tuple(methods(comparison, scores, facts)),
        references=(*facts.references, *STATISTICS_REFERENCES),
        glossary=GLOSSARY,
        every_run=tables.every_run(scores),
    )


def html(report: Report) -> str:
    """Return the page; every text in it is escaped by the template engine."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    engine = Environment(
        loader=PackageLoader("stabilitybench.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return engine.get_template("report.html.j2").render(report=report)


def _in_order(scores: pd.DataFrame, facts: StudyFacts) -> pd.DataFrame:
    """Put the arms of every task in the order of the study file, the baseline first."""
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
    runs = f"{_plural(len(scores), 'run')} planned, {len(finished(scores))} finished"
    return f"{count}{_plural(arms, 'arm')} x {_plural(tasks, 'task')}{tail}: {runs}"


def _incomplete(comparison: Comparison) -> list[str]:
    planned, done = sum(c.planned for c in comparison.cells), sum(c.n for c in comparison.cells)
    if planned == done:
        return []
    return [f"{planned - done} of {planned} planned runs are not finished and enter no statistic: see Coverage."]


def _plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
