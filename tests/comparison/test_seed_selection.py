"""What a report says of early dropping and of ensembles of seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stabilitybench.comparison import write_report
from stabilitybench.comparison.score_table import check_curves, check_scores
from stabilitybench.comparison.seed_selection import droppings, ensembles
from stabilitybench.comparison.tables import selection
from stabilitybench.statistics import early_dropping, expected_best, failure_auc
from support.score_frames import facts, study_frames

RNG = np.random.default_rng(2)
CELLS = {
    ("rte", "plain"): np.where(np.arange(20) < 6, 0.48, RNG.normal(0.70, 0.03, 20)),
    ("rte", "calm"): RNG.normal(0.72, 0.01, 20),
}


def frames(evaluations: int = 10) -> tuple[pd.DataFrame, pd.DataFrame]:
    scores, curves = study_frames(CELLS, evaluations=evaluations)
    return check_scores(scores), check_curves(curves)


def predictor(scores: pd.DataFrame, classes: int = 2):
    """Predictions of 60 texts whose labels are known: the better a run, the more it gets right."""
    truth = dict(zip(scores["run_id"], scores["score"], strict=True))
    labels = np.arange(60) % 2 if classes > 1 else np.arange(60) / 60

    def predictions(run_id: str) -> pd.DataFrame:
        rng = np.random.default_rng(int(run_id[:4], 16))
        if classes > 1:
            right = rng.random(60) < truth[run_id]
            columns = {f"logit_{k}": np.where((labels == k) == right, 2.0, 0.0) for k in range(classes)}
        else:
            columns = {"logit_0": labels + rng.normal(0, 1, 60)}
        return pd.DataFrame({"split": "test", "checkpoint": "last", "row": range(60), "label": labels, **columns})

    return predictions


def test_dropping_is_that_of_the_statistic_on_the_reading_at_that_point() -> None:
    scores, curves = frames()
    plain, calm = droppings(scores, curves)
    assert (plain.arm, calm.arm, plain.started, plain.failed) == ("plain", "calm", 10, 6)
    runs = scores[scores["arm"] == "calm"]
    final, score = runs["validation"].to_numpy(), runs["score"].to_numpy()
    at = curves[(curves["progress"].round(2) == 0.4) & (curves["arm"] == "calm")]
    reading = at.set_index("run_id")["validation"].loc[runs["run_id"]].to_numpy()
    early = calm.early[0.4]
    assert early.fraction == pytest.approx(0.4)
    assert early.kept == early_dropping(reading, final, 10, 5, score)
    assert early.saved == pytest.approx(0.3)
    # validation and test order the runs alike in these frames: without dropping it is the expected best
    assert early.same_cost == pytest.approx(float(expected_best(score, [7])[0]))
    assert calm.all_finish == pytest.approx(float(expected_best(score, [10])[0]))
    assert early.auc_loss is None
    loss = curves[(curves["progress"].round(2) == 0.4) & (curves["arm"] == "plain")]
    rows = scores[scores["arm"] == "plain"]
    values = -loss.set_index("run_id")["train_loss"].loc[rows["run_id"]].to_numpy()
    assert plain.early[0.4].auc_loss == failure_auc(values, rows["failed"].to_numpy()).estimate


def test_a_run_that_diverged_early_is_dropped_first_and_counts_as_seen() -> None:
    scores, curves = frames()
    run = curves["run_id"] == scores.loc[0, "run_id"]  # the first of the failed ones
    curves.loc[run, ["validation", "train_loss"]] = 0.99, 0.01  # it looked best
    looked_well = droppings(scores, curves)[0].early[0.4]
    assert looked_well.auc_loss is not None
    assert looked_well.auc_loss < 1
    curves = curves[~(run & (curves["progress"] > 0.15))]
    curves.loc[run, ["validation", "train_loss"]] = np.nan  # and then ended at once
    diverged = droppings(scores, curves)[0].early[0.4]
    assert diverged.auc_loss == diverged.auc_validation == 1
    assert np.isfinite(diverged.kept)


@pytest.mark.parametrize(("evaluations", "nominal"), [(10, [0.2, 0.4, 0.6]), (3, [0.4]), (2, [0.6]), (1, [])])
def test_only_points_that_were_evaluated_are_shown(evaluations: int, nominal: list[float]) -> None:
    found = droppings(*frames(evaluations))
    assert sorted({f for d in found for f in d.early}) == nominal


def test_few_runs_say_nothing() -> None:
    scores, curves = study_frames({("rte", "plain"): np.full(7, 0.7)})
    assert droppings(check_scores(scores), check_curves(curves)) == ()


def test_ensembles_of_right_and_wrong_votes_beat_single_runs() -> None:
    scores, _ = frames()
    found = {j.arm: j for j in ensembles(scores, predictor(scores))}
    three, five = (found["calm"].ensembles[size] for size in (3, 5))
    assert three.single_mean < three.mean < five.mean
    assert three.groups == 6


def test_ensembles_under_regression_average_the_numbers() -> None:
    scores, _ = study_frames({("sts", "plain"): np.full(12, 0.7)}, metric="spearman")
    scores["no_skill"] = 0.0
    scores = check_scores(scores)
    (found,) = ensembles(scores, predictor(scores, classes=1))
    assert found.ensembles[5].mean > found.ensembles[3].mean > found.ensembles[3].single_mean


def test_tables_name_what_is_not_there() -> None:
    scores, curves = frames()
    found = droppings(scores, curves)
    assert [row["arm"].text for row in selection.early_failures(found).rows] == ["plain"]
    assert "30 % at 40 %" in selection.early_dropping(found).caption
    few = check_scores(study_frames({("rte", "plain"): np.full(4, 0.7)})[0])
    (row,) = selection.ensembles(ensembles(few, predictor(few))).rows
    assert row["single"].text.count("±") == 1
    assert row["ensemble_3"].text.count("±") == 0  # one ensemble of 3 of 4 runs: a mean without an SD


def test_a_report_has_the_section_where_the_study_has_the_data(tmp_path: Path) -> None:
    scores, curves = study_frames(CELLS, evaluations=10)
    page = write_report(scores, curves, facts("all", "plain", ("plain", "calm")), tmp_path / "all", predictor(scores))
    for text in (page.html.read_text("utf-8"), page.markdown.read_text("utf-8")):
        for title in ("Early dropping", "Failures seen early", "Ensembles of seeds"):
            assert title in text
    bare = write_report(scores, None, facts("all", "plain", ("plain", "calm")), tmp_path / "bare")
    assert "Early dropping" not in bare.markdown.read_text("utf-8")
