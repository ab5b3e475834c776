"""Size and coverage by simulation: what the documentation promises of each method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stabilitybench.statistics import brown_forsythe, median_centred_permutation, sd_ratio

Draw = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "t4": lambda rng, n: rng.standard_t(4, n),
    "gamma2": lambda rng, n: rng.gamma(2.0, 1.0, n),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 20, 50])
@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_of_the_sd_ratio_interval(shape: str, n: int) -> None:
    rng = np.random.default_rng([n, list(SHAPES).index(shape)])
    studies, true_ratio = 2500, 0.5
    covered = 0
    for _ in range(studies):
        found = sd_ratio(true_ratio * SHAPES[shape](rng, n), SHAPES[shape](rng, n))
        covered += found.low <= true_ratio <= found.high
    coverage = covered / studies
    print(f"coverage of the 95 % interval, {shape}, n = {n}: {coverage:.3f}")
    low, high = (0.93, 0.97) if shape == "normal" else (0.90, 0.97)
    assert low <= coverage <= high


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*SHAPES, "10 % failed"])
def test_size_of_the_tests_of_spread(shape: str) -> None:
    """Equal arms, n = 20: a test at 5 % rejects in about 5 of 100 studies, or fewer."""
    rng = np.random.default_rng(11)

    def draw() -> np.ndarray:
        if shape in SHAPES:
            return SHAPES[shape](rng, 20)
        return np.where(rng.random(20) < 0.1, -8.0, rng.standard_normal(20))

    studies = 2000
    rejected = np.zeros(2)
    for _ in range(studies):
        a, b = draw(), draw()
        tests = brown_forsythe(a, b), median_centred_permutation(a, b, rng, draws=199)
        rejected += [test.p is not None and test.p <= 0.05 for test in tests]
    size = rejected / studies
    print(f"size at 5 %, {shape}, n = 20: Brown-Forsythe {size[0]:.3f}, permutation {size[1]:.3f}")
    assert np.all(size < 0.07)


@pytest.mark.slow
def test_power_of_brown_forsythe_at_twenty_seeds() -> None:
    """The report says that 20 normal scores per arm show an SD ratio of 2.2 in 80 of 100 studies."""
    rng = np.random.default_rng(5)
    studies = 3000
    found = sum(brown_forsythe(rng.normal(0, 2.17, 20), rng.normal(0, 1, 20)).p < 0.05 for _ in range(studies))
    assert found / studies == pytest.approx(0.80, abs=0.03)
