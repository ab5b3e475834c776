"""Max-margin solutions of rows that floating point finds hard, against arithmetic of 120 digits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.theory import NotSeparable, leave_one_out_max_margin, max_margin
from stabilitybench.theory import least_distance as solver
from support.ill_conditioned import KINDS, Rounded, ill_conditioned

#: What the product of a row and the direction may be off by, as a share of the largest norm.
ACCURACY = 1e-13
#: What 120 digits leave of zero.
NOTHING = Decimal("1e-80")


@pytest.fixture(autouse=True, scope="module")
def many_digits():
    with localcontext(prec=120):
        yield


def exact_margin(rows):
    """Return the margin of rows by Lawson & Hanson's method in decimals."""
    gram = [[sum(map(Decimal.__mul__, a, b)) for b in rows] for a in rows]
    top = max(gram[i][i] for i in range(len(rows)))
    if not top:
        return 0.0
    gram = [[value / top + 1 for value in line] for line in gram]
    used, u = [], [Decimal(0)] * len(rows)
    while True:
        gradient = [1 - sum(g * v for g, v in zip(line, u, strict=True) if v) for line in gram]
        best = max(range(len(rows)), key=gradient.__getitem__)
        if gradient[best] <= NOTHING:
            slack = 1 - sum(u)
            return float((top * slack / (1 - slack)).sqrt()) if slack > 0 else 0.0
        used.append(best)
        while True:
            wanted = solved([[gram[i][j] for j in used] for i in used])
            falling = [k for k, value in enumerate(wanted) if value <= 0]
            if not falling:
                break
            step = min(u[used[k]] / (u[used[k]] - wanted[k]) for k in falling)
            for k, value in zip(used, wanted, strict=True):
                u[k] += step * (value - u[k])
            for k in [k for k in used if u[k] <= NOTHING]:
                u[k] = Decimal(0)
                used.remove(k)
        for k, value in zip(used, wanted, strict=True):
            u[k] = value


def solved(matrix):
    """Return matrix^-1 1 by elimination."""
    lines = [[*line, Decimal(1)] for line in matrix]
    for k in range(len(lines)):
        lines[k] = [value / lines[k][k] for value in lines[k]]
        for i in range(len(lines)):
            if i != k and lines[i][k]:
                lines[i] = [a - lines[i][k] * b for a, b in zip(lines[i], lines[k], strict=True)]
    return [line[-1] for line in lines]


def constraints(x, y):
    """Return the rows z of <w, z> >= 1 as decimals, and the row of x that each belongs to."""
    data = [[Decimal(float(value)) for value in row] for row in x]
    labels = sorted(set(y.tolist()))
    if labels == [0, 1]:
        return [[v if label else -v for v in row] for row, label in zip(data, y, strict=True)], list(range(len(y)))
    rows, owners, zero = [], [], [Decimal(0)] * x.shape[1]
    for i, (row, label) in enumerate(zip(data, y.tolist(), strict=True)):
        for other in labels:
            if other != label:
                blocks = [row if c == label else [-v for v in row] if c == other else zero for c in labels]
                rows.append([value for block in blocks for value in block])
                owners.append(i)
    return rows, owners


def check(x, y):
    """Hold the solution and every leave-one-out margin against the exact ones; return whether there is one."""
    rows, owners = constraints(x, y)
    scale = max(float(sum(v * v for v in row).sqrt()) for row in rows)
    exact = exact_margin(rows)
    try:
        found = leave_one_out_max_margin(x, y)
    except NotSeparable:
        assert exact <= 1.001 * solver.SMALLEST_MARGIN * scale
        return False
    close = ACCURACY * scale / exact  # relative
    assert found.full.margin == pytest.approx(exact, rel=close)
    direction = [Decimal(v) for v in found.full.direction.ravel().tolist()]
    assert min(float(sum(map(Decimal.__mul__, row, direction))) for row in rows) == pytest.approx(exact, rel=close)
    alpha = found.full.alpha.reshape(len(x), -1)
    assert (alpha >= 0).all()
    assert alpha.sum() == pytest.approx(exact**-2, rel=10 * close)
    for i in range(len(x)):
        without = exact_margin([row for row, owner in zip(rows, owners, strict=True) if owner != i])
        assert found.margin[i] == pytest.approx(without, rel=close)
    return True


