"""What `inspect_task` reports of a task whose every number is known."""

from dataclasses import replace

import numpy as np

from stabilitybench.tasks.base import Split, Task
from stabilitybench.tasks.inspect import inspect_task


def split(name, texts, labels, second=None):
    ids = tuple(f"{name}-{k}" for k in range(len(texts)))
    return Split(ids, tuple(texts), None if second is None else tuple(second), np.array(labels))


TASK = Task(
    name="t",
    kind="classification",
    classes=("no", "yes"),
    metrics=("accuracy",),
    train=split("train", ["a b c", "a  b c ", "d", "e f"], [0, 1, 0, 0]),
    validation=split("validation", ["d", "new one"], [0, 1]),
    test=split("test", ["d", "d", "other"], [1, 0, 1]),
    notes=("made up",),
)


def test_rows_classes_lengths_and_no_skill():
    report = inspect_task(TASK)
    train, validation, test = report.splits
    assert [s.rows for s in report.splits] == [4, 2, 3]
    assert train.classes == {"no": 3, "yes": 1}
    assert (train.no_skill, validation.no_skill, test.no_skill) == (3 / 4, 1 / 2, 2 / 3)
    assert (train.lengths.median, train.lengths.maximum) == (2.5, 3)
    assert train.scores is None
    assert (report.unit, report.headline, report.notes) == ("words", "accuracy", ("made up",))
    assert report.fingerprint == TASK.fingerprint


def test_duplicates_within_and_between_splits_with_their_conflicts():
    found = {(d.left, d.right): (d.rows, d.conflicting, d.examples) for d in inspect_task(TASK).duplicates}
    assert found == {
        ("train", "train"): (1, 1, ("a b c",)),
        ("train", "validation"): (1, 0, ("d",)),
        ("train", "test"): (2, 1, ("d",)),
        ("validation", "test"): (2, 1, ("d",)),
    }


def test_pairs_are_duplicates_only_if_both_texts_agree():
    train = split("train", ["a", "a", "a"], [0, 1, 1], second=["x", "y", "x "])
    task = replace(TASK, train=train, validation=train.take([0, 1]), test=train.take([1, 2]))
    within = inspect_task(task).duplicates[0]
    assert (within.rows, within.examples) == (1, ("a | x",))


def test_lengths_in_tokens_and_scores_of_a_regression():
    score = split("train", ["ab", "abcd"], [0.5, 2.5])
    task = Task("r", "regression", (), ("spearman",), score, score, score)
    report = inspect_task(task, count_tokens=lambda first, second: len(first))
    assert report.unit == "tokens"
    assert report.splits[0].lengths.maximum == 4
    assert report.splits[0].scores == (0.5, 1.5, 2.5)
    assert report.splits[0].classes == {}
