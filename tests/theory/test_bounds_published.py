"""P1, P2, P3: the formulas by hand, where they are undefined, and what they say beside ours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.synthetic import generate
from stabilitybench.theory import bounds, constants, max_margin

P1 = {"n": 100, "lipschitz": 1.0, "smoothness": 1.0, "convexity": 0.1, "distance": 1.0}
P2 = {"n": 100, "steps": 1000, "radius": 1.0, "margin": 0.2, "c": 1.0, "lam": 0.04, "nu": 0.2}
P3 = {**P2, "heads": 104, "delta": 0.05, "xi": 1.0}


def test_p1_by_hand() -> None:
    # a larger beta, which its rate 1 / beta reads as a smaller rate, makes the bound worse
    for beta, value in ((1, 0.53), (10, 1.78), (100, 5.65)):
        assert bounds.published_full_tuning(**{**P1, "smoothness": beta}).value == pytest.approx(value, abs=0.01)


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-6, 0.99), st.floats(0.1, 100), st.floats(0, 100), st.integers(2, 10_000))
def test_p1_is_the_formula_and_falls_with_n(share: float, beta: float, distance: float, n: int) -> None:
    call = {"lipschitz": 2.0, "smoothness": beta, "convexity": share * beta, "distance": distance}
    found = bounds.published_full_tuning(n=n, **call).value
    plain = math.sqrt(2 * 2.0 * distance / beta) / (n * ((1 - share) ** -0.25 - 1))
    assert found == pytest.approx(plain, rel=1e-8)
    assert bounds.published_full_tuning(n=n + 1, **call).value <= found


@pytest.mark.parametrize("mu", [0.0, -12.3, -1e-300])
def test_p1_without_strong_convexity_is_refused_not_infinite(mu: float) -> None:
    with pytest.raises(UserError, match="undefined without strong convexity"):
        bounds.published_full_tuning(**{**P1, "convexity": mu})


def test_p2_by_hand() -> None:
    found = bounds.published_head_tuning(**P2)
    ratio = 2 * (1 + 1 / 0.2)
    roots = np.roots([100 * 0.04, -1.0, -ratio])
    assert found.parts["soft margin"] == pytest.approx(0.2 * max(math.sqrt(ratio / 4), roots.max()))
    assert found.parts["direction"] == pytest.approx(math.log(math.log(1000)) / math.log(1000))
    assert found.value == pytest.approx(sum(found.parts.values()))


def test_p3_by_hand() -> None:
    factor = math.sqrt((2 + 8 * math.log(20)) / 104)
    found = bounds.published_multi_head(**P3)
    assert found.parts["direction"] == pytest.approx(factor * math.log(math.log(1000)) / math.log(1000))
    assert factor == pytest.approx(0.5, abs=0.01)  # halving takes 104 heads
    assert found.parts["soft margin"] == bounds.published_head_tuning(**P2).parts["soft margin"]
    assert bounds.published_multi_head(**{**P3, "heads": 26}).value == pytest.approx(
        bounds.published_head_tuning(**P2).value, rel=1e-3
    )


@pytest.mark.parametrize(
    ("function", "call", "words"),
    [
        (bounds.published_full_tuning, {**P1, "n": 1}, "n = 1"),
        (bounds.published_full_tuning, {**P1, "convexity": 1.0}, "must be below smoothness"),
        (bounds.published_full_tuning, {**P1, "convexity": 1e-320}, "too small beside smoothness"),
        (bounds.published_full_tuning, {**P1, "distance": math.inf}, "must be finite"),
        (bounds.published_full_tuning, {**P1, "lipschitz": -1}, "lipschitz = -1"),
        (bounds.published_full_tuning, {**P1, "loss_at_minimiser": 0.1}, "interpolation"),
        (bounds.published_head_tuning, {**P2, "steps": 2}, "steps = 2: must be a whole number of at least 3"),
        (bounds.published_head_tuning, {**P2, "margin": 0}, "margin = 0"),
        (bounds.published_head_tuning, {**P2, "lam": 0}, "lam = 0"),
        (bounds.published_head_tuning, {**P2, "c": -1}, "c = -1"),
        (bounds.published_head_tuning, {**P2, "nu": 0}, "nu = 0"),
        (bounds.published_multi_head, {**P3, "heads": 25}, "heads = 25: must be above 2 + 8 ln(1/delta) = 25.97"),
        (bounds.published_multi_head, {**P3, "delta": 1.0}, "delta = 1: must be below 1"),
        (bounds.published_multi_head, {**P3, "delta": 0.0}, "delta = 0: must be above 0"),
    ],
)
def test_undefined_cases_are_refused(function: object, call: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as error:
        function(**call)  # type: ignore[operator]
    assert words in str(error.value)


@pytest.mark.parametrize("function", [bounds.published_head_tuning, bounds.published_multi_head])
def test_their_constants_have_no_defaults(function: object) -> None:
    with pytest.raises(TypeError, match="missing"):
        function(n=10, steps=100, radius=1.0, margin=0.1)  # type: ignore[operator]


def test_published_bounds_say_that_they_are_recalled() -> None:
    for found in (
        bounds.published_full_tuning(**P1),
        bounds.published_head_tuning(**P2),
        bounds.published_multi_head(**P3),
    ):
        assert "as recalled from the paper's abstract and reconstruction; constants unverified" in str(found)
        assert all(item.checked is None for item in found.assumptions)


def test_p2_with_its_most_favourable_constants_says_nothing_and_does_not_fall_with_n() -> None:
    medians = []
    for n in (10, 80, 320):
        values = []
        for seed in range(10):
            data = generate("separable-ball", n=n, d=10, margin=0.2, seed=seed)
            solution = max_margin(data.x, data.y)
            # the largest lambda at which soft and hard margin are the same: n lambda = 1 / max alpha
            lam = 1 / (n * solution.alpha.max())
            found = bounds.published_head_tuning(
                n=n,
                steps=1000,
                radius=constants.radius(data.x),
                margin=solution.margin,
                c=0.0,
                lam=lam,
                nu=solution.margin,
            )
            values.append(found.value)
        medians.append(np.median(values))
    assert min(medians) > math.sqrt(2)
    assert medians[-1] >= medians[0]