@settings(deadline=None, derandomize=True, max_examples=120)
@given(st.sampled_from([kind for kind in KINDS if kind not in ("huge", "tiny")]), st.integers(0, 10**6))
def test_rows_of_every_kind_against_120_digits(kind, seed):
    check(*ill_conditioned(kind, seed, largest=7))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.sampled_from(["huge", "tiny"]), st.integers(0, 10**6))
def test_scales_are_solved_or_refused_in_one_sentence(kind, seed):
    x, y = ill_conditioned(kind, seed, largest=7)
    if 1e-100 < np.abs(x).max() < 1e100:
        check(x, y)
    else:
        with pytest.raises(UserError, match="rescale it"):
            max_margin(x, y)


@pytest.mark.parametrize(
    "x",
    [
        [[99999.7, 100001.9, 99999.4], [99999.8, 100000.3, 100000.6], [100001.3, 100000.9, 99998.6]],
        [[1995.0, 0.3, -1.2], [2003.0, 1.1, 0.4], [2021.0, -0.7, 0.8]],
    ],
)
def test_three_rows_that_share_a_large_component(x):
    assert check(np.array(x), np.array([2, 1, 0]))


@pytest.mark.parametrize("seed", range(12))
def test_three_classes_far_from_the_origin(seed):
    x = np.random.default_rng(seed).standard_normal((6, 4)) + 1e4
    check(x, np.arange(6) % 3)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.sampled_from(["plain", "offset", "collinear", "nearly low rank", "years"]), st.integers(0, 10**6))
@example("offset", 3)
def test_every_way_finds_the_same(kind, seed):
    """From more rows, by least squares and by the dual method alone."""
    x, y = ill_conditioned(kind, seed)
    rows = np.where(y > 0, 1.0, -1.0)[:, None] * x
    rows /= np.linalg.norm(rows, axis=1).max()
    one, two = solver.shortest(rows), solver._dual(rows)
    assert (one is None) == (two is None)
    if one is None or two is None:
        return
    norm = np.linalg.norm(one.weights)
    assert np.linalg.norm(two.weights) == pytest.approx(norm, rel=ACCURACY * norm)
    assert two.multipliers.min() >= 0
    for i in one.active:
        left_out = np.arange(len(rows)) == i
        changed, alone = one.without(left_out), solver._dual(rows[~left_out])
        assert np.linalg.norm(changed) == pytest.approx(np.linalg.norm(alone.weights), rel=ACCURACY * norm)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["plain", "offset", "duplicates", "nearly low rank", "years", "whole numbers"])
def test_no_result_hangs_on_the_last_bit_of_a_product(kind, seed, monkeypatch):
    """Products off by one bit move the margin by rounding, never the path into an error."""
    x, y = ill_conditioned(kind, seed)
    try:
        expected = leave_one_out_max_margin(x, y)
    except NotSeparable:
        return
    shortest = solver.shortest
    monkeypatch.setattr(Rounded, "random", np.random.default_rng(seed))
    monkeypatch.setattr("stabilitybench.theory.margin.shortest", lambda rows: shortest(rows.view(Rounded)))
    close = ACCURACY * np.linalg.norm(x, axis=1).max() / expected.full.margin
    for _ in range(3):
        found = leave_one_out_max_margin(x, y)
        np.testing.assert_allclose(found.margin, expected.margin, rtol=10 * close)


@pytest.mark.parametrize("error", [RuntimeError, np.linalg.LinAlgError])
def test_failures_of_the_fast_ways_are_silent(error, monkeypatch):
    def fails(*_):
        raise error

    x, y = ill_conditioned("plain", 1)
    y = (np.arange(len(y)) > len(y) // 2).astype(int)
    x[:, 0] = 3.0 * y - 1.5
    expected = leave_one_out_max_margin(x, y)
    monkeypatch.setattr("scipy.optimize.nnls", fails)
    if error is np.linalg.LinAlgError:
        monkeypatch.setattr(np.linalg, "inv", fails)
    np.testing.assert_allclose(leave_one_out_max_margin(x, y).margin, expected.margin, rtol=1e-12)


@pytest.mark.parametrize("fault", [ZeroDivisionError, FloatingPointError, np.linalg.LinAlgError])
def test_a_changed_inverse_that_fails_is_solved_from_nothing(fault, monkeypatch):
    def fails(*_):
        raise fault

    x, y = np.eye(4) + 0.1, np.array([0, 1, 0, 1])
    expected = leave_one_out_max_margin(x, y)
    monkeypatch.setattr(solver, "_active_set", fails)
    np.testing.assert_allclose(leave_one_out_max_margin(x, y).direction, expected.direction, atol=1e-12)
