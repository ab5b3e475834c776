"""Two crossed factors, such as initialisation and data order: does one matter, and do both contribute alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from stabilitybench.errors import UserError
from stabilitybench.statistics.decisions import ALPHA, POWER


@dataclass(frozen=True)
class MeanSquare:
    """A mean square and its degrees of freedom."""

    value: float
    df: int


@dataclass(frozen=True)
class CrossedSquares:
    """The analysis of variance of a crossed design with one run in each cell.

    Attributes
    ----------
    rows, columns : MeanSquare
        The two factors.
    rest : MeanSquare
        Their interaction, which holds the error, too.
    """

    rows: MeanSquare
    columns: MeanSquare
    rest: MeanSquare


@dataclass(frozen=True)
class FactorEffect:
    """The SD of a factor's effects over that of what is left.

    Attributes
    ----------
    estimate, low, high : float
        That ratio, 0 for none, with its 95 % interval.
    p : float
        Of the F test that there is no effect.
    repeats : int
        Runs per level.
    df, df_rest : int
        Degrees of freedom of the factor and of the rest.
    """

    estimate: float
    low: float
    high: float
    p: float
    repeats: int
    df: int
    df_rest: int

    def power(self, effect: float, alpha: float = ALPHA) -> float:
        """Return the chance that the F test sees an effect of this size, for normal effects.

        Parameters
        ----------
        effect : float
            SD of the factor's effects over that of what is left.
        alpha : float, default 0.05
            Level of the test, in (0, 1).
        """
        critical = float(stats.f.isf(alpha, self.df, self.df_rest))
        return float(stats.f.sf(critical / (1 + self.repeats * effect**2), self.df, self.df_rest))

    def detectable(self, alpha: float = ALPHA, power: float = POWER) -> float | None:
        """Return the effect that is seen with the chance `power`, to a hundredth; None above 5.

        Parameters
        ----------
        alpha : float, default 0.05
            Level of the test, in (0, 1).
        power : float, default 0.8
            Chance to see it, in (0, 1).
        """
        grid = np.linspace(0, 5, 501)
        return next((float(d) for d in grid if self.power(float(d), alpha) >= power), None)


@dataclass(frozen=True)
class FactorRatio:
    """The root mean square of one factor over that of another.

    Attributes
    ----------
    squares : float
        The ratio of the mean squares themselves.
    low, high : float
        The 95 % interval of `estimate`.
    df : tuple of int
        Degrees of freedom of both.
    """

    squares: float
    low: float
    high: float
    df: tuple[int, int]

    @property
    def estimate(self) -> float:
        """The ratio of the root mean squares."""
        return math.sqrt(self.squares)

    def equivalence_p(self, margin: float) -> float:
        """Return the p-value of two one-sided F tests that the ratio lies between ``1 / margin`` and `margin`.

        Parameters
        ----------
        margin : float
            Above 1, a ratio of root mean squares.
        """
        bound = margin**2
        below, above = stats.f.cdf(self.squares / bound, *self.df), stats.f.sf(self.squares * bound, *self.df)
        return max(float(below), float(above))

    def equivalence_power(self, margin: float, alpha: float = ALPHA) -> float:
        """Return the chance that these tests show factors that contribute exactly alike to do so.

        Parameters
        ----------
        margin : float
            Above 1, a ratio of root mean squares.
        alpha : float, default 0.05
            Level of each of the two tests, in (0, 1).
        """
        return _shown_alike(margin**2, self.df, alpha)

    def equivalence_margin(self, alpha: float = ALPHA, power: float = POWER) -> float | None:
        """Return the margin within which they are shown with the chance `power`; None above 100.

        Parameters
        ----------
        alpha : float, default 0.05
            Level of each of the two tests, in (0, 1).
        power : float, default 0.8
            Chance to show it, in (0, 1).
        """
        grid = np.geomspace(1.01, 100, 400)
        return next((float(m) for m in grid if self.equivalence_power(float(m), alpha) >= power), None)


def mean_squares(scores: npt.ArrayLike) -> CrossedSquares:
    """Return the mean squares of rows, columns and their interaction.

    Parameters
    ----------
    scores : array_like
        One run for each combination, [levels of the first factor, levels of the second], at least 2 x 2.

    Raises
    ------
    UserError
        For other shapes, or scores that are not finite.

    Examples
    --------
    >>> mean_squares([[1.0, 1.0], [3.0, 3.0]]).rows
    MeanSquare(value=4.0, df=1)
    """
    x = np.asarray(scores, np.float64)
    if x.ndim != 2 or min(x.shape) < 2 or not np.isfinite(x).all():
        raise UserError(f"crossed scores of shape {x.shape}: must be at least 2 x 2, all finite")
    a, b = x.shape
    rows, columns = x.mean(axis=1), x.mean(axis=0)
    rest = x - rows[:, None] - columns[None, :] + x.mean()
    return CrossedSquares(
        MeanSquare(float(b * rows.var(ddof=1)), a - 1),
        MeanSquare(float(a * columns.var(ddof=1)), b - 1),
        MeanSquare(float((rest**2).sum()) / ((a - 1) * (b - 1)), (a - 1) * (b - 1)),
    )


def factor_effect(scores: npt.ArrayLike, factor: int) -> FactorEffect | None:
    """Return the effect of one factor, with its F test against the interaction; None where nothing is left over.

    Parameters
    ----------
    scores : array_like
        As in `mean_squares`.
    factor : int
        0 for the rows, 1 for the columns.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = factor_effect(rng.normal(size=(8, 1)) + 0.1 * rng.normal(size=(8, 6)), 0)
    >>> found.p < 0.001 < factor_effect(rng.normal(size=(8, 6)), 0).p
    True
    """
    found = mean_squares(scores)
    square, rest = (found.rows, found.columns)[factor], found.rest
    if rest.value == 0:
        return None
    f, repeats = square.value / rest.value, np.shape(scores)[1 - factor]

    def of(ratio: float) -> float:
        return math.sqrt(max(0.0, ratio - 1) / repeats)

    low, high = (f / float(stats.f.isf(q, square.df, rest.df)) for q in (ALPHA / 2, 1 - ALPHA / 2))
    p = float(stats.f.sf(f, square.df, rest.df))
    return FactorEffect(of(f), of(low), of(high), p, repeats, square.df, rest.df)


def factor_ratio(squares: CrossedSquares) -> FactorRatio | None:
    """Return how the two factors compare; None where one has no effect at all.

    Their mean squares are independent, so that the ratio has an F interval (normal effects).

    Parameters
    ----------
    squares : CrossedSquares
        As `mean_squares` returns them.

    Examples
    --------
    >>> found = factor_ratio(mean_squares(np.random.default_rng(0).normal(size=(9, 7))))
    >>> found.low < found.estimate < found.high
    True
    """
    first, second = squares.rows, squares.columns
    if first.value == 0 or second.value == 0:
        return None
    ratio, df = first.value / second.value, (first.df, second.df)
    low, high = (ratio / float(stats.f.isf(q, *df)) for q in (ALPHA / 2, 1 - ALPHA / 2))
    return FactorRatio(ratio, math.sqrt(low), math.sqrt(high), df)


def _shown_alike(bound: float, df: tuple[int, int], alpha: float) -> float:
    edges = [float(stats.f.isf(1 - alpha, *df)) * bound, float(stats.f.isf(alpha, *df)) / bound]
    return max(0.0, float(stats.f.cdf(edges[0], *df) - stats.f.cdf(edges[1], *df)))
