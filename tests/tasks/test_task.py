"""Tasks as values: fingerprints, rows, and sub-samples that keep the class ratio."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.seeds import Seeds
from stabilitybench.tasks.base import Split, Task

exact = settings(deadline=None, derandomize=True, max_examples=60)


def split(labels, name="row", second=True):
    n = len(labels)
    return Split(
        ids=tuple(f"{name}-{k}" for k in range(n)),
        first=tuple(f"first {k}" for k in range(n)),
        second=tuple(f"second {k}" for k in range(n)) if second else None,
        labels=np.array(labels),
    )


def task(labels, classes=2, kind="classification"):
    small = split([0, 1] if kind == "classification" else [0.5, 1.5], "dev")
    names = tuple(f"c{k}" for k in range(classes)) if kind == "classification" else ()
    metrics = ("accuracy",) if names else ("spearman",)
    return Task("t", kind, names, metrics, split(labels), small, small)


labels = st.integers(2, 4).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.integers(0, classes - 1), max_size=60).map(lambda rest: [*range(classes), *rest]),
    )
)


@exact
@given(labels, st.data())
def test_subsamples_keep_the_class_ratio_by_largest_remainder(drawn, data):
    classes, values = drawn
    n = data.draw(st.integers(classes, len(values)))
    kept = task(values, classes).subsample(n, Seeds(subset=3).generator("subset")).train
    assert len(kept) == n
    assert len(set(kept.ids)) == n
    counts = np.bincount(values, minlength=classes)
    taken = np.bincount(kept.labels, minlength=classes)
    assert (taken <= counts).all()
    assert (taken >= 1).all()
    exact_share = counts * n / len(values)
    # A class may exceed its share by the one row that keeps it from vanishing; another then gives that row.
    rare = int((exact_share < 1).sum())
    assert (np.abs(taken - exact_share) < 1 + rare).all()
    if not rare:
        assert (taken >= np.floor(exact_share)).all()


@pytest.mark.parametrize(
    ("counts", "n", "kept"),
    [((500, 5, 5), 20, [18, 1, 1]), ((100, 1, 1), 3, [1, 1, 1]), ((500, 5, 5, 5, 5), 8, [4, 1, 1, 1, 1])],
)
def test_several_rare_classes_all_keep_a_row(counts, n, kept):
    values = np.repeat(np.arange(len(counts)), counts).tolist()
    taken = task(values, len(counts)).subsample(n, Seeds().generator("subset")).train
    assert np.bincount(taken.labels).tolist() == kept


def test_subsamples_depend_on_the_generator_alone_and_leave_the_other_splits():
    whole = task([k % 2 for k in range(40)])
    a, b = (whole.subsample(10, Seeds(subset=s).generator("subset")) for s in (1, 1))
    other = whole.subsample(10, Seeds(subset=2).generator("subset"))
    assert a.train.ids == b.train.ids != other.train.ids
    assert list(a.train.ids) == sorted(a.train.ids, key=lambda row: int(row.split("-")[1]))
    assert a.validation is whole.validation
    assert a.fingerprint == b.fingerprint != other.fingerprint


def test_a_subsample_of_everything_is_the_task():
    whole = task([0, 1, 1, 0, 1])
    assert whole.subsample(5, Seeds().generator("subset")).fingerprint == whole.fingerprint


def test_regression_is_subsampled_too():
    kept = task([k / 10 for k in range(30)], kind="regression").subsample(7, Seeds().generator("subset")).train
    assert len(set(kept.ids)) == 7


@pytest.mark.parametrize(("n", "says"), [(0, r"n = 0: must lie in \[1, 6\]"), (7, r"n = 7: must lie in \[1, 6\]")])
def test_impossible_sizes_are_refused(n, says):
    with pytest.raises(UserError, match=f'task "t": {says}'):
        task([0, 1] * 3).subsample(n, Seeds().generator("subset"))


def test_fewer_rows_than_classes_are_refused():
    with pytest.raises(UserError, match="n = 2: must be at least 3, its number of classes"):
        task([0, 1, 2], classes=3).subsample(2, Seeds().generator("subset"))


def test_the_fingerprint_sees_every_row_label_and_metric_but_not_names_and_notes():
    base = task([0, 1, 1, 0])
    same = replace(base, name="other name", notes=("a note",))
    assert same.fingerprint == base.fingerprint
    train = base.train
    changes = [
        replace(base, train=replace(train, first=("First 0", *train.first[1:]))),
        replace(base, train=replace(train, second=("Second 0", *train.second[1:]))),
        replace(base, train=replace(train, second=None)),
        replace(base, train=replace(train, labels=1 - train.labels)),
        replace(base, train=train.take([1, 0, 2, 3])),
        replace(base, train=train.take([0, 1, 2])),
        replace(base, validation=base.train),
        replace(base, metrics=("mcc",)),
        replace(base, classes=("c1", "c0")),
    ]
    prints = {base.fingerprint, *(changed.fingerprint for changed in changes)}
    assert len(prints) == 1 + len(changes)


def test_moving_text_between_the_two_sentences_changes_the_fingerprint():
    """Lengths are part of the digest, so "ab" + "c" is not "a" + "bc"."""
    one = Split(("r",), ("ab",), ("c",), np.array([0]))
    two = Split(("r",), ("a",), ("bc",), np.array([0]))
    base = task([0, 1])
    assert replace(base, train=one).fingerprint != replace(base, train=two).fingerprint


def test_outputs_of_the_head():
    assert task([0, 1, 2], classes=3).outputs == 3
    assert task([0.5, 1.0], kind="regression").outputs == 1
