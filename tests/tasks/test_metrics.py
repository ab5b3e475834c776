"""Metrics against formulas, sklearn and scipy, and against what a constant prediction can reach."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from stabilitybench.errors import UserError
from stabilitybench.tasks.base import Split, Task
from stabilitybench.tasks.metrics import METRICS, score_or_no_skill, with_headline

exact = settings(deadline=None, derandomize=True, max_examples=60)
CLASSIFICATION = [name for name, m in METRICS.items() if m.kind == "classification"]
REGRESSION = [name for name, m in METRICS.items() if m.kind == "regression"]


@st.composite
def classified(draw, classes=2):
    """Labels in which every class occurs, and predictions of the same length."""
    n = draw(st.integers(classes + 2, 40))
    index = st.integers(0, classes - 1)
    labels = list(range(classes)) + draw(st.lists(index, min_size=n - classes, max_size=n - classes))
    predictions = draw(st.lists(index, min_size=n, max_size=n))
    return np.array(labels), np.array(predictions)


@st.composite
def scored(draw):
    """Labels that differ, and finite predictions, both on a grid so that ties occur."""
    n = draw(st.integers(3, 30))
    grid = st.integers(-20, 20).map(lambda k: k / 4)
    labels = np.array(draw(st.lists(grid, min_size=n, max_size=n)))
    labels[:2] = 0.0, 1.0
    return labels, np.array(draw(st.lists(grid, min_size=n, max_size=n)))


@exact
@given(classified())
def test_two_class_metrics_agree_with_sklearn(pair):
    labels, predictions = pair
    assert METRICS["accuracy"].score(labels, predictions) == pytest.approx(sk.accuracy_score(labels, predictions))
    assert METRICS["f1"].score(labels, predictions) == pytest.approx(sk.f1_score(labels, predictions, zero_division=0))


@exact
@given(classified())
def test_mcc_is_its_formula(pair):
    labels, predictions = pair
    tp, tn = ((labels == k) & (predictions == k) for k in (1, 0))
    fp, fn = (labels == 0) & (predictions == 1), (labels == 1) & (predictions == 0)
    tp, tn, fp, fn = (int(x.sum()) for x in (tp, tn, fp, fn))
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    expected = (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0
    assert METRICS["mcc"].score(labels, predictions) == pytest.approx(expected, abs=1e-12)


@exact
@given(classified(classes=3))
def test_macro_f1_is_the_mean_of_one_against_rest(pair):
    labels, predictions = pair
    each = [METRICS["f1"].score((labels == k).astype(int), (predictions == k).astype(int)) for k in range(3)]
    assert METRICS["macro-f1"].score(labels, predictions) == pytest.approx(np.mean(each))


@exact
@given(scored())
def test_spearman_is_pearson_of_average_ranks(pair):
    def ranks(values):
        return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])

    labels, predictions = pair
    score = METRICS["spearman"].score(labels, predictions)
    if len(set(predictions)) == 1:
        assert math.isnan(score)
    else:
        assert score == pytest.approx(np.corrcoef(ranks(labels), ranks(predictions))[0, 1], abs=1e-12)
        assert METRICS["pearson"].score(labels, predictions) == pytest.approx(
            np.corrcoef(labels, predictions)[0, 1], abs=1e-9
        )


@pytest.mark.parametrize("name", CLASSIFICATION)
@exact
@given(pair=classified())
def test_perfect_is_one_bounds_hold_and_order_is_irrelevant(name, pair):
    labels, predictions = pair
    metric = METRICS[name]
    score = metric.score(labels, predictions)
    assert metric.range[0] <= score <= metric.range[1]
    assert metric.score(labels, labels) == pytest.approx(1.0)
    shuffle = np.random.Generator(np.random.PCG64(0)).permutation(len(labels))
    assert metric.score(labels[shuffle], predictions[shuffle]) == pytest.approx(score)


@pytest.mark.parametrize("name", ["accuracy", "mcc", "macro-f1"])
@exact
@given(pair=classified(classes=3))
def test_renaming_the_classes_changes_nothing(name, pair):
    labels, predictions = pair
    rename = np.array([2, 0, 1])
    metric = METRICS[name]
    assert metric.score(rename[labels], rename[predictions]) == pytest.approx(metric.score(labels, predictions))


@pytest.mark.parametrize("name", REGRESSION)
@exact
@given(pair=scored())
def test_correlations_of_perfect_and_reversed_order(name, pair):
    labels, _ = pair
    metric = METRICS[name]
    assert metric.score(labels, 3 * labels - 1) == pytest.approx(1.0)
    assert metric.score(labels, -labels) == pytest.approx(-1.0)


@pytest.mark.parametrize("name", CLASSIFICATION)
@exact
@given(pair=classified())
def test_no_skill_is_exactly_the_best_constant(name, pair):
    """Exactly, not nearly: a run fails when its score is at most no skill."""
    labels, _ = pair
    metric = METRICS[name]
    constants = [metric.score(labels, np.full_like(labels, c)) for c in (0, 1)]
    assert max(constants) == metric.no_skill(labels)


def test_no_skill_of_f1_is_calling_everything_positive():
    labels = np.array([1] * 68 + [0] * 32)
    assert METRICS["f1"].no_skill(labels) == 2 * 68 / (100 + 68)


def test_accuracy_is_compared_in_counts():
    """73 right of 139 is no skill when the larger class has 73 rows, whatever rounding would say."""
    labels = np.array([0] * 73 + [1] * 66)
    predictions = labels.copy()
    predictions[:66] = 1  # 7 of class 0 and all 66 of class 1 are right
    assert METRICS["accuracy"].score(labels, predictions) == METRICS["accuracy"].no_skill(labels) == 73 / 139


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("constant", [0.0, 1e300, math.nan, math.inf])
def test_undefined_correlations_count_as_no_skill_and_are_flagged(name, constant):
    labels = np.array([0.0, 1.0, 2.0, 4.0])
    assert math.isnan(METRICS[name].score(labels, np.full(4, constant)))
    assert score_or_no_skill(METRICS[name], labels, np.full(4, constant)) == (0.0, True)
    assert score_or_no_skill(METRICS[name], labels, labels) == (pytest.approx(1.0), False)


def test_nearly_constant_predictions_warn_nobody():
    predictions = 1.0 + np.array([0.0, 1e-16, 2e-16, 3e-16])
    METRICS["pearson"].score(np.arange(4.0), predictions)


def _task(kind, classes):
    labels = np.array([0, 1]) if kind == "classification" else np.array([0.5, 1.5])
    split = Split(("a", "b"), ("one", "two"), None, labels)
    return Task("t", kind, classes, ("accuracy",) if classes else ("spearman",), split, split, split)


def test_another_headline_leads_and_the_others_follow():
    assert with_headline(_task("classification", ("0", "1")), "mcc").metrics == ("mcc", "accuracy")
    assert with_headline(_task("classification", ("0", "1")), "accuracy").metrics == ("accuracy",)


@pytest.mark.parametrize(
    ("kind", "classes", "metric", "says"),
    [
        ("classification", ("a", "b"), "acuracy", 'did you mean "accuracy"'),
        ("classification", ("a", "b", "c"), "f1", "must be one of accuracy, macro-f1, mcc"),
        ("classification", ("a", "b"), "spearman", "must be one of accuracy, f1, macro-f1, mcc"),
        ("regression", (), "accuracy", "must be one of spearman, pearson"),
    ],
)
def test_a_headline_that_does_not_fit_is_refused(kind, classes, metric, says):
    with pytest.raises(UserError, match=f'task "t": metric "{metric}": .*{says}'):
        with_headline(_task(kind, classes), metric)
