"""Resampling as matrix products: thousands of resamples of many comparisons without a Python loop over either.

A resample enters a variance only through how often it takes each score, and a permutation only through which
scores fall to the first arm.  Rows of counts, or of zeros and ones, times columns of scores (or of their squares)
are then all the work.  Blocks bound the memory to one matrix of counts (8 bytes per run and resample) and a few
blocks of constant size.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice, product
from math import comb

import numpy as np
from scipy.special import ndtr, ndtri

from stabilitybench.statistics.results import Floats

# elements of one block of resampled statistics: a few such blocks fit into the cache of one core
_BLOCK = 2**17
# elements of one block of a matrix of resamples
_MATRIX = 2**22


def draw_counts(n: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often each run enters each bootstrap resample.

    Parameters
    ----------
    n : int
        Number of runs.
    resamples : int
        Number of resamples.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    numpy.ndarray, shape (n, resamples)
        Every column sums to n.

    Examples
    --------
    >>> draw_counts(4, 3, np.random.default_rng(0)).sum(axis=0)
    array([4., 4., 4.])
    """
    places = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=resamples * n).reshape(resamples, n)
    return np.ascontiguousarray(counts.T, dtype=np.float64)


def resampled_squares(values: Floats, counts: Floats, room: Floats | None = None) -> Floats:
    """Return the sum of squares about the mean of every resample.

    Parameters
    ----------
    values : numpy.ndarray, shape (comparisons, n)
        Scores, best centred on their medians, and at most 1 in size: then a resample that misses an outlying score
        loses no digits.
    counts : numpy.ndarray, shape (n, resamples)
        As `draw_counts` gives them.
    room : numpy.ndarray, shape (2 comparisons, resamples), optional
        Is overwritten and saves fresh memory; the result is a part of it.

    Returns
    -------
    numpy.ndarray, shape (comparisons, resamples)
        Exactly 0 for a resample of equal scores.

    Examples
    --------
    >>> resampled_squares(np.array([[-1.0, 0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 3.0]]))
    array([[2., 0.]])
    """
    n = values.shape[1]
    # one product for both sums: that of the scores, over the root of n, and that of their squares
    sums = np.matmul(np.concatenate([values / np.sqrt(n), values * values]), counts, out=room)
    total, squares = sums[: len(values)], sums[len(values) :]
    total *= total
    squares -= total
    if squares.size and squares.min() < 1e-12 * n:
        # what is left beside the mean is rounding error
        squares[squares < 1e-13 * total] = 0.0
    return squares


