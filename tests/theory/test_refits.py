"""Max-margin refits: equal to the warm engine where that is sound, and sound where rows are nearly dependent."""

import numpy as np
import pytest

from stabilitybench.errors import UserError
from stabilitybench.synthetic import generate
from stabilitybench.theory import NotSeparable, leave_one_out_max_margin, max_margin
from stabilitybench.theory.refits import refitted_max_margin, safe_leave_one_out_max_margin


@pytest.mark.parametrize(("name", "given"), [
    ("separable-ball", {"n": 30, "d": 5}), ("orthonormal", {"n": 6, "d": 8}),
    ("multi-class", {"n": 20, "d": 5, "classes": 3}),
])  # fmt: skip
def test_refits_are_what_the_warm_engine_finds(name, given):
    data = generate(name, seed=1, **given)
    warm, cold = leave_one_out_max_margin(data.x, data.y), refitted_max_margin(data.x, data.y)
    np.testing.assert_allclose(cold.margin, warm.margin, rtol=1e-8)
    np.testing.assert_allclose(cold.distance, warm.distance, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(cold.direction, warm.direction, rtol=1e-6, atol=1e-9)
    assert cold.refits == warm.refits


@pytest.mark.parametrize("small", [1e-3, 1e-5])
def test_no_margin_falls_on_rows_of_nearly_low_rank(small):
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.standard_normal((12, 3)) @ rng.standard_normal((3, 8)) + small * rng.standard_normal((12, 8))
        x[:, 0] += 10  # a common direction, as encoders have
        y = (x @ rng.standard_normal(8) > 0).astype(int)
        if min(np.bincount(y, minlength=2)) < 2:
            continue
        found = safe_leave_one_out_max_margin(x, y)
        assert (found.margin >= max_margin(x, y).margin * (1 - 1e-9)).all()


def test_a_set_that_the_warm_engine_once_gave_up():
    data = generate("separable-ball", n=80, d=10, margin=0.2, seed=8)
    found = safe_leave_one_out_max_margin(data.x, data.y)
    assert (found.margin >= found.full.margin * (1 - 1e-9)).all()
    assert found.direction.max() > 0


def test_what_cannot_be_compared_is_said():
    with pytest.raises(UserError, match="class 0 has a single row"):
        refitted_max_margin([[2.0, 0.0], [0.0, 2.0], [-0.1, -0.1]], [1, 1, 0])
    with pytest.raises(NotSeparable):
        safe_leave_one_out_max_margin([[1.0], [1.0], [2.0]], [0, 1, 1])
