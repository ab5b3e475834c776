"""Studies that could be: scores of two arms, drawn under stated conditions, for the powers that a plan promises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from stabilitybench.argument_checks import number, whole
from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Floats, is_constant, sample

#: A named shape of the scores, or the scores of a pilot, whose shape is taken.
Shape: TypeAlias = Literal["normal", "t3", "contaminated"] | tuple[float, ...]
SHAPES = ("normal", "t3", "contaminated")

Flags: TypeAlias = npt.NDArray[np.bool_]

_ENTROPY = 5_022_411
#: Studies for up to so many runs per arm: many runs make powers steep in the effect, so that fewer tell them as well.
_STUDIES = ((60, 4_000), (200, 2_000), (1_000, 1_000))
#: No study of more runs per arm is planned; a search that reaches it says so.
MOST_RUNS = _STUDIES[-1][0]
_QUANTILES = 2**16


@dataclass(frozen=True)
class Conditions:
    """What a study is like apart from the difference that is looked for.

    Attributes
    ----------
    correlation : float or None, default 0.0
        Of the two runs of a seed, between -1 and 1 (of their normal scores: with heavy tails Pearson's is nearer to 0);
        None where the arms share no seeds and are not compared in pairs.
    shape : {"normal", "t3", "contaminated"} or tuple of float, default "normal"
        The distribution of the scores in both arms: Student's t with 3 degrees of freedom; normal with a fivefold SD in
        5 % of runs; or scores of a pilot, whose shape is taken.
    sd : float, default 2.0
        SD of the baseline's runs that do not fail, in points.
    rows : int or None, default None
        Test rows of a task scored by accuracy: scores are multiples of 100 / rows points. None for a fine score.
    failures : (float, float), default (0.0, 0.0)
        Failure rates of arm and baseline; the arms fail independently.
    drop : float, default 20.0
        How far below the baseline's mean failed runs score, in points.

    Raises
    ------
    UserError
        For a value out of range.
    """

    correlation: float | None = 0.0
    shape: Shape = "normal"
    sd: float = 2.0
    rows: int | None = None
    failures: tuple[float, float] = (0.0, 0.0)
    drop: float = 20.0

    def __post_init__(self) -> None:
        if self.correlation is not None:
            allowed = "must lie between -1 and 1"
            number("correlation", self.correlation, allowed, lambda rho: -1 < rho < 1)
        if isinstance(self.shape, str):
            if self.shape not in SHAPES:
                raise UserError(f'shape = "{self.shape}": must be {", ".join(SHAPES)}, or the scores of a pilot')
        elif is_constant(sample(self.shape, "pilot")):
            raise UserError(f"pilot: {len(self.shape)} scores without spread; must hold at least two that differ")
        number("sd", self.sd, "must lie above 0 and below 100 points", lambda sd: 0 < sd < 100)
        if self.rows is not None:
            whole("rows", self.rows, "must be at least 2", lambda rows: rows >= 2)
        for rate in self.failures:
            number("failures", rate, "must be a rate between 0 and 1, for example 0.05", lambda share: 0 <= share <= 1)
        number("drop", self.drop, "must lie between 0 and 100 points", lambda drop: 0 <= drop <= 100)

    @property
    def paired(self) -> bool:
        """Whether the runs of a seed are compared with each other."""
        return self.correlation is not None


class Studies(NamedTuple):
    """Scores of many studies, one per row, in points about the mean of the runs that do not fail."""

    arm: Floats
    baseline: Floats
    arm_failed: Flags
    baseline_failed: Flags


def studies_of(n: int) -> int:
    """Return how many studies are simulated for n runs per arm.

    Parameters
    ----------
    n : int
        At most `MOST_RUNS`.
    """
    return next(count for most, count in _STUDIES if n <= most)


def simulated(ratio: float, n: tuple[int, int], conditions: Conditions, count: int) -> Studies:
    """Draw studies whose arms differ by a factor in spread, the same ones each time.

    One more run, another ratio or another rate changes no run that was there, so that powers grow without noise of
    their own, and the first runs of a larger study are those of a smaller one.

    Parameters
    ----------
    ratio : float
        Spread of the arm over that of the baseline.
    n : (int, int)
        Runs of arm and baseline; run i of one belongs to run i of the other.
    conditions : Conditions
        What the scores are like.
    count : int
        How many studies.

    Returns
    -------
    Studies
        Scores of shape (count, n); those of failed runs are there and say what the run would have been.
    """
    arm, baseline = (
        _rounded(factor * _standard(runs, side, conditions, count), conditions.rows, side)
        for side, (runs, factor) in enumerate(zip(n, (ratio * conditions.sd, conditions.sd), strict=True))
    )
    failed = tuple(
        _uniform(runs, side, count) < rate for side, (runs, rate) in enumerate(zip(n, conditions.failures, strict=True))
    )
    return Studies(arm, baseline, failed[0], failed[1])


@lru_cache(maxsize=8)
def _normal(n: int, stream: int, count: int) -> Floats:
    # one more run adds a row
    return _generator(stream).standard_normal((n, count)).T


@lru_cache(maxsize=8)
def _uniform(n: int, side: int, count: int) -> Floats:
    return _generator(2 + side).random((n, count)).T


def _generator(stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(_ENTROPY, spawn_key=(stream,)))


def _standard(n: int, side: int, conditions: Conditions, count: int) -> Floats:
    """Return scores of SD 1; the baseline (side 1) has the shared part, the arm mixes it with one of its own."""
    z = _normal(n, 1, count)
    if side == 0:
        rho = conditions.correlation or 0.0
        z = rho * z + np.sqrt(1 - rho * rho) * _normal(n, 0, count)
    if conditions.shape == "normal":
        return z
    place = (special.ndtr(z) * _QUANTILES).astype(np.intp)
    found: Floats = _quantiles(conditions.shape)[np.minimum(place, _QUANTILES - 1)]
    return found


@lru_cache(maxsize=8)
def _quantiles(shape: Shape) -> Floats:
    """Return the quantiles of a shape at equal steps, with mean 0 and SD 1."""
    u = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    if shape == "t3":
        found = np.asarray(special.stdtrit(3, u))
    elif shape == "contaminated":
        x = np.linspace(-30, 30, 60_001)
        found = np.interp(u, 0.95 * special.ndtr(x) + 0.05 * special.ndtr(x / 5), x)
    else:
        values = np.sort(np.asarray(shape, dtype=np.float64))
        found = values[(u * len(values)).astype(np.intp)]
    centred = found - found.mean()
    scaled: Floats = centred / centred.std()
    return scaled


def _rounded(scores: Floats, rows: int | None, side: int) -> Floats:
    """Return scores on the grid that so many test rows allow; where the mean lies between two points is drawn."""
    if rows is None:
        return scores
    step = 100 / rows
    shift = _generator(4 + side).random((len(scores), 1))
    on_grid: Floats = np.floor(scores / step + shift) * step
    return on_grid
