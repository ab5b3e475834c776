"""Which runs make pairs: equal seeds, from 80 % of both arms on, decided before any score is seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.statistics.pairing import crossed_parts, independent, pairing

SEEDS = [(k, "n = 500") for k in range(20)]


def test_equal_seed_sets_pair_whatever_their_order():
    made = pairing(SEEDS, SEEDS[::-1])
    assert made.kind == "paired"
    assert made.pairs == tuple((k, 19 - k) for k in range(20))
    assert (made.dropped, made.why, made.streams) == (0, "", ())
    assert made.reason == "20 pairs of equal seeds"


@pytest.mark.parametrize(
    ("arm", "baseline", "kind", "dropped"),
    [
        (SEEDS[:16], SEEDS, "paired", 4),  # 80 % of the larger
        (SEEDS[:15], SEEDS, "independent", 0),
        (SEEDS, SEEDS[:15], "independent", 0),  # all of the smaller arm, 75 % of the larger
        (SEEDS[:10], [(k, "n = 500") for k in range(2, 12)], "paired", 4),
        (SEEDS[:10], [(k, "n = 500") for k in range(3, 13)], "independent", 0),
        (SEEDS[:1], SEEDS[:1], "paired", 0),
    ],
)
def test_partial_overlap_pairs_from_80_percent_of_both_arms_on(arm, baseline, kind, dropped):
    made = pairing(arm, baseline)
    assert (made.kind, made.dropped) == (kind, dropped)
    assert len(made.pairs) * 2 + made.dropped == (len(arm) + len(baseline) if kind == "paired" else 0)


@pytest.mark.parametrize(
    ("arm", "baseline", "why"),
    [
        (SEEDS, [(k, "n = 1000") for k in range(20)], "none of 20 seeds shared"),  # other training rows
        (SEEDS[:12], [(k + 9, "n = 500") for k in range(20)], "3 of 12 and 20 seeds shared"),
        ([None] * 20, SEEDS, "no seeds known"),
        (SEEDS, [*SEEDS[1:], None], "1 of 40 seeds missing"),
        (SEEDS, [*SEEDS[1:], SEEDS[4]], "an arm has a seed twice"),
        ([*SEEDS[1:], SEEDS[4]], SEEDS, "an arm has a seed twice"),
        ([], SEEDS, "an arm has no runs"),
    ],
)
def test_arms_without_pairs_say_why(arm, baseline, why):
    assert pairing(arm, baseline) == independent(why)
    assert pairing(arm, baseline).reason == f"independent runs ({why})"


def test_a_missing_run_drops_its_pair():
    arm, baseline = np.ones(20, bool), np.ones(20, bool)
    arm[[0, 5]] = False
    baseline[7] = False
    made = pairing(SEEDS, SEEDS).finished(arm, baseline)
    assert made.reason == "17 pairs of equal seeds, 3 runs without a partner left out"
    # places are those among the runs that are there
    assert made.pairs[0] == (0, 1)
    assert made.pairs[-1] == (17, 18)
    assert independent("so").finished(arm, baseline) == independent("so")


@settings(derandomize=True, deadline=None)
@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1), st.randoms())
def test_every_pair_has_one_seed_and_every_run_one_pair(first, second, random):
    arm, baseline = [(k,) for k in first], [(k,) for k in second]
    random.shuffle(arm)
    random.shuffle(baseline)
    made = pairing(arm, baseline)
    assert all(arm[i] == baseline[j] for i, j in made.pairs)
    assert len({i for i, _ in made.pairs}) == len({j for _, j in made.pairs}) == len(made.pairs)
    shared = len(first & second)
    enough = shared >= 0.8 * len(first) and shared >= 0.8 * len(second)
    assert len(made.pairs) == (shared if enough else 0)
    swapped = pairing(baseline, arm)
    assert (swapped.kind, swapped.dropped, len(swapped.pairs)) == (made.kind, made.dropped, len(made.pairs))


def test_crossed_streams_are_those_that_vary_apart_and_come_back():
    cells = [(i, o, 0) for i in range(5) for o in range(3)]
    made = pairing(cells, cells, ("init", "order", "n_train"))
    assert made.kind == "crossed"
    assert made.streams == (("init", tuple(c[0] for c in cells)), ("order", tuple(c[1] for c in cells)))
    assert made.reason == "15 pairs of equal seeds, init and order crossed: holds for these values of order"
    gone = np.arange(15) != 4
    dropped = made.finished(gone, np.ones(15, bool))
    assert dropped.streams[0][1] == tuple(c[0] for k, c in enumerate(cells) if k != 4)
    # init and dropout vary together: one of them is a stream
    assert crossed_parts([(i, i + 7, o) for i in range(3) for o in range(3)]) == (0, 2)
    # an order of its own for each run is no crossed factor
    assert crossed_parts([(i, 3 * i + o) for i in range(3) for o in range(3)]) == ()
    assert crossed_parts([(1, 2), (1, 2)]) == ()
