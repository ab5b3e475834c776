"""Two arms over a crossed design, such as init x order, paired run by run: difference of means, deviation ratio.

Runs that share a seed of a stream are not independent, so that pairs are no sample: seeds of the streams are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from stabilitybench.argument_checks import of_kind
from stabilitybench.errors import UserError
from stabilitybench.statistics.deviation import DeviationRatio, deviations, paired_deviation_ratio
from stabilitybench.statistics.results import Floats, check_level, paired_samples

Codes = npt.NDArray[np.intp]

#: A stream of fewer values is no sample to generalise from: it is averaged over.
FEWEST_VALUES = 5
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class CrossedDifference:
    """Mean of an arm minus mean of the baseline over a crossed design, with its interval and test.

    Attributes
    ----------
    estimate : float or None
        Mean difference of the pairs; None without pairs.
    low, high : float or None
        The interval; it excludes 0 exactly where p lies below 1 - level.
    p : float or None
        Of the two-sided test that the means are equal; None without an interval.
    df, se : float or None
        Degrees of freedom, and standard error.
    n : int
        Pairs.
    method : str
        How the interval was made: which streams are sampled, and for which values of the others it holds.
    note : str
        Why estimate or interval are missing; empty when both are there.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    df: float | None
    se: float | None
    n: int
    method: str
    note: str


def clustered_variance(influence: Floats, streams: Sequence[Codes]) -> Floats:
    r"""Return the variance of means over runs that share seeds of several streams, one data set per row.

    With :math:`V_S = \frac{G}{G - 1} \sum_g (\sum_{i \in g} u_i)^2 / n^2` over the G groups that agree in all streams
    of S, it is :math:`V_{init} + V_{order} - V_{init, order}` for two streams, by inclusion and exclusion for others
    [1]_, and never less than that of any one stream.

    Parameters
    ----------
    influence : numpy.ndarray, shape (data sets, n)
        Distances to the mean; each row sums to 0.
    streams : sequence of numpy.ndarray, each of shape (n,)
        Numbers of the seeds, from 0; at least one stream, at least two seeds in each.

    References
    ----------
    .. [1] Cameron, Gelbach & Miller (2011), J. Bus. Econ. Stat. 29:238-249.
    """
    sums: dict[tuple[int, ...], Floats] = {}
    for size in range(1, len(streams) + 1):
        for chosen in combinations(range(len(streams)), size):
            _, group = np.unique(np.stack([streams[i] for i in chosen]), axis=1, return_inverse=True)
            group = group.ravel()
            groups = int(group.max()) + 1
            within = influence @ (group[:, None] == np.arange(groups)).astype(np.float64)
            sums[chosen] = groups / (groups - 1) * (within**2).sum(axis=1) / influence.shape[1] ** 2
    total = np.sum([(-1) ** (len(chosen) + 1) * v for chosen, v in sums.items()], axis=0)
    least = np.max([sums[i,] for i in range(len(streams))], axis=0)
    return np.asarray(np.maximum(total, least))


def crossed_difference(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, streams: Mapping[str, npt.ArrayLike], level: float = 0.95
) -> CrossedDifference:
    """Return the difference of the means of two arms over a crossed design, with its interval and test.

    Student's t with the variance of `clustered_variance`; its degrees of freedom are those of the stream with the
    fewest values, less one.  A stream of fewer than five values is averaged over: the answer holds for its values.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        Scores; run i of one arm has the seeds of run i of the other.  Pairs may be missing.
    streams : mapping of str to array_like, shape (n,)
        The seed of each pair in each stream, such as init and order.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    CrossedDifference
        Without interval and p, with a note, where no stream has five values, or all pairs differ by the same.

    Raises
    ------
    UserError
        For unequal numbers of scores or seeds, scores that are not finite, an empty seed, or a level outside (0, 1).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> init, order = np.divmod(np.arange(25), 5)
    >>> baseline = rng.normal(0.70, 0.02, 25)
    >>> arm = baseline + rng.normal(0.03, 0.01, 5)[init] + rng.normal(0, 0.01, 25)
    >>> found = crossed_difference(arm, baseline, {"init": init, "order": order})
    >>> f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}], df = {found.df:.0f}"
    '0.030 [0.023, 0.037], df = 4'
    """
    first, second = paired_samples(arm, baseline)
    check_level(level)
    design = _Design.of(streams, first.size)
    method = f"clustered t on mean difference, {design.said}"

    def without(note: str, estimate: float | None = None) -> CrossedDifference:
        return CrossedDifference(estimate, None, None, None, None, None, first.size, method, note)

    if first.size == 0:
        return without("no difference: there are no pairs")
    gaps = first - second
    estimate = float(gaps[0] + (gaps - gaps[0]).mean())
    if design.too_few:
        return without(design.too_few, estimate)
    se = design.se(gaps - estimate)
    if se <= 1e-12 * float(np.abs(np.stack([first, second])).max()):
        return without("no interval: the differences do not vary from seed to seed", estimate)
    half, p = design.half_width(se, level), design.p(estimate / se)
    return CrossedDifference(estimate, estimate - half, estimate + half, p, design.df, se, first.size, method, "")


