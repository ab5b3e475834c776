"""The tables of a report as data, printed alike in HTML, Markdown, LaTeX and the terminal."""

from stabilitybench.comparison.tables.evidence import across_tasks, components, instability, levels
from stabilitybench.comparison.tables.pairs import paired
from stabilitybench.comparison.tables.runs import coverage, every_run, failed_runs, unfinished_runs
from stabilitybench.comparison.tables.scores import (
    caption,
    checkpoints,
    failed,
    failures,
    ratio,
    spreads,
    summary,
    two_parts,
)
from stabilitybench.comparison.tables.selection import early_dropping, early_failures, ensembles

__all__ = [
    "across_tasks",
    "caption",
    "checkpoints",
    "components",
    "coverage",
    "early_dropping",
    "early_failures",
    "ensembles",
    "every_run",
    "failed",
    "failed_runs",
    "failures",
    "instability",
    "levels",
    "paired",
    "ratio",
    "spreads",
    "summary",
    "two_parts",
    "unfinished_runs",
]
