"""From a table of runs to a report: comparison, verdicts, figures, and the page."""

from stabilitybench.comparison.analysis import ArmResult, BaselineContrast, Comparison, compare
from stabilitybench.comparison.file_comparison import compare_files
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.comparison.terminal import print_comparison
from stabilitybench.documents.report import ReportPaths, write_report

__all__ = [
    "ArmResult",
    "BaselineContrast",
    "Comparison",
    "ReportPaths",
    "StudyFacts",
    "compare",
    "compare_files",
    "print_comparison",
    "write_report",
]
