"""How much of an arm's spread its few test rows make, from stored predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from stabilitybench.comparison.row_shares import row_shares
from stabilitybench.comparison.score_table import check_scores
from stabilitybench.comparison.tables.rows import row_share_table
from support.score_frames import study_frames

ROWS, RUNS = 200, 30


def stored(scores: pd.DataFrame, sd: float, *, columns: int = 2) -> Callable[[str], pd.DataFrame]:
    """Return predictions whose accuracy varies over runs with a planted SD beyond what the rows make."""
    number = {run: k for k, run in enumerate(scores["run_id"])}

    def predictions(run_id: str) -> pd.DataFrame:
        rng = np.random.default_rng([7, number[run_id]])
        right = rng.random(ROWS) < 0.7 + sd * rng.standard_normal()
        labels = np.random.default_rng(0).integers(0, 2, ROWS)
        said = np.where(right, labels, 1 - labels)
        logits = {f"logit_{k}": np.where(said == k, 1.0, -1.0) for k in range(columns)}
        if columns == 1:
            logits = {"logit_0": labels + rng.standard_normal(ROWS) / 2}
        return pd.DataFrame({"split": "test", "checkpoint": "last", "row": range(ROWS), "label": labels, **logits})

    return predictions


@pytest.fixture
def scores() -> pd.DataFrame:
    frame, _ = study_frames({("rte", "plain"): np.linspace(0.6, 0.8, RUNS)}, evaluations=2)
    return check_scores(frame)


def test_runs_that_are_alike_spread_by_the_rows_alone_and_others_by_more(scores: pd.DataFrame) -> None:
    (alike,), (apart,) = row_shares(scores, stored(scores, 0.0)), row_shares(scores, stored(scores, 0.10))
    assert alike.found is not None
    assert apart.found is not None
    assert alike.found.sd_rows == pytest.approx(np.sqrt(0.7 * 0.3 / ROWS), rel=0.05)
    assert alike.found.share is not None
    assert alike.found.share > 0.7
    assert apart.found.share is not None
    assert apart.found.share < 0.25
    assert apart.found.sd_endless == pytest.approx(0.10, rel=0.3)


@pytest.mark.parametrize("metric", ["f1", "mcc", "pearson"])
def test_scores_that_are_no_means_over_rows_leave_rows_out(scores: pd.DataFrame, metric: str) -> None:
    frame = scores.assign(metric=metric)
    (found,) = row_shares(frame, stored(scores, 0.05, columns=1 if metric == "pearson" else 2))
    assert found.found is not None
    assert 0 < found.found.sd_rows < found.found.sd * 1.5


@pytest.mark.parametrize("metric", ["spearman", "macro-f1", "a score of somebody's"])
def test_for_other_scores_it_is_said_to_be_not_defined(scores: pd.DataFrame, metric: str) -> None:
    (found,) = row_shares(scores.assign(metric=metric), stored(scores, 0.05))
    assert found.found is None
    assert found.note == f"not defined for {metric}"
    (row,) = row_share_table([found]).rows
    assert row["share"].text == "–"


def test_a_negative_variance_on_endless_rows_is_printed_as_such(scores: pd.DataFrame) -> None:
    few = scores.iloc[:2]
    labels = np.r_[np.zeros(100, int), np.ones(100, int)]

    def opposite(run_id: str) -> pd.DataFrame:
        """Two runs of one accuracy that are right on different rows."""
        said = labels ^ (np.arange(ROWS) % 2 == (run_id == few["run_id"].iloc[0]))
        logits = {f"logit_{k}": np.where(said == k, 1.0, -1.0) for k in (0, 1)}
        return pd.DataFrame({"split": "test", "checkpoint": "last", "row": range(ROWS), "label": labels, **logits})

    (found,) = row_shares(few, opposite)
    assert found.found is not None
    assert found.found.variance_endless < 0
    assert "estimated as negative" in found.note


def test_arms_without_two_readable_runs_have_no_line(scores: pd.DataFrame) -> None:
    assert row_shares(scores.iloc[:1], stored(scores, 0.1)) == ()
    assert row_share_table(()).rows == ()
