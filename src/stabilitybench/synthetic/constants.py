"""Constants measured on the data after it was drawn, by the plainest exact method."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stabilitybench.synthetic.dataset import Floats


def classification_constants(x: Floats, y: npt.NDArray[np.int64], classes: int) -> dict[str, float]:
    """Return n, d, classes, radius, margin and beta of classification data.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Features.
    y : ndarray, shape (n,)
        Classes 0 .. classes - 1.
    classes : int
        Their number, at least 2.

    Returns
    -------
    dict of str to float
        ``radius`` is max ||x_i||.  ``margin`` is the largest g such that a unit weight matrix scores every true class
        at least g above every other one (two classes: y_i <u, x_i> >= g for a unit vector u); 0 when there is none, or
        none above 1e-7 of the largest row, where rounding decides.  ``beta`` is the largest eigenvalue of X'X / n times
        1/4 (logistic, two classes) or 1/2 (softmax), an upper bound of the curvature of the mean loss.

    Examples
    --------
    >>> found = classification_constants(np.array([[2.0], [-1.0]]), np.array([1, 0]), 2)
    >>> {name: round(value, 4) for name, value in found.items()}
    {'n': 2, 'd': 1, 'classes': 2, 'radius': 2.0, 'margin': 1.0, 'beta': 0.625}
    """
    n, d = x.shape
    gram = np.linalg.norm(x, 2) ** 2 / n
    return {
        "n": n,
        "d": d,
        "classes": classes,
        "radius": float(np.linalg.norm(x, axis=1).max()),
        "margin": _hard_margin(_pairs(x, y, classes)),
        "beta": float(gram) * (0.25 if classes == 2 else 0.5),
    }


def _pairs(x: Floats, y: npt.NDArray[np.int64], classes: int) -> Floats:
    """Return the vectors z with <w, z> > 0 where a sample beats another class: y_i x_i, or (e_y - e_c) (x) x_i."""
    if classes == 2:
        return x * np.where(y == 1, 1.0, -1.0)[:, None]
    rows = []
    for c in range(classes):
        others = y != c
        z = np.zeros((int(others.sum()), classes, x.shape[1]))
        z[np.arange(len(z)), y[others]] = x[others]
        z[:, c] -= x[others]
        rows.append(z.reshape(len(z), -1))
    return np.concatenate(rows)


def _hard_margin(z: Floats) -> float:
    """Return max over unit w of min_i <w, z_i>, or 0 when no w makes all of them positive.

    Least-distance problem by non-negative least squares (Lawson & Hanson 1974, chapter 23): with u >= 0 minimising
    ||sum_i u_i (z_i, 1) - (0, 1)||, the residual is zero exactly when the set is not separable.
    """
    from scipy.optimize import nnls

    scale = np.linalg.norm(z, axis=1).max()
    if scale == 0:
        return 0.0
    system = np.vstack([z.T / scale, np.ones(len(z))])
    target = np.zeros(len(system))
    target[-1] = 1.0
    u, residual = nnls(system, target, maxiter=30 * len(z))
    if residual <= 1e-7:
        return 0.0
    w = z.T @ u
    # the margin that w really has: a claim about the data, not about the solver
    return max(0.0, float((z @ w).min() / np.linalg.norm(w)))
