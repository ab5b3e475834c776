"""What is measured on a dataset, against plain loops and the theory's own functions."""

import numpy as np
import pytest

from stabilitybench.suites.measurements import KINDS, Settings, bound_names, measure
from stabilitybench.synthetic import generate
from stabilitybench.theory import leave_one_out, leave_one_out_max_margin, max_margin

BALL = generate("separable-ball", n=14, d=4, seed=3)


def head(**given):
    return Settings(kind="head", bounds=bound_names("head"), **given)


def descend(x, signs, start, rate, steps, left_out=None):
    kept = np.arange(len(x)) != left_out
    w = start.copy()
    for _ in range(steps):
        slopes = 1 / (1 + np.exp(signs * (x @ w)))
        w = w + rate / len(x) * ((slopes * signs)[kept] @ x[kept])
    return w


def turn(a, b):
    return np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))


def test_a_head_from_zero_is_the_engine_s():
    found = measure(BALL, head(steps=60))
    loo = leave_one_out(BALL.x, BALL.y, steps=60, dtype="float64")
    assert found["measured"]["data"] == pytest.approx(loo.mean_direction.item(), rel=1e-12)
    assert found["measured"]["worst"] == pytest.approx(loo.worst_direction.item(), rel=1e-12)
    limit = max_margin(BALL.x, BALL.y).direction
    assert found["measured"]["max-margin"] == pytest.approx(turn(loo.weights[0, 0], limit), rel=1e-9)
    for name, held in found["bounds"].items():
        if "refused" not in held and not held["published"]:
            assert held["violations"] == 0, name


@pytest.mark.parametrize("heads", [1, 3])
def test_seed_and_data_of_averaged_heads_are_those_of_a_plain_loop(heads):
    found = measure(BALL, head(steps=40, starts=3, scale=0.7, heads=heads))["measured"]
    from stabilitybench.suites.measurements.head import starts

    groups = starts(BALL, head(starts=3, scale=0.7, heads=heads))
    assert groups.shape == (3, heads, 4)
    signs, rate = np.where(BALL.y == 1, 1.0, -1.0), 1 / BALL.constants["beta"]

    def mean(group, left_out=None):
        return np.mean([descend(BALL.x, signs, s, rate, 40, left_out) for s in group], axis=0)

    ends = [mean(group) for group in groups]
    pairs = [turn(ends[a], ends[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found["seed"] == pytest.approx(np.mean(pairs), rel=1e-9)
    each = [turn(ends[0], mean(groups[0], i)) for i in range(BALL.n)]
    assert found["data"] == pytest.approx(np.mean(each), rel=1e-9)
    assert found["worst"] == pytest.approx(np.max(each), rel=1e-9)


def test_the_same_seed_has_the_same_starts_at_every_setting():
    from stabilitybench.suites.measurements.head import starts

    other = generate("separable-ball", n=30, d=4, seed=3)
    small, large = head(starts=2, scale=1.0), head(starts=2, scale=3.0)
    np.testing.assert_allclose(3 * starts(BALL, small), starts(other, large))


def test_a_bound_is_refused_where_its_assumptions_fail():
    fast = measure(BALL, head(steps=5, rate=3.0, starts=2, scale=1.0))["bounds"]
    for name in ("B3 one run", "B3 closed form", "B4 two starts"):
        assert "above 2 / beta" in fast[name]["refused"]
    noisy = generate("label-noise", n=40, d=2, flipped=0.3, seed=0)
    assert noisy.constants["margin"] == 0
    held = measure(noisy, head(steps=50))["bounds"]
    assert "no margin" in held["B3 closed form"]["refused"]
    assert "no margin" in held["B1 duality gap"]["refused"]
    assert held["B3 one run"]["violations"] == 0


def test_the_limit_and_p2_with_its_most_favourable_constants():
    found = measure(BALL, Settings(kind="max-margin", bounds=bound_names("max-margin")))
    loo = leave_one_out_max_margin(BALL.x, BALL.y)
    assert found["measured"]["data"] == pytest.approx(loo.direction.mean())
    solution, b = max_margin(BALL.x, BALL.y), BALL.constants["radius"]
    strength, ratio = 1 / solution.alpha.max(), 2 * (1 + b / solution.margin)
    roots = np.sqrt(ratio / strength), (b + np.sqrt(b * b + 4 * strength * ratio)) / (2 * strength)
    assert found["bounds"]["P2"]["value"] == pytest.approx(solution.margin * max(roots))
    assert found["bounds"]["P2"]["published"]
    assert all(held["violations"] == 0 for held in found["bounds"].values())


def test_the_one_run_bound_is_as_tight_as_it_should_be_on_ridge():
    loose = [
        measure(
            generate("ridge", n=50, d=10, seed=s), Settings(kind="full", weight="1/(n-1)", bounds=("A1", "A2 one run"))
        )
        for s in range(5)
    ]
    assert 1.0 <= np.median([f["bounds"]["A2 one run"]["tightness"] for f in loose]) <= 1.6
    assert all(f["bounds"][name]["violations"] == 0 for f in loose for name in ("A1", "A2 one run"))


def test_the_published_bound_is_false_without_interpolation_and_true_with_it():
    settings = Settings(kind="full", weight="1/(n-1)", distance=0.0, bounds=("P1",))
    apart = measure(generate("ridge", n=30, d=5, seed=0), settings)["bounds"]["P1"]
    assert apart["value"] == 0
    assert apart["violations"] == 1
    shared = generate("common-minimiser", n=20, d=4, seed=0)
    held = measure(shared, Settings(kind="common-minimiser", weight="1/(n-1)", bounds=bound_names("common-minimiser")))[
        "bounds"
    ]
    assert held["P1"]["violations"] == held["common minimiser"]["violations"] == 0
    assert held["common minimiser"]["value"] < held["P1"]["value"]


def test_convergence_is_checked_before_minimisers_are_compared():
    data = generate("ridge", n=20, d=3, l2=0.01, seed=0)
    held = measure(data, Settings(kind="full", steps=3, weight="1/(n-1)", bounds=("A1",)))["bounds"]["A1"]
    assert "has not converged" in held["refused"]


@pytest.mark.parametrize(
    ("kind", "generator", "words"),
    [
        ("head", "ridge", "needs a generator with labels"),
        ("max-margin", "ridge", "needs a generator with labels"),
        ("full", "separable-ball", "needs a generator of regression"),
        ("common-minimiser", "ridge", 'needs the generator "common-minimiser"'),
    ],
)
def test_a_generator_that_does_not_fit_the_kind_is_named(kind, generator, words):
    from stabilitybench.errors import UserError

    with pytest.raises(UserError, match=words):
        measure(generate(generator, n=10, d=2), Settings(kind=kind))
    assert kind in KINDS
