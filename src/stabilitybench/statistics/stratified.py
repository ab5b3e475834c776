"""Two arms on several tasks at once: failures and spread, each task a stratum of its own.

The statements are about these strata, not about a population of strata.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.argument_checks import listed
from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.failure import check_counts, risk_difference
from stabilitybench.statistics.results import Estimate, Floats, check_draws, sample

#: Failed runs and runs of an arm, then those of the baseline.
Table = tuple[int, int, int, int]
#: The exact distribution of the failures of more runs in one stratum would fill the memory.
MOST_RUNS = 10**6


def stratified_fisher(tables: Sequence[Table]) -> float:
    """Return the exact two-sided p-value of equal failure rates within each of several strata.

    Conditional on the failures of each stratum: the failures of the first arm are summed over strata, each
    hypergeometric, and the p-value is two-sided by probability.  With one stratum it is Fisher's test.

    Parameters
    ----------
    tables : sequence of Table
        For each stratum: failed runs and runs of the first arm, and of the second.

    Raises
    ------
    UserError
        For what is no such table.

    Examples
    --------
    >>> from stabilitybench.statistics import fisher
    >>> abs(stratified_fisher([(1, 20, 16, 20)]) - fisher(1, 20, 16, 20).p) < 1e-12
    True
    """
    mass, lowest = np.ones(1), 0
    checked = _tables(tables)
    for failed_a, n_a, failed_b, n_b in checked:
        total = failed_a + failed_b
        support = np.arange(max(0, total - n_b), min(n_a, total) + 1)
        mass = np.convolve(mass, stats.hypergeom.pmf(support, n_a + n_b, total, n_a))
        lowest += int(support[0])
    observed = mass[sum(table[0] for table in checked) - lowest]
    return min(1.0, float(mass[mass <= observed * (1 + 1e-7)].sum()))


def stratified_risk_difference(tables: Sequence[Table]) -> Estimate:
    """Return the mean over strata of failure rate a minus failure rate b, with its 95 % interval, in [-1, 1].

    The distances from each stratum's estimate to Newcombe's limits are squared, added and divided by the number of
    strata; with one stratum the interval is Newcombe's.

    Parameters
    ----------
    tables : sequence of Table
        As in `stratified_fisher`; no arm without runs.

    Examples
    --------
    >>> found = stratified_risk_difference([(0, 20, 16, 20), (2, 20, 4, 20)])
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '-0.45 [-0.58, -0.27]'
    """
    parts = [risk_difference(*table) for table in _tables(tables)]
    if not parts or any(part.estimate is None for part in parts):
        raise UserError("tables: every stratum needs runs of both arms")
    k, estimates = len(parts), [part.estimate or 0.0 for part in parts]
    effect = float(np.mean(estimates))
    low = effect - math.sqrt(sum((d - (part.low or 0.0)) ** 2 for d, part in zip(estimates, parts, strict=True))) / k
    high = effect + math.sqrt(sum(((part.high or 0.0) - d) ** 2 for d, part in zip(estimates, parts, strict=True))) / k
    return Estimate(effect, max(low, -1.0), min(high, 1.0), "Newcombe, combined over strata", "")


def stratified_spread_permutation(
    pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], rng: np.random.Generator, draws: int = 9_999
) -> float:
    r"""Return the p-value of equal spread within each of several strata, by permuting within them.

    Scores lose their arm's median first.  The statistic is :math:`|\sum_t \log(s_{t1}^2 / s_{t2}^2)|` with
    :math:`s^2` the mean squares about these medians.

    Parameters
    ----------
    pairs : sequence of tuple of array_like
        The scores of both arms in each stratum, at least two each.
    rng : numpy.random.Generator
        Draws the permutations.
    draws : int, default 9999
        How many of them, at least 99.

    Examples
    --------
    >>> a, b = np.arange(12.0), 10 * np.arange(12.0)
    >>> stratified_spread_permutation([(a, b), (a, b)], np.random.default_rng(0)) < 0.001
    True
    """
    check_draws(rng, draws)
    observed, drawn = 0.0, np.zeros(draws)
    for i, pair in enumerate(listed("pairs", pairs, "strata, each with the scores of two arms")):
        a, b = _of_length(f"pairs[{i}]", pair, "the scores of two arms", 2)
        first, second = sample(a, f"pairs[{i}], first arm"), sample(b, f"pairs[{i}], second arm")
        if min(first.size, second.size) < 2:
            raise UserError(f"pairs[{i}]: {first.size} and {second.size} runs: every arm needs at least 2")
        n = len(first)
        # sorted, so that the order of the runs does not matter
        squares = np.concatenate([(np.sort(x) - np.median(x)) ** 2 for x in (first, second)])
        order = np.argsort(rng.random((draws, len(squares))), axis=1)
        sums = squares[order[:, :n]].sum(axis=1)
        parts = _log_odds(np.append(sums, squares[:n].sum()), float(squares.sum()), n, len(second))
        observed += float(parts[-1])
        drawn += parts[:-1]
    return float((1 + np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-12)) / (1 + draws))


def _tables(tables: Sequence[Table]) -> list[Table]:
    found = []
    for i, table in enumerate(listed("tables", tables, "strata, each with four numbers")):
        failed_a, n_a, failed_b, n_b = _of_length(f"tables[{i}]", table, "failed runs and runs of two arms", 4)
        check_counts(failed_a, n_a, f"tables[{i}][0]", f"tables[{i}][1]")
        check_counts(failed_b, n_b, f"tables[{i}][2]", f"tables[{i}][3]")
        if n_a + n_b > MOST_RUNS:
            raise UserError(f"tables[{i}]: {n_a} and {n_b} runs: must be at most {MOST_RUNS} together")
        found.append((failed_a, n_a, failed_b, n_b))
    return found


def _of_length(name: str, value: object, what: str, length: int) -> tuple[Any, ...]:
    items = listed(name, value, what)
    if len(items) != length:
        raise UserError(Argument(name, value), f": must hold {what}, {length} in all")
    return items


def _log_odds(part: Floats, total: float, n: int, m: int) -> Floats:
    tiny = total * 1e-12  # a part without any spread stays finite, so that strata still add up
    share: Floats = np.log(np.maximum(part, tiny) / (n - 1)) - np.log(np.maximum(total - part, tiny) / (m - 1))
    return share
