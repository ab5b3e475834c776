"""The share of the variance that few test rows make: against its definition, and without bias by simulation.

`python -m pytest -m slow tests/statistics/test_scored_rows.py -s` prints the tables of the documentation.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import special, stats
from sklearn.metrics import f1_score, matthews_corrcoef

from stabilitybench.errors import UserError
from stabilitybench.statistics import row_pseudo_values, row_share
from support.published import assert_published


def test_by_the_covariances_of_pairs_of_rows() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((7, 12)) < rng.random(12)
    covariances = np.cov(right, rowvar=False)
    found = row_share(right)
    assert found.variance_endless == pytest.approx(np.mean([covariances[i, j] for i, j in permutations(range(12), 2)]))
    assert found.sd == pytest.approx(right.mean(axis=1).std(ddof=1))
    assert found.sd_rows == pytest.approx(np.sqrt(covariances.trace()) / 12)
    assert found.share == pytest.approx(1 - found.variance_endless / found.sd**2)
    assert (found.runs, found.rows) == (7, 12)


def test_a_negative_estimate_is_told_as_such() -> None:
    found = row_share([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]])
    assert found.variance_endless == pytest.approx(-1 / 9)
    assert found.sd_endless is None
    assert found.share is None
    assert found.note.endswith("is estimated as negative (-0.11); no share: all scores are equal")
    found = row_share([[1, 0, 1, 0, 0], [0, 1, 0, 1, 1], [1, 0, 0, 1, 0]])
    assert found.share > 1
    assert found.sd_endless is None
    assert found.note.startswith("no SD on endless rows: the variance is estimated as negative (-0.")


def test_runs_that_predict_alike_have_nothing_to_take_apart() -> None:
    found = row_share(np.tile([True, False, True], (5, 1)))
    assert (found.sd, found.sd_rows, found.sd_endless, found.share) == (0, 0, 0, None)


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(predicted == labels))


def spearman(predicted: np.ndarray, labels: np.ndarray) -> float:
    return float(stats.spearmanr(predicted, labels).statistic)


def pearson(predicted: np.ndarray, labels: np.ndarray) -> float:
    x, y = predicted - predicted.mean(), labels - labels.mean()
    return float(x @ y) / float(np.sqrt((x @ x) * (y @ y)))


def test_pseudo_values_of_the_accuracy_are_its_rows() -> None:
    rng = np.random.default_rng(0)
    predictions, labels = rng.integers(0, 3, (6, 40)), rng.integers(0, 3, 40)
    right = predictions == labels
    assert row_pseudo_values(accuracy, predictions, labels) == pytest.approx(right.astype(float))
    assert row_share(row_pseudo_values(accuracy, predictions, labels)).share == pytest.approx(row_share(right).share)


@pytest.mark.parametrize("score", [matthews_corrcoef, f1_score, spearman])
def test_pseudo_values_leave_out_one_row_after_the_other(score) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 15)
    labels[:6] = [0, 1] * 3
    predictions = np.where(rng.random((3, 15)) < 0.7, labels, 1 - labels)
    values = row_pseudo_values(score, predictions, labels)
    for run, row in np.ndindex(3, 15):
        left = score(np.delete(predictions[run], row), np.delete(labels, row))
        assert values[run, row] == pytest.approx(15 * score(predictions[run], labels) - 14 * left)


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="values of 1 runs on 3 rows: needs at least 2 of each"):
        row_share([[1, 0, 1]])
    with pytest.raises(UserError, match="finite"):
        row_share([[1, 0], [np.nan, 1]])
    with pytest.raises(UserError, match="values: 1-dimensional"):
        row_share([True, False])
    with pytest.raises(UserError, match=r"predictions of shape \(2, 3\) and labels of shape \(2,\)"):
        row_pseudo_values(accuracy, [[1, 0, 1], [1, 1, 1]], [1, 0])
    with pytest.raises(UserError, match="run 2: its score is not finite"):
        row_pseudo_values(lambda p, y: 1 / p.sum() if p.sum() else np.inf, [[1, 1, 1], [1, 0, 0]], [1, 0, 1])


STUDIES = 200


@pytest.mark.slow
def test_planted_variance_of_accuracy_is_found_without_bias() -> None:
    """Rows of every difficulty; a run of accuracy p is right on one with a chance whose mean over rows is p."""
    rng = np.random.default_rng(2401)
    table = []
    for runs in (20, 50, 100):
        for rows in (100, 1000):
            for planted in (0.0, 0.01, 0.03):
                found, seen = [], []
                for _ in range(STUDIES):
                    p = rng.uniform(0.75 - np.sqrt(3) * planted, 0.75 + np.sqrt(3) * planted, (runs, 1))
                    chance = special.ndtr(np.sqrt(2) * special.ndtri(p) - rng.standard_normal(rows))
                    share = row_share(rng.random((runs, rows)) < chance)
                    found.append(share.variance_endless)
                    seen.append(share.sd**2)
                error = np.std(found) / np.sqrt(STUDIES)
                assert abs(np.mean(found) - planted**2) <= 3 * error, (runs, rows, planted)
                table.append([runs, rows, f"{planted:g}", *map(float, 1e4 * np.array([np.mean(seen), planted**2]))])
                table[-1] += [float(1e4 * np.mean(found)), float(1e4 * error)]
    assert_published(
        ["runs", "rows", "planted SD", "variance seen", "planted", "found", "standard error"], table, tolerance=0.02
    )


def ranks(x: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(x))


def f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    return 2 * np.sum(predicted & labels) / max(np.sum(predicted) + np.sum(labels), 1)


def mcc(predicted: np.ndarray, labels: np.ndarray) -> float:
    return pearson(predicted, labels) if 0 < predicted.mean() < 1 else 0.0


SCORES = {"F1": f1, "MCC": mcc, "Pearson": pearson, "Spearman": lambda p, y: pearson(ranks(p), ranks(y))}


def predicted(
    rng: np.random.Generator, name: str, rows: int, quality: np.ndarray, lean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of runs of some quality, the rows being more or less hard for all of them, and labels."""
    noise = rng.standard_normal(rows) + 0.7 * rng.standard_normal((len(quality), rows))
    if name in ("F1", "MCC"):
        labels = rng.random(rows) < 0.3
        return quality * np.where(labels, 1, -1) + lean + noise > 0, labels
    labels = rng.standard_normal(rows)
    return quality * labels + 0.7 * noise, labels