def variance_ratio_limits(
    first: Floats,
    second: Floats,
    resamples: int,
    rng: np.random.Generator,
    level: float,
    acceleration: Floats | None,
) -> tuple[Floats, Floats]:
    """Return the bootstrap limits of var(first) / var(second) for each row.

    A resample where both arms are constant has no ratio and is left out; with one constant arm it is 0 or infinite.

    Parameters
    ----------
    first, second : numpy.ndarray, shape (comparisons, n) and (comparisons, m)
        Scores as for `resampled_squares`, each arm in its own unit.
    resamples : int
        Bootstrap resamples, shared by all rows.
    rng : numpy.random.Generator
        Draws them.
    level : float
        Confidence level, in (0, 1).
    acceleration : numpy.ndarray, shape (comparisons,), or None
        For BCa limits [1]_; None for percentile limits.

    Returns
    -------
    low, high : numpy.ndarray, shape (comparisons,)
        NaN where they do not exist.

    References
    ----------
    .. [1] Efron (1987), JASA 82:171-185.
    """
    counts = draw_counts(first.shape[1], resamples, rng), draw_counts(second.shape[1], resamples, rng)
    observed = _squares(first) / _squares(second)
    shares = (1 - level) / 2, (1 + level) / 2
    limits = np.empty((len(first), 2))
    step = max(1, _BLOCK // resamples)
    room = np.empty((2, 2 * step, resamples))
    for start in range(0, len(first), step):
        rows = slice(start, min(start + step, len(first)))
        size = 2 * (rows.stop - start)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = resampled_squares(first[rows], counts[0], room[0, :size])
            ratios /= resampled_squares(second[rows], counts[1], room[1, :size])
        for row, values in enumerate(ratios, start=start):
            undefined = np.isnan(values)
            if undefined.any():
                values = values[~undefined]
            if acceleration is not None:
                shares = _bca_shares(values, float(observed[row]), float(acceleration[row]), level)
            limits[row] = _quantiles(values, shares)
    limits *= (second.shape[1] - 1) / (first.shape[1] - 1)
    return limits[:, 0], limits[:, 1]


def _squares(values: Floats) -> Floats:
    centred = values - values.mean(axis=1, keepdims=True)
    squares: Floats = (centred * centred).sum(axis=1)
    return squares


def _bca_shares(values: Floats, observed: float, acceleration: float, level: float) -> tuple[float, float]:
    """Return the two shares of the bootstrap distribution at which the BCa limits lie; NaN where they do not exist."""
    below = (np.count_nonzero(values < observed) + np.count_nonzero(values <= observed)) / (2 * max(values.size, 1))
    if not 0 < below < 1:
        return float("nan"), float("nan")
    bias = float(ndtri(below))
    shares = []
    for z in (float(ndtri((1 - level) / 2)), float(ndtri((1 + level) / 2))):
        moved = bias + z
        room = 1 - acceleration * moved
        # beyond the pole of Efron's formula only the extreme of the distribution is left
        shares.append(float(ndtr(bias + moved / room)) if room > 0 else float(moved > 0))
    return shares[0], shares[1]


def _quantiles(values: Floats, shares: tuple[float, float]) -> tuple[float, float]:
    """Return two quantiles by linear interpolation, as numpy's default."""
    if values.size == 0 or not all(0 <= share <= 1 for share in shares):
        return float("nan"), float("nan")
    places = [share * (values.size - 1) for share in shares]
    floors = [min(int(place), max(values.size - 2, 0)) for place in places]
    ceilings = [min(floor + 1, values.size - 1) for floor in floors]
    found = []
    for place, floor, ceiling in zip(places, floors, ceilings, strict=True):
        # the smallest of what lies above is the next order statistic: one pivot instead of two
        values = np.partition(values, floor)
        low, high = float(values[floor]), float(values[ceiling:].min())
        found.append(low if low == high or place == floor else low + (place - floor) * (high - low))
    return found[0], found[1]


def memberships(n: int, size: int, draws: int, rng: np.random.Generator) -> tuple[Iterator[Floats], bool]:
    """Return blocks of rows that assign runs to the first arm (1) and the second (0).

    Parameters
    ----------
    n : int
        Runs of both arms together.
    size : int
        How many of them every row puts into the first arm.
    draws : int
        Random rows, unless there are no more ways than this.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    blocks : iterator of numpy.ndarray, shape (rows, n)
        Blocks of bounded size.
    listed : bool
        Whether the rows are all the ways there are, each once, instead of random ones.
    """
    if comb(n, size) <= draws:
        return _all_memberships(n, size), True
    return _random_memberships(n, size, draws, rng), False


def _all_memberships(n: int, size: int) -> Iterator[Floats]:
    every = combinations(range(n), size)
    for rows in _blocks(comb(n, size), n):
        block = np.zeros((rows, n))
        np.put_along_axis(block, np.array(list(islice(every, rows))), 1.0, axis=1)
        yield block


def _random_memberships(n: int, size: int, draws: int, rng: np.random.Generator) -> Iterator[Floats]:
    for rows in _blocks(draws, n):
        keys = rng.random((rows, n))
        # the runs with the smallest of n random keys are a random subset
        yield (keys <= np.partition(keys, size - 1, axis=1)[:, size - 1 : size]).astype(np.float64)


def swaps(n: int, draws: int, rng: np.random.Generator) -> tuple[Iterator[Floats], bool]:
    """Return blocks of rows that say for each pair whether it is swapped (1) or not (0).

    Parameters
    ----------
    n : int
        Number of pairs.
    draws : int
        Random rows, unless there are no more ways than this.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    blocks : iterator of numpy.ndarray, shape (rows, n)
        Blocks of bounded size.
    listed : bool
        Whether the rows are all 2^n ways, each once, instead of random ones.
    """
    if n < 63 and 2**n <= draws:
        every = product((0.0, 1.0), repeat=n)
        return (np.array(list(islice(every, rows))) for rows in _blocks(2**n, n)), True
    return ((rng.random((rows, n)) < 0.5).astype(np.float64) for rows in _blocks(draws, n)), False


def _blocks(draws: int, n: int) -> Iterator[int]:
    step = max(1, _MATRIX // n)
    for start in range(0, draws, step):
        yield min(step, draws - start)
