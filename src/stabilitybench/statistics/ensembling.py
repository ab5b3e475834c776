"""Ensembles of seeds: the mean of the predictions of several runs, against the runs alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Floats, sample


@dataclass(frozen=True)
class SeedEnsembles:
    """Ensembles of `size` runs against single runs; one ensemble costs `size` trainings and as many passes to predict.

    mean, sd : of an ensemble's score; sd is None where there are not two disjoint groups.  single_mean, single_sd : of
    the runs alone (sd None below two runs).  groups : disjoint groups in each partition.
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
    r"""Return how the mean prediction of `size` runs scores, over random disjoint groups of the runs.

    outputs : (runs, rows, columns), probabilities or logits, or predicted numbers in one column.  score : the score of
    the mean (rows, columns) of a group, or of a run's own.  The n runs are parted at random into floor(n / size)
    groups, `partitions` times.  The mean is over all groups; the variance is that between the groups of one
    partition (ddof = 1), averaged over partitions.  Groups that share no run are independent, so both are free of
    bias for runs that are; groups drawn with overlap would show too small an SD.  Where the score is linear in the
    outputs the variance tends to that of the runs over `size`.

    As recalled, this is the full ensemble that Pecher et al. 2024 (arXiv:2406.12471) set beside their cheaper ones: the
    mean prediction of runs that differ in their seeds.

    Raises UserError for outputs that are no finite (runs, rows, columns) array, a size outside 1 to n, or fewer than 1
    partition.

    >>> outputs = np.random.default_rng(0).normal(size=(20, 50, 2))
    >>> found = seed_ensembles(outputs, lambda mean: float(mean[:, 0].mean()), 5, np.random.default_rng(1))
    >>> found.groups, found.sd < found.single_sd
    (4, True)
    """
    values = np.asarray(outputs, dtype=np.float64)
    if values.ndim != 3 or not values.size or not np.isfinite(values).all():
        raise UserError(f"outputs of shape {values.shape}: must be finite numbers of shape (runs, rows, columns)")
    n = len(values)
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 1 <= size <= n:
        raise UserError(f"size = {size}: must be a whole number from 1 to the {n} runs there are")
    if not isinstance(rng, np.random.Generator):
        raise UserError(f"rng = {rng!r:.40}: must be a random generator, as numpy.random.default_rng(seed) gives")
    if partitions < 1:
        raise UserError(f"partitions = {partitions}: must be at least 1")
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
