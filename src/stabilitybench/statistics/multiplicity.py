"""Many tests at once: adjusted p-values, with undefined tests visibly outside the family."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import pandas as pd

from stabilitybench.argument_checks import choice, mapping, number, of_kind
from stabilitybench.errors import shown
from stabilitybench.statistics.results import TestResult

Key = TypeVar("Key", bound=Hashable)


def holm(p_values: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """Return Holm-adjusted p-values [1]_ in the order given.

    Ordered p(1) <= ... <= p(m), the k-th adjusted value is the largest of min(1, (m - j + 1) p(j)) over j <= k.

    Parameters
    ----------
    p_values : mapping of key to float or None
        p-values in [0, 1]; None marks an undefined test.

    Returns
    -------
    dict of key to float or None
        An undefined test stays None and does not count in the family.

    Raises
    ------
    UserError
        For a p-value outside [0, 1], NaN included.

    References
    ----------
    .. [1] Holm (1979), Scand. J. Statist. 6:65-70.

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": None, "d": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': None, 'd': 0.06}
    """
    defined = _defined(p_values, "holm")
    adjusted: dict[Key, float | None] = dict.fromkeys(p_values)
    running = 0.0
    for rank, (p, key) in enumerate(defined):
        running = max(running, min(1.0, (len(defined) - rank) * p))
        adjusted[key] = running
    return adjusted


def benjamini_hochberg(p_values: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """Return Benjamini-Hochberg adjusted p-values [1]_ in the order given.

    They bound the expected share of false discoveries, where Holm's bound the chance of any. Ordered p(1) <= ... <=
    p(m), the k-th adjusted value is the smallest of m p(j) / j over j >= k.

    Parameters
    ----------
    p_values : mapping of key to float or None
        p-values in [0, 1]; None marks an undefined test.

    Returns
    -------
    dict of key to float or None
        An undefined test stays None and does not count in the family.

    Raises
    ------
    UserError
        For a p-value outside [0, 1], NaN included.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), JRSS B 57:289-300.

    Examples
    --------
    >>> benjamini_hochberg({"a": 0.01, "b": 0.04, "c": None, "d": 0.03})
    {'a': 0.03, 'b': 0.04, 'c': None, 'd': 0.04}
    """
    defined = _defined(p_values, "benjamini_hochberg")
    adjusted: dict[Key, float | None] = dict.fromkeys(p_values)
    running = 1.0
    for rank, (p, key) in reversed(list(enumerate(defined, start=1))):
        running = min(running, len(defined) * p / rank)
        adjusted[key] = running
    return adjusted


METHODS = {"holm": holm, "benjamini-hochberg": benjamini_hochberg}


def adjust(tests: Mapping[Key, TestResult], method: str = "holm") -> pd.DataFrame:
    """Return tests with their adjusted p-values, or the reasons why they have none.

    Parameters
    ----------
    tests : mapping of key to TestResult
        The family of tests.
    method : {"holm", "benjamini-hochberg"}, default "holm"
        How the p-values are adjusted.

    Returns
    -------
    pandas.DataFrame
        One row per test, in the order given: p, adjusted, family (the number of defined tests, 0 for a test outside the
        family) and reason; p and adjusted are NaN where `reason` says why.

    Raises
    ------
    UserError
        For another method.

    Examples
    --------
    >>> tests = {"reinit": TestResult.of(2.0, 0.02), "mixout": TestResult.of(1.0, 0.3)}
    >>> adjust(tests | {"freeze": TestResult.undefined("no spread")})[["p", "adjusted", "family"]]
               p  adjusted  family
    reinit  0.02      0.04       2
    mixout  0.30      0.30       2
    freeze   NaN       NaN       0
    """
    choice("method", method, [*METHODS])
    for key, test in mapping("tests", tests, "names to test results").items():
        of_kind(f"tests[{shown(key)}]", test, "a TestResult", TestResult)
    p_values = {key: test.p for key, test in tests.items()}
    adjusted = METHODS[method](p_values)
    family = sum(p is not None for p in p_values.values())
    return pd.DataFrame(
        {
            "p": pd.Series(p_values, dtype=float),
            "adjusted": pd.Series(adjusted, dtype=float),
            "family": pd.Series({key: family if test.defined else 0 for key, test in tests.items()}, dtype=int),
            "reason": pd.Series({key: test.reason for key, test in tests.items()}, dtype=object),
        },
        index=pd.Index(list(tests), tupleize_cols=False),
    )


def _defined(p_values: Mapping[Key, float | None], caller: str) -> list[tuple[float, Key]]:
    """Return the p-values of defined tests in rising order, equal ones in the order given."""
    for key, p in mapping("p_values", p_values, "names to p-values").items():
        if p is not None:
            said = "must lie in [0, 1], or be None for an undefined test"
            number(f"{caller}: p_values[{shown(key)}]", p, said, lambda share: 0 <= share <= 1)
    return sorted(((p, key) for key, p in p_values.items() if p is not None), key=lambda pair: pair[0])
