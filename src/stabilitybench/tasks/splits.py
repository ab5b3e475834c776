"""Splitting a labelled development set once into a validation and a test half.

GLUE keeps its test labels private, so studies of fine-tuning halve the development set (Zhang et al. 2021):
one half chooses, the other reports.  The halves are the same in every study: the split has a seed of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stabilitybench.tasks.base import Kind, Split

#: Seed of the one split; changing it would change every score on a halved development set.
SPLIT_SEED = 1


def halves(
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float64], kind: Kind
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the row numbers of the validation and the test half, ascending.

    Classification: each class is shuffled, its first floor(n / 2) rows validate and the rest test. Regression: rows are
    sorted by score, and a coin sends one of each neighbouring pair to validation; an odd last row tests.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,)
        Class indices, or scores under regression.
    kind : {"classification", "regression"}
        What the labels are.

    Returns
    -------
    validation : numpy.ndarray, shape (v,)
        Rows that validate.
    test : numpy.ndarray, shape (n - v,)
        All others.

    Examples
    --------
    >>> validation, test = halves(np.array([0] * 5 + [1] * 4), "classification")
    >>> len(validation), len(test)
    (4, 5)
    """
    rng = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    if kind == "regression":
        order = np.argsort(labels, kind="stable")
        pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
        chosen = pairs[np.arange(len(pairs)), rng.integers(2, size=len(pairs))]
    else:
        shuffled = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
        chosen = np.concatenate([rows[: len(rows) // 2] for rows in shuffled])
    validation = np.sort(chosen)
    return validation, np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)


def split_dev(dev: Split, kind: Kind) -> tuple[Split, Split]:
    """Return the validation and the test half of a labelled development set (see `halves`).

    Parameters
    ----------
    dev : Split
        Labelled rows.
    kind : {"classification", "regression"}
        What the labels are.

    Returns
    -------
    validation : Split
        The half that chooses.
    test : Split
        The half that reports.
    """
    validation, test = halves(dev.labels, kind)
    return dev.take(validation), dev.take(test)
