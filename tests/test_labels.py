"""Labels, as tasks and the theory read them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.labels import class_name, class_order, classes, is_blank, is_fraction, numbers, score, signs

CHECKED = settings(deadline=None, derandomize=True, max_examples=50)


@pytest.mark.parametrize(
    ("values", "name"),
    [((1, 1.0, "1", " 1 "), "1"), ((True, "True"), "True"), ((None, math.nan, "", " "), ""), (("a b",), "a b")],
)
def test_values_that_are_one_class(values, name):
    assert {class_name(v) for v in values} == {name}


@CHECKED
@given(st.sets(st.integers(-20, 20), min_size=1))
def test_numbered_classes_stand_in_the_order_of_the_theory(labels):
    names = class_order(str(label) for label in labels)
    assert [int(name) for name in names] == sorted(labels)
    if len(labels) > 1:
        given = [*labels, *labels]
        places = classes(given, len(given))
        assert [names[k] for k in places] == [str(label) for label in given]


def test_words_stand_by_letter_and_inference_as_usual():
    assert class_order({"b", "10", "a"}) == ("10", "a", "b")
    assert class_order({"neutral", "entailment", "contradiction"}) == ("entailment", "neutral", "contradiction")
    assert class_order({"neutral", "entailment"}) == ("entailment", "neutral")


def test_scores_and_fractions():
    assert [score(v) for v in (1, "0.5", np.float64(2.0))] == [1.0, 0.5, 2.0]
    assert [score(v) for v in (True, None, "x", [], math.nan, "inf", 10**400)] == [None] * 7
    assert [is_fraction(v) for v in ("0.5", "1", "x")] == [True, False, False]
    assert [is_blank(v) for v in (None, " ", 0, "0", False)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: signs([0, 2], 2), "must be 0 and 1, or -1 and 1"),
        (lambda: signs([1, 1], 2), "single class 1"),
        (lambda: signs([0, 1], 3), "one label for each of the 3 rows"),
        (lambda: classes([0.5, 1], 2), "must be whole numbers"),
        (lambda: numbers(["a"], "y"), "y holds something that is not a real number"),
        (lambda: numbers([math.inf], "y"), "NaN or infinity"),
    ],
)
def test_arrays_that_hold_no_labels(read, said):
    with pytest.raises(UserError, match=said):
        read()
