"""From a table of runs to a report: comparison, verdicts, figures, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.lazy import lazy_names

if TYPE_CHECKING:
    from stabilitybench.reports.comparison import Against, Cell, Comparison, compare
    from stabilitybench.reports.elsewhere import compare_files
    from stabilitybench.reports.facts import StudyFacts
    from stabilitybench.reports.page import ReportPaths, write_report
    from stabilitybench.reports.terminal import print_comparison

__all__ = [
    "Against",
    "Cell",
    "Comparison",
    "ReportPaths",
    "StudyFacts",
    "compare",
    "compare_files",
    "print_comparison",
    "write_report",
]

#: A list or a table of states needs neither statistics nor figures.
__getattr__ = lazy_names(
    __name__,
    {
        "Against": "comparison",
        "Cell": "comparison",
        "Comparison": "comparison",
        "ReportPaths": "page",
        "StudyFacts": "facts",
        "compare": "comparison",
        "compare_files": "elsewhere",
        "print_comparison": "terminal",
        "write_report": "page",
    },
)
