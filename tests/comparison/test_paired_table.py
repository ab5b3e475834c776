"""The table of pairs: runs of equal seeds, whatever the order of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from stabilitybench.comparison import compare, write_report
from stabilitybench.comparison.score_table import check_scores
from stabilitybench.comparison.tables.pairs import paired
from stabilitybench.statistics import paired_spread
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
    for arm, row in found.items():
        assert row["pairs"].text == "20"
        assert row["correlation"].order == pytest.approx(expected[arm].correlation.estimate)
        assert row["sd_ratio"].order == pytest.approx(expected[arm].ratio.estimate)
        assert row["pitman_morgan_p"].order == pytest.approx(expected[arm].pitman_morgan.p)
        assert row["permutation_p"].order == pytest.approx(expected[arm].permutation.p)
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


def test_the_report_has_pairs_where_seeds_are_shared(tmp_path):
    scores, curves = study_frames(CELLS)
    said = facts(baseline="plain", arms=("plain", "calm", "other"))
    apart = scores["arm"] != "plain"
    for shared in (False, True):
        frame = scores if shared else scores.assign(seed_init=scores["seed_init"] + 100 * apart)
        paths = write_report(frame, curves, said, tmp_path / str(shared))
        text = paths.markdown.read_text()
        assert ("## Runs in pairs" in text) == shared
        assert ("20 pairs of equal seeds" in text) == shared
        assert ("independent runs (none of 20 seeds shared)" in text) != shared
