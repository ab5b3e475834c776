"""Holm's adjustment."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from stabilitybench.errors import UserError
from stabilitybench.statistics import TestResult, adjust, benjamini_hochberg, holm

p_values = st.dictionaries(st.integers(), st.none() | st.floats(0, 1), max_size=12)


@settings(deadline=None, derandomize=True)
@given(p_values)
@pytest.mark.parametrize(("adjusting", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_adjustments_agree_with_statsmodels_on_the_defined_tests(
    adjusting: Callable[[dict], dict], name: str, values: dict[int, float | None]
) -> None:
    adjusted = adjusting(values)
    assert list(adjusted) == list(values)
    defined = [k for k, p in values.items() if p is not None]
    assert all(adjusted[k] is None for k in values if k not in defined)
    if defined:
        expected = multipletests([values[k] for k in defined], method=name)[1]
        assert np.allclose([adjusted[k] for k in defined], expected)


def test_the_table_shows_who_left_the_family_and_why() -> None:
    tests = {
        "a": TestResult.of(3.0, 0.01),
        "b": TestResult.undefined("both arms are constant"),
        ("c", 1): TestResult.of(1.0, 0.3),
    }
    for method, expected in (("holm", [0.02, 0.3]), ("benjamini-hochberg", [0.02, 0.3])):
        table = adjust(tests, method)
        assert list(table.index) == ["a", "b", ("c", 1)]
        assert table["family"].tolist() == [2, 0, 2]
        assert table["adjusted"].dropna().tolist() == pytest.approx(expected)
        assert table["reason"].tolist() == ["", "both arms are constant", ""]
    assert len(adjust({})) == 0
    with pytest.raises(UserError, match=r'method = "bonferroni": must be holm or benjamini-hochberg'):
        adjust(tests, "bonferroni")


def test_an_undefined_test_does_not_cost_the_others() -> None:
    assert holm({"a": 0.02, "b": None}) == {"a": 0.02, "b": None}
    assert holm({"a": 0.02, "b": 1.0}) == {"a": 0.04, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(p: float) -> None:
    for adjusting in (holm, benjamini_hochberg):
        with pytest.raises(UserError, match=r'p_values\["a"\] = .*must lie in \[0, 1\]'):
            adjusting({"a": p})
