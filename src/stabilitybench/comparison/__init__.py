"""From a table of runs to a report: comparison, verdicts, figures, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.lazy import lazy_names

if TYPE_CHECKING:
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

#: A list or a table of states needs neither statistics nor figures.
__getattr__ = lazy_names(
    __name__,
    {
        "ArmResult": "model",
        "BaselineContrast": "model",
        "Comparison": "model",
        "ReportPaths": "report",
        "StudyFacts": "study_facts",
        "Verdict": "model",
        "compare": "analysis",
        "compare_files": "file_comparison",
        "print_comparison": "terminal",
        "write_report": "report",
    },
)
