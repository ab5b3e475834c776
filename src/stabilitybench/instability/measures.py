"""The instability measures side by side, and whether they agree: an SD can be small while predictions differ."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from stabilitybench.errors import UserError
from stabilitybench.instability.disagreement import class_shares, disagreement_matrix, jensen_shannon_matrix
from stabilitybench.statistics.results import Floats, sample

Correlation = Literal["pearson", "spearman", "kendall"]


def instability_measures(
    scores: npt.ArrayLike, predictions: npt.ArrayLike, probabilities: npt.ArrayLike | None = None
) -> pd.Series[float]:
    """Return the measures of one group of runs.

    Each measure is 0 where it sees no instability.

    Parameters
    ----------
    scores : array_like, shape (runs,)
        One per run, in any unit.
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.
    probabilities : array_like, shape (runs, examples, classes), optional
        As in `jensen_shannon_matrix`.

    Returns
    -------
    pandas.Series
        sd, disagreement, one_minus_kappa and, with probabilities, jsd (in nats). one_minus_kappa is NaN where every run
        predicts one and the same class for all examples, where kappa is undefined.

    Raises
    ------
    UserError
        For arrays of another shape, or of different numbers of runs.

    Examples
    --------
    >>> instability_measures([0.75, 1.0, 0.5], [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]).round(3).to_dict()
    {'sd': 0.25, 'disagreement': 0.333, 'one_minus_kappa': 0.889}
    """
    group = _Group(scores, predictions, probabilities)
    return group.measured(np.ones((1, group.runs))).iloc[0]


def spreads_and_agreements(
    groups: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], rng: np.random.Generator, draws: int = 300
) -> tuple[list[float], list[float]]:
    """Return the SD of each group of runs, and how far SD and pairwise disagreement agree in it (Du & Nguyen 2023).

    The agreement is Pearson's correlation over bootstrap samples of the group's runs.  Groups without any spread, or
    with too few samples that vary, are left out.

    Parameters
    ----------
    groups : mapping of str to tuple of array_like
        For each the predicted classes [runs, examples] and the scores [runs].
    rng : numpy.random.Generator
        Draws the bootstrap samples.
    draws : int, default 300
        How many for each group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> group = rng.integers(0, 2, (20, 30)), rng.normal(size=20)
    >>> spreads, agreements = spreads_and_agreements({"a": group}, rng)
    >>> len(spreads), -1 <= agreements[0] <= 1
    (1, True)
    """
    spreads, agreements = [], []
    for predicted, given in groups.values():
        scores = sample(given, "scores")
        if len(scores) < 3 or np.ptp(scores) == 0:
            continue
        both = bootstrap_measures(scores, predicted, rng, draws=draws)[["sd", "disagreement"]].dropna()
        if len(both) < 100 or both.nunique().min() < 3:
            continue
        spreads.append(float(scores.std(ddof=1)))
        agreements.append(float(np.corrcoef(both.to_numpy(np.float64).T)[0, 1]))
    return spreads, agreements


def bootstrap_measures(
    scores: npt.ArrayLike, predictions: npt.ArrayLike, rng: np.random.Generator,
    probabilities: npt.ArrayLike | None = None, draws: int = 1000,
) -> pd.DataFrame:  # fmt: skip
    """Return the measures of bootstrap samples of the runs.

    Runs are drawn with replacement. A run is not set against its own copy, which would agree with it by arithmetic;
    samples that hold one run only are drawn again. Du & Nguyen [1]_ correlate the measures over such samples.

    Parameters
    ----------
    scores : array_like, shape (runs,)
        One per run, in any unit; at least 4.
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.
    rng : numpy.random.Generator
        Draws the samples.
    probabilities : array_like, shape (runs, examples, classes), optional
        As in `jensen_shannon_matrix`.
    draws : int, default 1000
        Bootstrap samples, in [1, 100000].

    Returns
    -------
    pandas.DataFrame
        One row per sample, columns as in `instability_measures`.

    Raises
    ------
    UserError
        Below 4 runs, for draws out of range or what `instability_measures` refuses.

    References
    ----------
    .. [1] Du & Nguyen (2023), ACL, arXiv:2302.07778.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bootstrap_measures(rng.normal(size=5), rng.integers(0, 2, (5, 30)), rng, draws=200).shape
    (200, 3)
    """
    if not 1 <= draws <= 100_000:
        raise UserError(f"draws = {draws}: must lie between 1 and 100000")
    group = _Group(scores, predictions, probabilities)
    if group.runs < 4:
        raise UserError(f"bootstrap of the measures: {group.runs} runs; needs at least 4")
    weights = np.empty((0, group.runs))
    while len(weights) < draws:
        drawn = rng.multinomial(group.runs, np.full(group.runs, 1 / group.runs), size=draws - len(weights))
        weights = np.concatenate([weights, drawn[(drawn > 0).sum(axis=1) > 1]])
    return group.measured(weights)


def measure_agreement(measures: pd.DataFrame, method: Correlation = "pearson") -> pd.DataFrame:
    """Return how far each pair of measures orders its rows alike.

    Parameters
    ----------
    measures : pandas.DataFrame
        One row per group of runs (a task and an arm) or per bootstrap sample, one column per measure, at least 2. Rows
        that lack one of the two measures are left out of that pair.
    method : {"pearson", "spearman", "kendall"}, default "pearson"
        The correlation.

    Returns
    -------
    pandas.DataFrame
        One row per pair: first, second, n (rows that remain), correlation, note. correlation is NaN, with a note, for a
        measure that does not vary or fewer than 3 rows.

    Raises
    ------
    UserError
        For another method or fewer than 2 measures.

    Examples
    --------
    >>> table = pd.DataFrame({"sd": [1.0, 2.0, 3.0, 4.0], "disagreement": [0.1, 0.4, 0.3, 0.6]})
    >>> measure_agreement(table, "spearman")["correlation"].round(2).tolist()
    [0.8]
    """
    if method not in ("pearson", "spearman", "kendall"):
        raise UserError(f'method = "{method}": must be pearson, spearman or kendall')
    if len(measures.columns) < 2:
        raise UserError(f"measures: {len(measures.columns)} column; needs at least 2 measures")
    rows = []
    for first, second in combinations(measures.columns, 2):
        both = measures[[first, second]].dropna()
        flat = [str(name) for name in (first, second) if both[name].nunique() < 2]
        note = f"{' and '.join(flat)} does not vary" if flat else ""
        if len(both) < 3:
            note = f"{len(both)} rows, fewer than 3"
        value = float("nan") if note else float(both[first].corr(both[second], method=method))
        rows.append({"first": first, "second": second, "n": len(both), "correlation": value, "note": note})
    return pd.DataFrame(rows)


class _Group:
    """Runs of one group, reduced to what every weighting of them needs."""

    def __init__(self, scores: npt.ArrayLike, predictions: npt.ArrayLike, probabilities: npt.ArrayLike | None) -> None:
        self.scores = sample(scores, "scores")
        self.runs = len(self.scores)
        self.matrices = {"disagreement": disagreement_matrix(predictions)}
        self.shares = class_shares(predictions)
        if probabilities is not None:
            self.matrices["jsd"] = jensen_shannon_matrix(probabilities)
        for name, matrix in self.matrices.items():
            if len(matrix) != self.runs:
                raise UserError(f"{name}: {len(matrix)} runs beside {self.runs} scores; must be the same runs")

    def measured(self, weights: Floats) -> pd.DataFrame:
        """Return the measures for each row of weights, which say how often each run counts."""
        total = weights.sum(axis=1)
        mean = weights @ self.scores / total
        square = np.sum(weights * (self.scores[None, :] - mean[:, None]) ** 2, axis=1)
        pairs = total**2 - np.sum(weights**2, axis=1)
        found = {
            name: np.einsum("bi,ij,bj->b", weights, matrix, weights) / pairs for name, matrix in self.matrices.items()
        }
        chance = np.sum((weights @ self.shares / total[:, None]) ** 2, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = found["disagreement"] / (1 - chance)  # (1 - P) / (1 - P_e) = 1 - kappa
        table = {
            "sd": np.sqrt(square / (total - 1)),
            "disagreement": found["disagreement"],
            "one_minus_kappa": np.where(chance < 1 - 1e-12, distance, np.nan),
        }
        return pd.DataFrame(table | {name: column for name, column in found.items() if name == "jsd"})
