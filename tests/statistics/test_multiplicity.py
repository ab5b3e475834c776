"""Holm's adjustment."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from stabilitybench.errors import UserError
from stabilitybench.statistics import holm

p_values = st.dictionaries(st.integers(), st.none() | st.floats(0, 1), max_size=12)


@settings(deadline=None, derandomize=True)
@given(p_values)
def test_holm_agrees_with_statsmodels_on_the_defined_tests(values: dict[int, float | None]) -> None:
    adjusted = holm(values)
    assert list(adjusted) == list(values)
    defined = [k for k, p in values.items() if p is not None]
    assert all(adjusted[k] is None for k in values if k not in defined)
    if defined:
        expected = multipletests([values[k] for k in defined], method="holm")[1]
        assert np.allclose([adjusted[k] for k in defined], expected)


def test_an_undefined_test_does_not_cost_the_others() -> None:
    assert holm({"a": 0.02, "b": None}) == {"a": 0.02, "b": None}
    assert holm({"a": 0.02, "b": 1.0}) == {"a": 0.04, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(UserError, match=r"p-value of 'a' is .*must lie in \[0, 1\]"):
        holm({"a": p})
