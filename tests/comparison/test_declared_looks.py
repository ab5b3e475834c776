"""Reports of studies whose looks were declared: the error holds over all looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stabilitybench as sb
from stabilitybench.comparison.analysis import compare
from stabilitybench.errors import UserError
from stabilitybench.statistics.looks import DeclaredLook, looks_adjusted
from support.score_frames import study_frames

LOOK = DeclaredLook((10, 20), 1)


@pytest.fixture
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    cells = {
        ("rte", "plain"): 0.7 + 0.03 * rng.standard_normal(10),
        ("rte", "calm"): 0.72 + 0.01 * rng.standard_normal(10),
    }
    return study_frames(cells, evaluations=2)[0]


def test_p_values_and_intervals_are_those_of_the_look(scores: pd.DataFrame) -> None:
    once, looked = (compare(scores, "plain", look=look).cells[1].against for look in (None, LOOK))
    assert once is not None
    assert looked is not None
    for before, after in ((once.spread, looked.spread), (once.level, looked.level)):
        assert before.p is not None
        assert after.p == pytest.approx(looks_adjusted(before.p, 1, (10, 20)))
        assert after.estimate == before.estimate
        assert after.low is not None
        assert before.low is not None
        assert after.low < before.low, "an interval that holds over all looks is wider"


def test_interval_and_adjusted_p_never_disagree() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for trial in range(60):
        shift = rng.uniform(0, 0.04)
        cells = {("t", "plain"): rng.normal(0.7, 0.03, 10), ("t", "arm"): rng.normal(0.7 + shift, 0.03, 10)}
        level = compare(study_frames(cells, evaluations=2)[0], "plain", look=LOOK).cells[1].against.level  # type: ignore[union-attr]
        assert (level.p < 0.05) == (not level.low <= 0 <= level.high), trial
        seen.add(level.p < 0.05)
    assert seen == {True, False}


def test_the_comparison_says_which_look_it_is(scores: pd.DataFrame) -> None:
    (note,) = compare(scores, "plain", look=LOOK).notes
    assert note.startswith("Look 1 of 2 declared, at 10 and 20 seeds: p-values and intervals are those")
    assert not compare(scores, "plain").notes


def test_results_of_a_study_know_their_look(tmp_path: Path) -> None:
    made = {
        "name": "looked", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 20,
        "baseline": "plain", "arms": {"plain": [], "mixout": ["mixout"]},
        "looks": {"sizes": [10, 20], "bounds": "obrien-fleming"},
    }  # fmt: skip
    results = sb.Study.from_dict(made, store=tmp_path / "runs").results()
    assert results.look == DeclaredLook((10, 20), 2, "obrien-fleming")
    assert any("Look 2 of 2 declared" in note for note in compare(results, "plain").notes)
    del made["looks"]
    assert sb.Study.from_dict(made, store=tmp_path / "runs").results().look is None


def test_a_look_that_is_none_is_refused(scores: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="must be a DeclaredLook"):
        compare(scores, "plain", look=2)  # type: ignore[arg-type]
