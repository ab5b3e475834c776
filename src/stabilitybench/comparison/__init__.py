"""From a table of runs to a report: comparison, verdicts, figures, and the page."""

from stabilitybench.comparison.analysis import compare
from stabilitybench.comparison.file_comparison import compare_files
from stabilitybench.comparison.model import ArmResult, BaselineContrast, Comparison, Verdict
from stabilitybench.comparison.report import ReportPaths, write_report
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.comparison.terminal import print_comparison

__all__ = [
    "ArmResult",
    "BaselineContrast",
    "Comparison",
    "ReportPaths",
    "StudyFacts",
    "Verdict",
    "compare",
    "compare_files",
    "print_comparison",
    "write_report",
]
