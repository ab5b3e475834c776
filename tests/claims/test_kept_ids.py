"""The ids of kept runs are those that today's code computes: what was trained once is never done again for nothing.

Every kept run of an embedded encoder is compared.  The MiniLM runs of ``minilm.csv`` hang on weights and on GLUE, which
a checkout does not hold.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from stabilitybench.studies import Study

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "paper_checks" / "studies"
POCKET = pd.read_csv(ROOT / "paper_checks" / "recorded" / "pocket.csv", low_memory=False)
METHODS = pd.read_csv(ROOT / "docs" / "stabilizers" / "methods.csv")


@cache
def planned(path: Path) -> dict[tuple[str, str, int], str]:
    """Return the id of every run that a study file plans, by task, arm and seed."""
    return {(run.task, run.arm, run.seed): run.spec.id for run in Study.from_file(path).plan()}


def ids(table: pd.DataFrame) -> dict[tuple[str, str, int], str]:
    return {(r.task, r.arm, r.seed): r.run_id for r in table.itertuples()}


@pytest.mark.parametrize("study", sorted(POCKET["study"].unique()))
def test_the_kept_runs_of_a_study_have_the_ids_they_had(study: str) -> None:
    kept = ids(POCKET[POCKET["study"] == study])
    today = planned(STUDIES / f"{study}.toml")
    assert kept == {place: today.get(place) for place in kept}


def test_the_kept_runs_of_the_method_pages_have_the_ids_they_had() -> None:
    today = set(planned(ROOT / "docs" / "stabilizers" / "methods.toml").values())
    for study in POCKET["study"].unique():
        today |= set(planned(STUDIES / f"{study}.toml").values())
    assert set(METHODS["run_id"]) <= today


def test_no_kept_run_escapes_this_comparison() -> None:
    """A kept table with run ids that is not named above would not be compared."""
    tables = [p for folder in ("paper_checks", "docs") for p in sorted((ROOT / folder).rglob("*.csv"))]
    with_ids = {p.name for p in tables if "run_id" in p.read_text("utf-8").partition("\n")[0].split(",")}
    assert with_ids == {"pocket.csv", "methods.csv", "minilm.csv"}
