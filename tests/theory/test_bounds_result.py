"""What all bounds share: geometry of directions, tolerance of a violation, how a result reads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.theory.bounds.result import PROVEN, Assumption, Bound, chord, direction, violated
from stabilitybench.theory.checks import number, whole


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0, 3), st.integers(2, 6))
def test_no_point_of_the_ball_turns_further_than_the_bound(seed: int, size: float, d: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(d)
    steps = rng.standard_normal((200, d))
    steps *= size * np.linalg.norm(w) / np.linalg.norm(steps, axis=1, keepdims=True)
    other = w + steps
    turn = np.linalg.norm(other / np.linalg.norm(other, axis=1, keepdims=True) - w / np.linalg.norm(w), axis=1)
    limit = direction(size * np.linalg.norm(w), np.linalg.norm(w))
    assert turn.max() <= limit + 1e-12
    if size < 1:
        # the tangent to the ball attains it, and the classical bound of Dunkl & Williams is weaker
        assert limit <= 2 * size / (2 - size) + 1e-12
        tangent = np.array([1 - size**2, size * math.sqrt(1 - size**2)])
        assert np.linalg.norm(tangent / np.linalg.norm(tangent) - [1, 0]) == pytest.approx(float(limit), abs=1e-9)


def test_chord_keeps_the_digits_of_small_angles() -> None:
    assert chord(1e-12) == pytest.approx(1e-12, rel=1e-12)
    assert chord(1.0) == pytest.approx(math.sqrt(2))
    assert chord(5.0) == chord(1.0)


def test_zero_weights_have_no_direction() -> None:
    assert direction([0.0, 1.0], [0.0, 1.0]).tolist() == [2.0, 2.0]


def test_a_violation_is_more_than_rounding() -> None:
    assert not violated(1.0 + 1e-10, 1.0)
    assert violated(1.0 + 1e-8, 1.0)
    assert not violated(1e-13, 0.0)
    assert violated(np.array([1e-11, 0.0]), 0.0).tolist() == [True, False]


def test_a_result_reads_as_a_sentence() -> None:
    items = (Assumption("it rains", True), Assumption("it pours", None))
    found = Bound("B0", "a turn", np.array([0.5, 2.5]), "every i", items, PROVEN, steps=(1, 2), trivial=2.0)
    assert str(found).splitlines() == [
        "B0: a turn <= 2.5 (vacuous)",
        "  every i; proved and checked numerically for this project",
        "  assumes it rains (checked)",
        "  assumes it pours (not checked)",
    ]
    assert (found.value, float(found), found.vacuous) == (2.5, 2.5, True)
    with pytest.raises(AttributeError):
        found.name = "B1"  # type: ignore[misc]


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, [1.0, 2.0]])
def test_what_is_no_number_is_named(value: object) -> None:
    with pytest.raises(UserError, match=r"B0: size = .*must be"):
        number("B0", "size", value)


@pytest.mark.parametrize("value", [1, 2.0, True, None, "3"])
def test_what_is_no_count_is_named(value: object) -> None:
    with pytest.raises(UserError, match=r"B0: n = .*whole number of at least 2"):
        whole("B0", "n", value, least=2)
    assert whole("B0", "n", np.int64(2), least=2) == 2
