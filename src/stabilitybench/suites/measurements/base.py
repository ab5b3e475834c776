"""What a kind of measurement is, and what several of them need."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stabilitybench.seeds import ROOT
from stabilitybench.suites.measurements.settings import Settings
from stabilitybench.synthetic import Dataset
from stabilitybench.theory import max_margin
from stabilitybench.theory.bounds import Bound, published_head_tuning

Floats = npt.NDArray[np.float64]

QUANTITIES = {
    "data": "average over i of the distance without sample i, same start",
    "worst": "largest distance without one sample, same start",
    "seed": "mean distance between starts, same samples",
    "max-margin": "distance of the head's direction from the max-margin direction",
    "flips": "share of the samples whose predicted class changes without sample i, average over i",
}


@dataclass(frozen=True, eq=False)
class MeasuredBound:
    """A bound beside what it bounds.

    Attributes
    ----------
    bound : Bound
        As computed.
    measured : ndarray, shape () or (n,)
        What it bounds: one number, or one for each left-out sample.
    """

    bound: Bound
    measured: Floats


@dataclass(frozen=True)
class Kind:
    """A kind of measurement.

    Attributes
    ----------
    name : str
        What suite files call it.
    unfit : callable
        Says why a dataset cannot be measured in this way; empty where it can.
    measure : callable
        Returns the measured quantities, named as in `QUANTITIES`, and what the bounds need of the measurement.
    bounds : mapping of str to callable
        For each name that a suite file may list, what makes the bound from that.
    """

    name: str
    unfit: Callable[[Dataset, Settings], str]
    measure: Callable[[Dataset, Settings], tuple[dict[str, float], Any]]
    bounds: Mapping[str, Callable[[Any], MeasuredBound]]


def start_generator(data: Dataset) -> np.random.Generator:
    """Return what draws the starts: the same draws for every setting of a dataset's seed.

    Parameters
    ----------
    data : Dataset
        The dataset.
    """
    sequence = np.random.SeedSequence(ROOT, spawn_key=(zlib.crc32(b"starts"), data.seed))
    return np.random.Generator(np.random.PCG64(sequence))


def radius(data: Dataset) -> float:
    """Return the norm of the longest row.

    Parameters
    ----------
    data : Dataset
        The dataset.
    """
    return float(data.constants["radius"])


def favourable_p2(data: Dataset, steps: int) -> Bound:
    """Return P2 with its most favourable constants.

    No direction term; n lambda = 1 / max alpha, the largest value for which the soft- and the hard-margin solution are
    the same; nu = gamma, which turns a distance of weights into one of directions.

    Parameters
    ----------
    data : Dataset
        The dataset.
    steps : int
        Of gradient descent; fewer than 3 count as 3.
    """
    solution = max_margin(data.x, data.y)
    lam = 1 / (data.n * float(solution.alpha.max()))
    return published_head_tuning(
        n=data.n, steps=max(steps, 3), radius=radius(data), margin=solution.margin, c=0.0, lam=lam, nu=solution.margin
    )
