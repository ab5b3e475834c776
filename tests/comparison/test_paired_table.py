"""Pairs are compared only where the study declares them, and by the seeds, whatever the order of the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stabilitybench.comparison import compare, write_report
from stabilitybench.comparison.score_table import check_scores
from stabilitybench.comparison.tables.pairs import paired
from stabilitybench.errors import UserError
from stabilitybench.statistics import holm, paired_spread
from stabilitybench.studies import Study
from support.score_frames import facts, study_frames

RNG = np.random.default_rng(3)
SHARED = RNG.normal(0, 0.02, 20)
CELLS = {
    ("rte", "plain"): 0.7 + 2 * SHARED + RNG.normal(0, 0.004, 20),
    ("rte", "calm"): 0.7 + SHARED + RNG.normal(0, 0.004, 20),
    ("rte", "other"): RNG.normal(0.7, 0.04, 20),
}


def rows(scores):
    table = paired(compare(scores, "plain"), check_scores(scores))
    return {row["arm"].text: row for row in table.rows}


def test_the_table_shows_the_paired_statistics():
    scores, _ = study_frames(CELLS)
    found = rows(scores)
    assert set(found) == {"calm", "other"}
    expected = {arm: paired_spread(CELLS["rte", arm], CELLS["rte", "plain"], np.random.default_rng(0)) for arm in found}
    adjusted = holm({arm: e.permutation.p for arm, e in expected.items()})
    for arm, row in found.items():
        assert row["pairs"].text == "20"
        assert row["correlation"].order == pytest.approx(expected[arm].correlation.estimate)
        assert row["sd_ratio"].order == pytest.approx(expected[arm].ratio.estimate)
        assert row["pitman_morgan_p"].order == pytest.approx(expected[arm].pitman_morgan.p)
        assert row["permutation_holm"].order == pytest.approx(adjusted[arm])
    assert found["calm"]["correlation"].order > 0.9


def test_pairs_are_made_by_seed():
    scores, _ = study_frames(CELLS)
    shuffled = scores.sample(frac=1, random_state=1)
    unfinished = scores.copy()
    unfinished.loc[(scores["arm"] == "calm") & (scores["seed"] == 3), ["status", "score"]] = ["missing", np.nan]
    assert rows(shuffled)["calm"]["permutation_p"].order == rows(scores)["calm"]["permutation_p"].order
    assert rows(unfinished)["calm"]["pairs"].text == "19"


def test_failed_pairs_withhold_the_interval():
    scores, _ = study_frames({**CELLS, ("rte", "calm"): np.r_[CELLS["rte", "calm"][:18], 0.1, 0.1]})
    row = rows(scores)["calm"]
    assert row["sd_ratio"].text == "withheld"
    assert row["note"].text.endswith("a run failed in 2 pairs")


def test_the_report_has_pairs_only_where_they_are_declared(tmp_path):
    scores, curves = study_frames(CELLS)
    said = facts(baseline="plain", arms=("plain", "calm", "other"))
    for declared in (False, True):
        paths = write_report(scores, curves, replace(said, paired=declared), tmp_path / str(declared))
        text = paths.markdown.read_text()
        assert ("Paired comparison of spread" in text) == declared
        assert ("compared in pairs of equal seeds" in text) == declared


def test_a_study_file_declares_them():
    raw = {
        "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 2,
        "baseline": "plain", "arms": {"plain": []},
    }  # fmt: skip
    assert not Study.from_dict(raw).file.paired
    assert Study.from_dict({**raw, "paired": True}).file.paired
    assert Study.from_dict({**raw, "paired": True}).file.plain()["paired"] is True
    with pytest.raises(UserError, match=r"paired = .yes.: must be"):
        Study.from_dict({**raw, "paired": "yes"})
