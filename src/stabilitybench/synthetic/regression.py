"""Convex problems of full tuning: squared loss with a chosen spectrum, regularised losses, a shared minimiser."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from stabilitybench.errors import UserError
from stabilitybench.synthetic.classification import Features, Positive, Samples, gaussian_classes
from stabilitybench.synthetic.constants import classification_constants
from stabilitybench.synthetic.dataset import Dataset, Floats
from stabilitybench.synthetic.registry import Range, generator

NonNegative = Annotated[float, Range(0)]


@generator("quadratic")
def quadratic(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    mu: Positive = 0.1,
    beta: Positive = 1.0,
    distance: NonNegative = 1.0,
    noise: NonNegative = 0.1,
) -> Dataset:
    """Least squares whose mean Hessian X'X / n has eigenvalues from mu to beta, log-spaced, n >= d.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n : int
        Samples, at least d.
    d : int
        Features.
    mu, beta : float, default 0.1 and 1
        Least and largest eigenvalue, 0 < mu <= beta.
    distance : float, default 1
        From the start to the minimiser, in a random direction.
    noise : float, default 0.1
        Standard deviation of the residuals at the minimiser (0: every sample is fitted exactly).

    Returns
    -------
    Dataset
        With start and minimiser.

    Raises
    ------
    UserError
        For n < d or mu > beta.
    """
    if n < d:
        raise UserError(f"quadratic: n = {n}: must be at least d = {d}, or the smallest eigenvalue is 0, not mu")
    _ordered("quadratic", mu, beta)
    left = np.linalg.qr(rng.standard_normal((n, d)))[0]
    right = np.linalg.qr(rng.standard_normal((d, d)))[0]
    eigenvalues = _spectrum(mu, beta, d)
    x = np.sqrt(n) * (left * np.sqrt(eigenvalues)) @ right.T
    minimiser = rng.standard_normal(d)
    residual = noise * rng.standard_normal(n)
    # residuals orthogonal to the columns keep the minimiser where it was put
    residual -= left @ (left.T @ residual)
    start = minimiser + distance * _direction(rng, d)
    constants = _regression_constants(x, 0.0) | {"mu": float(eigenvalues[0]), "beta": float(eigenvalues[-1])}
    y = x @ minimiser + residual
    return _regressed("quadratic", x, y, constants | {"distance": distance}, start, minimiser)


@generator("ridge")
def ridge(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    l2: Positive = 0.1,
    noise: NonNegative = 0.5,
    size: Positive = 1.0,
    signal: NonNegative = 1.0,
) -> Dataset:
    """Ridge regression on Gaussian features: mean of (<w, x> - y)^2 / 2 plus l2 ||w||^2 / 2.

    x ~ N(0, size^2 I / d) and y = <w_true, x> + noise * N(0, 1).

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    l2 : float, default 0.1
        Regularisation, above 0.
    noise : float, default 0.5
        Standard deviation of the targets about their line.
    size : float, default 1
        Root mean square norm of a row, whatever d.
    signal : float, default 1
        ||w_true||.

    Returns
    -------
    Dataset
        With the minimiser in closed form.
    """
    x = rng.standard_normal((n, d)) * (size / np.sqrt(d))
    y = x @ (signal * _direction(rng, d)) + noise * rng.standard_normal(n)
    minimiser = np.asarray(np.linalg.solve(x.T @ x / n + l2 * np.eye(d), x.T @ y / n), dtype=np.float64)
    constants = _regression_constants(x, l2) | {"distance": float(np.linalg.norm(minimiser))}
    return _regressed("ridge", x, y, constants, None, minimiser)


@generator("l2-logistic")
def l2_logistic(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    l2: Positive = 0.1,
    separation: NonNegative = 2.0,
    size: Positive = 1.0,
) -> Dataset:
    """Two Gaussian classes for logistic loss plus l2 ||w||^2 / 2: strongly convex with mu >= l2.

    The rows of "gaussian-classes" times size / sqrt(d).

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n, d : int
        Samples and features.
    l2 : float, default 0.1
        Regularisation, above 0.
    separation : float, default 2
        Distance of the two means before scaling.
    size : float, default 1
        Scale of the rows, whatever d.

    Returns
    -------
    Dataset
        mu is l2, a lower bound for every w; beta is the largest eigenvalue of X'X / (4 n) plus l2, an upper bound.
    """
    data = gaussian_classes(rng, n=n, d=d, separation=separation)
    x = data.x * (size / np.sqrt(d))
    constants = classification_constants(x, data.y, 2)
    constants |= {"l2": l2, "mu": l2, "beta": constants["beta"] + l2}
    return Dataset("l2-logistic", "classification", x, data.y, constants, parameters={}, seed=0)


@generator("overparameterised")
def overparameterised(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Features,
    noise: NonNegative = 0.0,
    distance: NonNegative = 1.0,
) -> Dataset:
    """Least squares with fewer samples than weights (n < d): mu = 0, and gradient descent finds the nearest fit.

    Gaussian features of unit variance.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n : int
        Samples, below d.
    d : int
        Features.
    noise : float, default 0
        Standard deviation of the targets about those of the true weights.
    distance : float, default 1
        From the start to the true weights, in a random direction.

    Returns
    -------
    Dataset
        With the start, and the nearest fit as minimiser; the constant ``distance`` is the one between these two.

    Raises
    ------
    UserError
        For n >= d.
    """
    if n >= d:
        raise UserError(f"overparameterised: n = {n}: must be below d = {d}")
    x = rng.standard_normal((n, d))
    truth = rng.standard_normal(d)
    start = truth + distance * _direction(rng, d)
    y = x @ truth + noise * rng.standard_normal(n)
    nearest = start + np.linalg.lstsq(x, y - x @ start, rcond=None)[0]
    constants = _regression_constants(x, 0.0) | {"mu": 0.0, "distance": float(np.linalg.norm(nearest - start))}
    return _regressed("overparameterised", x, y, constants, start, nearest)


@generator("common-minimiser")
def common_minimiser(
    rng: np.random.Generator,
    *,
    n: Samples,
    d: Annotated[int, Range(1, 1000)],
    mu: Positive = 0.1,
    beta: Positive = 1.0,
    distance: NonNegative = 1.0,
) -> Dataset:
    """Quadratics with one shared minimiser and zero loss there, each Hessian with eigenvalues in [mu, beta].

    Sample j's Hessian has the log-spaced spectrum from mu to beta in its own random basis: the setting in which
    interpolation, smoothness and strong convexity hold for every sample at once.

    Parameters
    ----------
    rng : numpy.random.Generator
        What everything is drawn from.
    n : int
        Samples.
    d : int
        Weights, at most 1000, with n d^2 at most 5e7.
    mu, beta : float, default 0.1 and 1
        Least and largest eigenvalue of every Hessian, 0 < mu <= beta.
    distance : float, default 1
        From the start to the minimiser, in a random direction.

    Returns
    -------
    Dataset
        With start, minimiser and Hessians.

    Raises
    ------
    UserError
        For mu > beta, or Hessians too large to hold.
    """
    _ordered("common-minimiser", mu, beta)
    if n * d * d > 50_000_000:
        raise UserError(f"common-minimiser: n = {n} and d = {d}: n d^2 must be at most 50000000")
    eigenvalues = _spectrum(mu, beta, d)
    bases = np.linalg.qr(rng.standard_normal((n, d, d)))[0]
    hessians = (bases * eigenvalues) @ bases.transpose(0, 2, 1)
    hessians = (hessians + hessians.transpose(0, 2, 1)) / 2
    minimiser = rng.standard_normal(d)
    start = minimiser + distance * _direction(rng, d)
    constants = {
        "n": float(n),
        "d": float(d),
        "mu": float(eigenvalues[0]),
        "beta": float(eigenvalues[-1]),
        "distance": distance,
        # the least gradient bound that holds on the ball between start and minimiser
        "lipschitz": float(eigenvalues[-1]) * distance,
    }
    x = np.tile(minimiser, (n, 1))
    return Dataset(
        "common-minimiser", "quadratics", x, np.zeros(n), constants, {}, 0, start, minimiser, hessians=hessians
    )


def _regression_constants(x: Floats, l2: float) -> dict[str, float]:
    n, d = x.shape
    # singular values, not the eigenvalues of X'X, keep the small end exact
    singular = np.linalg.svd(x, compute_uv=False) ** 2 / n
    smallest = float(singular[-1]) if n >= d else 0.0
    return {
        "n": float(n),
        "d": float(d),
        "radius": float(np.linalg.norm(x, axis=1).max()),
        "l2": l2,
        "mu": smallest + l2,
        "beta": float(singular[0]) + l2,
    }


def _regressed(
    name: str, x: Floats, y: Floats, constants: dict[str, float], start: Floats | None, minimiser: Floats
) -> Dataset:
    return Dataset(name, "regression", x, y, constants, {}, 0, start, minimiser)


def _spectrum(mu: float, beta: float, d: int) -> Floats:
    """Return d eigenvalues, log-spaced, the first exactly mu and the last exactly beta (d = 1: mu)."""
    values = np.geomspace(mu, beta, d)
    return np.asarray(values, dtype=np.float64)


def _ordered(name: str, mu: float, beta: float) -> None:
    if mu > beta:
        raise UserError(f"{name}: mu = {mu:g}: must be at most beta = {beta:g}")


def _direction(rng: np.random.Generator, d: int) -> Floats:
    v = rng.standard_normal(d)
    unit: Floats = v / np.linalg.norm(v)
    return unit
