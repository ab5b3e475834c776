"""What a reader of a comparison of files must know: shared runs, copies, and what counts as failed in which file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from stabilitybench.comparison.score_table import finished
from stabilitybench.documents.formats import counted

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.comparison.score_files import ScoreFile


def same_runs(files: list[ScoreFile]) -> list[str]:
    """Say where two results folders hold the same runs: they are one sample, not two.

    Parameters
    ----------
    files : list of ScoreFile
        Those compared; only reports' own name their runs.
    """
    notes = []
    ours = [f for f in files if f.made_by_report]
    for i, one in enumerate(ours):
        for two in ours[i + 1 :]:
            both = set(finished(one.scores)["run_id"]) & set(finished(two.scores)["run_id"])
            if both:
                notes.append(
                    f"{counted(len(both), 'run')} in both {one.label} and {two.label}: what they share is compared "
                    "with itself."
                )
    return notes


def same_bytes(files: list[ScoreFile]) -> list[str]:
    """Say which files are copies of each other.

    Parameters
    ----------
    files : list of ScoreFile
        Those compared; they are read again.
    """
    alike: dict[bytes, list[str]] = {}
    for f in files:
        alike.setdefault(hashlib.sha256(f.path.read_bytes()).digest(), []).append(f.label)
    return [
        f"{' and '.join(labels)} are the same file, byte for byte: nothing is learned from their comparison."
        for labels in alike.values()
        if len(labels) > 1
    ]


def assumed_no_skill(files: list[ScoreFile], option: str) -> list[str]:
    """Say to which files and tasks the no-skill score given applied, where it did not apply to all alike.

    Parameters
    ----------
    files : list of ScoreFile
        Those compared.
    option : str
        The score as it was given, such as "no_skill = 0.5".
    """
    notes = []
    took = {f.label: f.assumed for f in files if f.assumed}
    left = [f"{f.label} ({_why_not(f)})" for f in files if not f.assumed]
    if left:
        applied = ", ".join(took) or "no file"
        notes.append(f"{option}: was applied to {applied}, and not to {', '.join(left)}.")
    tasks = list(dict.fromkeys(task for names in took.values() for task in names))
    if len(tasks) > 1:
        notes.append(
            f"{option}: was applied to {len(tasks)} tasks, {', '.join(tasks)}; where their no-skill scores differ, "
            "give a column no_skill."
        )
    return notes


def failure_definitions(scores: pd.DataFrame, files: list[ScoreFile]) -> list[str]:
    """Say where failed runs are marked in one file and told by no-skill scores in another.

    Parameters
    ----------
    scores : DataFrame
        The runs compared, an arm for each file, with the no-skill scores that count.
    files : list of ScoreFile
        Those compared.
    """
    marked = [f.label for f in files if f.flagged and not f.made_by_report]
    skilled = set(scores.loc[scores["no_skill"].notna(), "arm"])
    told = [f.label for f in files if f.label not in marked and f.label in skilled]
    if not (marked and told):
        return []
    return [
        f"Failed runs are those marked so in {', '.join(marked)}, and those not above no skill in {', '.join(told)}: "
        "two definitions of failure are compared."
    ]


def one_grade(scores: pd.DataFrame) -> list[str]:
    """Say where runs failed and nothing tells which of them collapsed.

    Parameters
    ----------
    scores : DataFrame
        The runs compared, an arm for each file.
    """
    failed = scores["failed"].eq(True)
    unknown = [arm for arm, rows in scores.groupby("arm", sort=False) if rows["constant"].isna().all()]
    if not (failed.any() and unknown):
        return []
    return [
        f"{', '.join(map(str, unknown))}: without a column constant there is one grade of failure; runs that collapsed "
        "(constant predictions, or diverged) are not told from others not above no skill."
    ]


def _why_not(f: ScoreFile) -> str:
    if f.made_by_report:
        return "a report's own"
    return "its column failed holds" if f.marked else "it has no-skill scores, or its metric has 0"
