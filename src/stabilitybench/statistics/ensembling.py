"""Ensembles of seeds: the mean of the predictions of several runs, against the runs alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stabilitybench.argument_checks import count, generator, whole
from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.results import MOST_DRAWS, Floats, reals, sample


@dataclass(frozen=True)
class SeedEnsembles:
    """Ensembles of runs against single runs; one ensemble costs `size` trainings and as many passes to predict.

    Attributes
    ----------
    size : int
        Runs in an ensemble.
    groups : int
        Disjoint groups in each partition.
    mean : float
        Mean score of an ensemble.
    sd : float or None
        SD of an ensemble's score; None where there are not two disjoint groups.
    single_mean : float
        Mean score of the runs alone.
    single_sd : float or None
        SD of the runs alone; None below two runs.
    """

    size: int
    groups: int
    mean: float
    sd: float | None
    single_mean: float
    single_sd: float | None


def seed_ensembles(
    outputs: npt.ArrayLike,
    score: Callable[[Floats], float],
    size: int,
    rng: np.random.Generator,
    partitions: int = 100,
) -> SeedEnsembles:
    """Return how the mean prediction of several runs scores, over random disjoint groups of the runs.

    The n runs are parted at random into floor(n / size) groups, `partitions` times. The mean is over all groups; the
    variance is that between the groups of one partition (ddof = 1), averaged over partitions. Groups that share no run
    are independent, so both are free of bias for runs that are; groups drawn with overlap would show too small an SD.
    Where the score is linear in the outputs the variance tends to that of the runs over `size`.

    As recalled, this is the full ensemble that Pecher et al. [1]_ set beside their cheaper ones: the mean prediction of
    runs that differ in their seeds.

    Parameters
    ----------
    outputs : array_like, shape (runs, rows, columns)
        Probabilities or logits, or predicted numbers in one column.
    score : callable
        Maps the mean (rows, columns) of a group, or a run's own, to a score.
    size : int
        Runs in an ensemble, from 1 to n.
    rng : numpy.random.Generator
        Draws the partitions.
    partitions : int, default 100
        How many, at least 1.

    Returns
    -------
    SeedEnsembles
        The two side by side.

    Raises
    ------
    UserError
        For outputs that are no finite array of this shape, a size or partitions out of range.

    References
    ----------
    .. [1] Pecher et al. (2024), arXiv:2406.12471.

    Examples
    --------
    >>> outputs = np.random.default_rng(0).normal(size=(20, 50, 2))
    >>> found = seed_ensembles(outputs, lambda mean: float(mean[:, 0].mean()), 5, np.random.default_rng(1))
    >>> found.groups, found.sd < found.single_sd
    (4, True)
    """
    values = reals(outputs, "outputs", "must be finite numbers of shape (runs, rows, columns)")
    if values.ndim != 3 or not values.size or not np.isfinite(values).all():
        raise UserError(f"outputs of shape {values.shape}: must be finite numbers of shape (runs, rows, columns)")
    n = len(values)
    whole("size", size, f"must be from 1 to the {n} runs there are", lambda runs: 1 <= runs <= n)
    generator("rng", rng)
    count("partitions", partitions, 1, MOST_DRAWS)
    if not callable(score):
        raise UserError(Argument("score", score), ": must be a function")
    single = sample([score(run) for run in values], "score")
    groups = n // size
    found = np.empty((partitions, groups))
    for row in found:
        members = rng.permutation(n)[: groups * size].reshape(groups, size)
        row[:] = [score(values[group].mean(axis=0)) for group in members]
    found = sample(found.ravel(), "score").reshape(partitions, groups)
    sd = float(np.sqrt(found.var(axis=1, ddof=1).mean())) if groups > 1 else None
    spread = float(single.std(ddof=1)) if n > 1 else None
    return SeedEnsembles(int(size), groups, float(found.mean()), sd, float(single.mean()), spread)
