"""From a table of runs to a report: comparison, verdicts, figures, and the page."""

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
