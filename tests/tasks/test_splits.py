"""The one split of a development set into a validation and a test half."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.tasks.base import Split
from stabilitybench.tasks.splits import halves, split_dev

exact = settings(deadline=None, derandomize=True, max_examples=60)
classes = st.lists(st.integers(0, 3), min_size=1, max_size=80).map(np.array)
scores = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5, 5.0]), min_size=1, max_size=80).map(np.array)


@pytest.mark.parametrize(("kind", "labels"), [("classification", classes), ("regression", scores)])
@exact
@given(data=st.data())
def test_halves_are_disjoint_exhaustive_ascending_and_repeatable(kind, labels, data):
    values = data.draw(labels)
    validation, test = halves(values, kind)
    assert sorted([*validation, *test]) == list(range(len(values)))
    assert list(validation) == sorted(validation)
    assert list(test) == sorted(test)
    again = halves(values.copy(), kind)
    assert np.array_equal(validation, again[0])
    assert np.array_equal(test, again[1])


@exact
@given(classes)
def test_each_class_gives_the_smaller_half_to_validation(labels):
    validation, _ = halves(labels, "classification")
    for c in np.unique(labels):
        assert (labels[validation] == c).sum() == (labels == c).sum() // 2


@exact
@given(st.lists(st.floats(0, 5), min_size=2, max_size=80, unique=True).map(np.array))
def test_neighbouring_scores_part_ways(labels):
    validation, _ = halves(labels, "regression")
    rank = np.argsort(np.argsort(labels))
    assert sorted(rank[validation] // 2) == list(range(len(labels) // 2))


def test_rows_are_really_shuffled_within_a_class():
    validation, _ = halves(np.zeros(100, dtype=int), "classification")
    assert set(validation) != set(range(50))
    assert 15 < (validation < 50).sum() < 35


def test_entailment_dev_set_gives_138_and_139_rows():
    """131 and 146 rows, as in GLUE's RTE: the test half then has no skill of 73 / 139."""
    labels = np.repeat([1, 0], [131, 146])
    validation, test = halves(labels, "classification")
    assert (len(validation), len(test)) == (138, 139)
    assert np.bincount(labels[test]).tolist() == [73, 66]


def test_the_split_keeps_rows_together():
    dev = Split(
        ids=tuple(f"dev-{k}" for k in range(9)),
        first=tuple(f"text {k}" for k in range(9)),
        second=tuple(f"more {k}" for k in range(9)),
        labels=np.arange(9) % 2,
    )
    for half in split_dev(dev, "classification"):
        for row, first, second, label in zip(half.ids, half.first, half.second, half.labels, strict=True):
            k = int(row.removeprefix("dev-"))
            assert (first, second, label) == (f"text {k}", f"more {k}", k % 2)