def true_score(name: str, quality: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """The score of such runs on endless rows."""
    if name in ("Pearson", "Spearman"):
        r = quality / np.sqrt(quality**2 + 0.49 * 1.49)
        return r if name == "Pearson" else 6 / np.pi * np.arcsin(r / 2)
    hits, rejections = (special.ndtr((quality + sign * lean) / np.sqrt(1.49)) for sign in (1, -1))
    tp, tn = 0.3 * hits, 0.7 * rejections
    fn, fp = 0.3 - tp, 0.7 - tn
    if name == "F1":
        return 2 * tp / (2 * tp + fp + fn)
    return (tp * tn - fp * fn) / np.sqrt(0.3 * 0.7 * (tp + fp) * (tn + fn))


@pytest.mark.slow
def test_planted_variance_of_other_scores_is_found_nearly_without_bias() -> None:
    rng = np.random.default_rng(2402)
    table = []
    for name, score in SCORES.items():
        for rows in (100, 300) if name in ("F1", "MCC") else (100,):
            for spread in (0.0, 0.1):
                found, seen = [], []
                studies = 80 if name in ("F1", "MCC") else 20
                for _ in range(studies):
                    quality, lean = (centre + spread * rng.standard_normal((20, 1)) for centre in (1.2, 0.0))
                    share = row_share(row_pseudo_values(score, *predicted(rng, name, rows, quality, lean)))
                    found.append(share.variance_endless)
                    seen.append(share.sd**2)
                quality, lean = (centre + spread * rng.standard_normal(100_000) for centre in (1.2, 0.0))
                planted = float(true_score(name, quality, lean).var())
                error = np.std(found) / np.sqrt(studies)
                allowed = 0.15 if name == "Spearman" else 0.05  # of the variance seen: leaving out is not exact
                assert abs(np.mean(found) - planted) <= allowed * np.mean(seen) + 3 * error, (name, rows, spread)
                table.append(
                    [name, rows, *(float(round(1e4 * x, 2)) for x in (np.mean(seen), planted, np.mean(found), error))]
                )
    assert_published(["score", "rows", "variance seen", "planted", "found", "standard error"], table, tolerance=0.02)