def crossed_deviation_ratio(
    arm: npt.ArrayLike, baseline: npt.ArrayLike, streams: Mapping[str, npt.ArrayLike], level: float = 0.95
) -> DeviationRatio:
    r"""Return the ratio of mean distances to the median of two arms over a crossed design, with interval and test.

    The estimate is that of `paired_deviation_ratio` over all pairs, of all streams; the variance of its logarithm is
    `clustered_variance` of :math:`u_i = D_i / \bar D - E_i / \bar E`, with degrees of freedom as in
    `crossed_difference`.  What scatters between the values of a stream that is averaged over belongs to the distances,
    but the answer holds for these values.

    Parameters
    ----------
    arm, baseline : array_like, shape (n,)
        As in `crossed_difference`.
    streams : mapping of str to array_like, shape (n,)
        As in `crossed_difference`.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    DeviationRatio
        Without interval and p, with a note, as from `paired_deviation_ratio`, and where no stream has five values.

    Raises
    ------
    UserError
        As in `crossed_difference`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> init, order = np.divmod(np.arange(100), 10)
    >>> found = crossed_deviation_ratio(rng.normal(size=100), 3 * rng.normal(size=100), {"init": init, "order": order})
    >>> f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}], df = {found.df:.0f}"
    '0.34 [0.25, 0.47], df = 9'
    """
    first, second = paired_samples(arm, baseline)
    pairs = paired_deviation_ratio(first, second, level)
    design = _Design.of(streams, first.size)
    method = f"clustered t on log deviation ratio, {design.said}"
    blank = replace(pairs, low=None, high=None, p=None, df=None, log_se=None, method=method)
    if pairs.estimate is None or pairs.p is None:
        return blank
    if design.too_few:
        return replace(blank, note=design.too_few)
    se = design.se(deviations(first[None, :]).relative[0] - deviations(second[None, :]).relative[0])
    if se <= 1e-12:
        return replace(blank, note="no interval: the distances do not vary from seed to seed")
    centre, half = math.log(pairs.estimate), design.half_width(se, level)
    if abs(centre) + half > _LARGEST_LOG:
        return replace(blank, note="no interval: its limits exceed what a double can hold")
    low, high = math.exp(centre - half), math.exp(centre + half)
    return replace(blank, low=low, high=high, p=design.p(centre / se), df=design.df, log_se=se)


@dataclass(frozen=True, eq=False)
class _Design:
    """The streams that are sampled, and what is said of them and of the others."""

    sampled: tuple[Codes, ...]
    df: float
    said: str
    too_few: str

    @classmethod
    def of(cls, streams: Mapping[str, npt.ArrayLike], n: int) -> _Design:
        codes = {}
        for name, seeds in of_kind("streams", streams, "a mapping of names to seeds", Mapping).items():
            code, _ = pd.factorize(np.asarray(seeds).ravel())
            if code.size != n:
                raise UserError(f'stream "{name}": {code.size} seeds for {n} pairs: must be one for each')
            if (code < 0).any():
                raise UserError(f'stream "{name}": seed {int(np.argmax(code < 0)) + 1} is empty')
            codes[str(name)] = code
        values = {name: int(code.max(initial=-1)) + 1 for name, code in codes.items()}
        sampled = [name for name in codes if values[name] >= FEWEST_VALUES]
        averaged = [name for name in codes if 1 < values[name] < FEWEST_VALUES]
        said = f"over {' and '.join(sampled) or 'no stream'}"
        if averaged:
            said += f", for these values of {' and '.join(averaged)}"
        counts = ", ".join(f"{name} has {k}" for name, k in values.items()) or "there are none"
        too_few = "" if sampled else f"no interval: no stream has the {FEWEST_VALUES} values needed ({counts})"
        df = float(min((values[name] for name in sampled), default=1) - 1)
        return cls(tuple(codes[name] for name in sampled), df, said, too_few)

    def se(self, influence: Floats) -> float:
        return math.sqrt(float(clustered_variance(influence[None, :], self.sampled)[0]))

    def half_width(self, se: float, level: float) -> float:
        return float(stats.t.isf((1 - level) / 2, self.df)) * se

    def p(self, t: float) -> float:
        return min(float(2 * stats.t.sf(abs(t), self.df)), 1.0)
