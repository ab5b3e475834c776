"""Classes: planted margins, Gaussians, noise in labels and features, the tight case.

Every classification generator separates through the origin or not at all: no bias is planted, since the bounds on
linear heads speak of heads without a free bias.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt

from stabilitybench.errors import UserError
from stabilitybench.synthetic.constants import classification_constants
from stabilitybench.synthetic.dataset import Dataset, Floats
from stabilitybench.synthetic.registry import Range, generator

Labels = npt.NDArray[np.int64]
Samples = Annotated[int, Range(2, 1_000_000)]
Features = Annotated[int, Range(1, 100_000)]
Share = Annotated[float, Range(0, 0.5)]
Positive = Annotated[float, Range(0, open=True)]
Relative = Annotated[float, Range(0, 1, open=True)]


@generator("separable-ball")
def separable_ball(
    rng: np.random.Generator, *, n: Samples, d: Features, margin: Relative = 0.2, radius: Positive = 1.0
) -> Dataset:
    """Two classes, uniform in the ball outside a slab: margin `margin * radius` planted along a random direction.

    y <u, x> follows the uniform law on the ball of radius `radius`, conditioned on being at least margin * radius,
    the part orthogonal to u is uniform given it, y is a fair coin.  The true margin exceeds the planted one and is
    measured.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    margin : float, default 0.2
        Planted margin as a share of the radius, in (0, 1).
    radius : float, default 1
        Of the ball.

    Returns
    -------
    Dataset
        With the constant ``planted_margin``.
    """
    y = _coin(rng, n)
    x = _slab(rng, y, _unit(rng, d), margin) * radius
    return _classified("separable-ball", x, y, 2, planted_margin=margin * radius)


@generator("gaussian-classes")
def gaussian_classes(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    separation: Annotated[float, Range(0)] = 4.0,
    minority: Share = 0.5,
) -> Dataset:
    """Two Gaussian classes with unit covariance, means `separation` apart and symmetric about the origin.

    Separable or not as the draw falls: a margin of 0 says that it is not.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    separation : float, default 4
        Distance of the two means, in standard deviations.
    minority : float, default 0.5
        Share of class 1, at most one half; at least one sample of each class.
    """
    y = _shares(rng, n, minority)
    mean = _unit(rng, d) * separation / 2
    x = rng.standard_normal((n, d)) + np.where(y == 1, 1.0, -1.0)[:, None] * mean
    return _classified("gaussian-classes", x, y, 2)


@generator("label-noise")
def label_noise(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    flipped: Share = 0.1,
    margin: Relative = 0.2,
    radius: Positive = 1.0,
) -> Dataset:
    """Ball data with a planted margin, then the share `flipped` of the labels turned over.

    The number of flips is round(flipped n), so that a share has one meaning in every draw.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    flipped : float, default 0.1
        Share of the labels turned over, at most one half.
    margin, radius : float
        As in `separable_ball`, before the flips.

    Returns
    -------
    Dataset
        With the constant ``flips``, their number.

    Raises
    ------
    UserError
        Where the flips leave one class.
    """
    y = _coin(rng, n)
    x = _slab(rng, y, _unit(rng, d), margin) * radius
    turned = rng.permutation(n)[: round(flipped * n)]
    y[turned] = 1 - y[turned]
    if np.ptp(y) == 0:
        raise UserError(f"label-noise: flipped = {flipped:g} left one class among n = {n}: choose another seed")
    return _classified("label-noise", x, y, 2, flips=float(len(turned)))


@generator("heavy-tails")
def heavy_tails(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    freedom: Annotated[float, Range(0.5)] = 2.0,
    margin: Positive = 0.2,
) -> Dataset:
    """Separable classes with Student-t features: the radius is set by a few outliers.

    x = y (margin + |t|) u + t orthogonal to u.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    freedom : float, default 2
        Degrees of freedom of all t, at least 0.5 (1: Cauchy).
    margin : float, default 0.2
        Planted margin, in the unit of x.

    Returns
    -------
    Dataset
        With the constant ``planted_margin``.
    """
    y = _coin(rng, n)
    u = _unit(rng, d)
    tails = rng.standard_t(freedom, (n, d))
    along = np.where(y == 1, 1.0, -1.0) * (margin + np.abs(rng.standard_t(freedom, n)))
    x = tails - np.outer(tails @ u, u) + np.outer(along, u)
    return _classified("heavy-tails", x, y, 2, planted_margin=margin)


@generator("imbalance")
def imbalance(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    minority: Share = 0.1,
    margin: Relative = 0.2,
    radius: Positive = 1.0,
) -> Dataset:
    """Ball data with a planted margin in which class 1 has the share `minority`, at least one sample of each.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    minority : float, default 0.1
        Share of class 1, at most one half.
    margin, radius : float
        As in `separable_ball`.

    Returns
    -------
    Dataset
        With the constants ``planted_margin`` and ``minority_count``.
    """
    y = _shares(rng, n, minority)
    x = _slab(rng, y, _unit(rng, d), margin) * radius
    return _classified("imbalance", x, y, 2, planted_margin=margin * radius, minority_count=float(y.sum()))


@generator("multi-class")
def multi_class(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    classes: Annotated[int, Range(3, 1000)] = 3,
    margin: Relative = 0.1,
    radius: Positive = 1.0,
) -> Dataset:
    """Three or more classes in the ball, split by orthonormal directions with a planted margin.

    With U the (classes, d) orthonormal directions and W = U / sqrt(classes) of unit Frobenius norm, x is
    (radius - m) times a uniform point of the unit ball plus m U_y, where y is the point's highest score and
    m = margin * radius * sqrt(classes): every true class scores margin * radius above all others.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n : int
        Samples, at least `classes`.
    d : int
        Features, at least `classes`.
    classes : int, default 3
        Number of classes, 3 to 1000.
    margin : float, default 0.1
        Planted margin as a share of the radius, below 1 / sqrt(classes).
    radius : float, default 1
        Of the ball.

    Returns
    -------
    Dataset
        With the constant ``planted_margin``.

    Raises
    ------
    UserError
        For too many classes, or too large a margin.
    """
    if classes > min(n, d):
        raise UserError(f"multi-class: classes = {classes}: must be at most n = {n} and d = {d}")
    planted = margin * math.sqrt(classes)
    if planted >= 1:
        raise UserError(f"multi-class: margin = {margin:g}: must be below 1 / sqrt(classes) = {classes**-0.5:.3g}")
    directions = np.linalg.qr(rng.standard_normal((d, classes)))[0].T
    ball = _ball(rng, n, d)
    y = np.argmax(ball @ directions.T, axis=1).astype(np.int64)
    # a class that the draw missed gets one of the first samples, whose point is mirrored into it
    for missing, row in zip(sorted(set(range(classes)) - set(y.tolist())), _spare(y), strict=False):
        best = int(y[row])
        scores = ball[row] @ directions.T
        ball[row] += (scores[best] - scores[missing]) * (directions[missing] - directions[best])
        y[row] = missing
    x = radius * ((1 - planted) * ball + planted * directions[y])
    return _classified("multi-class", x, y, classes, planted_margin=margin * radius)


@generator("orthonormal")
def orthonormal(rng: np.random.Generator, *, n: Samples, d: Features, radius: Positive = 1.0) -> Dataset:
    """Orthogonal samples of equal length, d >= n: the case in which the max-margin bound is tight to sqrt(2).

    Margin = radius / sqrt(n), every sample is a support vector with the same weight 1 / radius^2.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n : int
        Samples.
    d : int
        Features, at least n.
    radius : float, default 1
        Norm of every sample.

    Raises
    ------
    UserError
        For d < n.
    """
    if d < n:
        raise UserError(f"orthonormal: d = {d}: must be at least n = {n}")
    y = _coin(rng, n)
    x = radius * np.linalg.qr(rng.standard_normal((d, n)))[0].T
    return _classified("orthonormal", x, y, 2)


def _classified(name: str, x: Floats, y: Labels, classes: int, **extra: float) -> Dataset:
    constants = classification_constants(x, y, classes) | extra
    return Dataset(name, "classification", x, y, constants, parameters={}, seed=0)


def _unit(rng: np.random.Generator, d: int) -> Floats:
    u = rng.standard_normal(d)
    unit: Floats = u / np.linalg.norm(u)
    return unit


def _ball(rng: np.random.Generator, n: int, d: int) -> Floats:
    """Return n points, uniform in the unit ball."""
    x = rng.standard_normal((n, d))
    ball: Floats = x / np.linalg.norm(x, axis=1, keepdims=True) * rng.random((n, 1)) ** (1 / d)
    return ball


def _slab(rng: np.random.Generator, y: Labels, u: Floats, margin: float) -> Floats:
    """Return points of the unit ball with y <u, x> >= margin, uniform given that."""
    from scipy import special

    n, d = len(y), len(u)
    # for a uniform point of the ball <u, x>^2 is Beta(1/2, (d+1)/2); the upper tail keeps its digits near 1
    half, rest = 0.5, (d + 1) / 2
    tail = special.betainc(rest, half, 1 - margin**2)
    square = 1 - special.betaincinv(rest, half, tail * rng.random(n))
    along = np.clip(np.sqrt(square), margin, 1.0)
    if d == 1:
        return np.outer(np.where(y == 1, along, -along), u)
    # the ball of dimension d-1 orthogonal to u, of radius sqrt(1 - along^2)
    side = rng.standard_normal((n, d))
    side -= np.outer(side @ u, u)
    length = np.sqrt(1 - along**2) * rng.random(n) ** (1 / (d - 1))
    side *= (length / np.linalg.norm(side, axis=1))[:, None]
    slab: Floats = np.outer(np.where(y == 1, along, -along), u) + side
    return slab


def _coin(rng: np.random.Generator, n: int) -> Labels:
    """Return fair labels, with at least one of each class."""
    y = rng.integers(0, 2, n)
    if np.ptp(y) == 0:
        y[0] = 1 - y[0]
    return y


def _shares(rng: np.random.Generator, n: int, minority: float) -> Labels:
    """Return labels of which round(minority n), at least 1, are 1, in random order."""
    y = np.zeros(n, dtype=np.int64)
    y[: max(1, round(minority * n))] = 1
    return rng.permutation(y)


def _spare(y: Labels) -> list[int]:
    """Return rows whose class has other rows too."""
    seen: set[int] = set()
    rows = []
    for row, label in enumerate(y.tolist()):
        if label in seen:
            rows.append(row)
        seen.add(label)
    return rows
