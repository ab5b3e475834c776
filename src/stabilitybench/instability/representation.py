"""How far the representations of two runs differ, whatever the basis each of them is written in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Floats


def cka_distance(first: npt.ArrayLike, second: npt.ArrayLike, debiased: bool = True) -> float:
    r"""Return 1 - linear CKA of two feature matrices of the same examples.

    Unchanged by shifts, rotations and a common scale of either matrix. Debiased, it takes the unbiased estimator of
    HSIC, :math:`HSIC_1` of Song et al. [1]_, as Du & Nguyen [2]_ do; that is 0 on average for unrelated features.
    Otherwise it is :math:`1 - \|X^T Y\|_F^2 / (\|X^T X\|_F \|Y^T Y\|_F)` with centred X, Y [3]_; with more columns than
    rows unrelated features then look alike.

    Parameters
    ----------
    first, second : array_like, shape (rows, width)
        Features, at least 4 rows (3 without `debiased`); widths may differ.
    debiased : bool, default True
        Which of the two estimators is taken.

    Returns
    -------
    float
        Debiased, about 1 for unrelated features, and it can lie above 1; otherwise in [0, 1].

    Raises
    ------
    UserError
        For another shape, features that are not finite or do not vary over the rows.

    References
    ----------
    .. [1] Song et al. (2012), JMLR 13:1393-1434.
    .. [2] Du & Nguyen (2023), ACL, arXiv:2302.07778.
    .. [3] Kornblith et al. (2019), ICML.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0], [4.0, 1.0], [3.0, 5.0]])
    >>> turned = x @ np.array([[0.6, -0.8], [0.8, 0.6]]) * 3 + 7
    >>> abs(round(cka_distance(x, turned), 6))
    0.0
    """
    x, y = _pair(first, second, 4 if debiased else 3)
    if not debiased:
        cross = float(np.sum((x.T @ y) ** 2))
        return max(0.0, 1 - cross / float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))
    k, m = _u_centred(x), _u_centred(y)
    own, other = float(np.sum(k * k)), float(np.sum(m * m))
    if min(own, other) <= 0:
        raise UserError("features: too few distinct rows for the debiased CKA; use debiased=False or more rows")
    return max(0.0, 1 - float(np.sum(k * m)) / float(np.sqrt(own) * np.sqrt(other)))


def procrustes_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    r"""Return the orthogonal Procrustes distance of two feature matrices of the same examples, in [0, 1].

    :math:`1 - \|\tilde X^T \tilde Y\|_*` with :math:`\tilde X, \tilde Y` centred and scaled to Frobenius norm 1 [1]_
    [2]_: half of :math:`\min_Q \|\tilde X Q - \tilde Y\|_F^2` over orthogonal Q. Unchanged by shifts, rotations and a
    common scale of either matrix. The narrower matrix is padded with zeros. With more columns than rows unrelated
    features look alike.

    Parameters
    ----------
    first, second : array_like, shape (rows, width)
        Features, at least 2 rows; widths may differ.

    Raises
    ------
    UserError
        As in `cka_distance`.

    References
    ----------
    .. [1] Du & Nguyen (2023), ACL, arXiv:2302.07778.
    .. [2] Ding, Denain & Steinhardt (2021), NeurIPS.

    Examples
    --------
    >>> round(procrustes_distance([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]], [[1.0], [-2.0], [1.0]]), 6)
    1.0
    """
    from scipy.linalg import orthogonal_procrustes

    x, y = _pair(first, second, 2)
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(a / np.linalg.norm(a), ((0, 0), (0, width - a.shape[1]))) for a in (x, y))
    _, nuclear_norm = orthogonal_procrustes(x, y)
    return min(max(1 - float(nuclear_norm), 0.0), 1.0)


def svcca_distance(first: npt.ArrayLike, second: npt.ArrayLike, share: float = 0.99) -> float:
    """Return the SVCCA distance of two feature matrices of the same examples, in [0, 1].

    Each centred matrix keeps its leading singular directions while their singular values add up to at most `share` of
    the total (one at least); the distance is 1 - the mean of the canonical correlations of the two subspaces, as many
    as the smaller has directions [1]_. (The code of Du & Nguyen [2]_ takes the singular directions before centring.)
    Unchanged by shifts, rotations and a common scale of either matrix.

    Where the directions kept add up to more than rows - 1, the subspaces meet by arithmetic alone and the distance is
    too small: give more rows or a smaller `share`.

    Parameters
    ----------
    first, second : array_like, shape (rows, width)
        Features, at least 2 rows; widths may differ.
    share : float, default 0.99
        Part of the singular values that is kept, in (0, 1].

    Raises
    ------
    UserError
        As in `cka_distance`, and for a share out of this range.

    References
    ----------
    .. [1] Raghu et al. (2017), NeurIPS.
    .. [2] Du & Nguyen (2023), ACL, arXiv:2302.07778.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 3.0], [4.0, 1.0], [3.0, 5.0]])
    >>> round(svcca_distance(x, 2 * x[:, ::-1] + 1), 6)
    0.0
    """
    if not 0 < share <= 1:
        raise UserError(f"share = {share}: must lie in (0, 1]")
    x, y = _pair(first, second, 2)
    correlations = np.linalg.svd(_leading(x, share).T @ _leading(y, share), compute_uv=False)
    return min(max(1 - float(np.mean(np.minimum(correlations, 1.0))), 0.0), 1.0)


#: The three distances of Du & Nguyen (2023) by name.
DISTANCES: dict[str, Callable[[npt.ArrayLike, npt.ArrayLike], float]] = {
    "cka": cka_distance,
    "procrustes": procrustes_distance,
    "svcca": svcca_distance,
}


def representation_distances(features: npt.ArrayLike) -> pd.DataFrame:
    """Return the three distances between each pair of runs.

    The mean of a column over the pairs is the instability measure of Du & Nguyen [1]_.

    Parameters
    ----------
    features : array_like, shape (runs, rows, width)
        The same examples in every run; at least 2 runs of 4 rows.

    Returns
    -------
    pandas.DataFrame
        One row per pair: first, second (run numbers from 0), cka, procrustes and svcca.

    Raises
    ------
    UserError
        As in `cka_distance`.

    References
    ----------
    .. [1] Du & Nguyen (2023), ACL, arXiv:2302.07778.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> representation_distances(rng.normal(size=(3, 20, 4))).shape
    (3, 5)
    """
    stack = np.asarray(features, dtype=np.float64)
    if stack.ndim != 3 or stack.shape[0] < 2:
        raise UserError(f"features: shape {stack.shape}: must be [runs, rows, width] with at least 2 runs")
    narrow = [_narrow(_centred(x, f"run {i + 1}", 4)) for i, x in enumerate(stack)]
    rows = [
        {"first": i, "second": j, **{name: distance(narrow[i], narrow[j]) for name, distance in DISTANCES.items()}}
        for i, j in combinations(range(len(stack)), 2)
    ]
    return pd.DataFrame(rows)


def _pair(first: npt.ArrayLike, second: npt.ArrayLike, fewest: int) -> tuple[Floats, Floats]:
    x, y = _centred(first, "first", fewest), _centred(second, "second", fewest)
    if len(x) != len(y):
        raise UserError(f"features: {len(x)} and {len(y)} rows: must hold the same examples in one order")
    return _narrow(x), _narrow(y)


def _centred(features: npt.ArrayLike, name: str, fewest: int) -> Floats:
    """Return features centred and scaled to a largest value of 1, which changes none of the distances."""
    try:
        x = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} features: must be numbers of shape [rows, width]") from error
    if x.ndim != 2 or x.shape[1] < 1:
        raise UserError(f"{name} features: shape {x.shape}: must be [rows, width]")
    if x.shape[0] < fewest:
        raise UserError(f"{name} features: {x.shape[0]} rows: needs at least {fewest}")
    if not np.all(np.isfinite(x)):
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise UserError(f"{name} features: row {row + 1}, column {column + 1} is {x[row, column]}: must be finite")
    if np.all(x == x[0]):
        raise UserError(f"{name} features: all rows are equal; there is nothing to compare")
    x = x / np.abs(x).max()
    x = x - x.mean(axis=0)
    scaled: Floats = x / np.abs(x).max()
    return scaled


def _narrow(x: Floats) -> Floats:
    """Return wide features turned into the space of their rows: the same distances at a fraction of the cost."""
    if x.shape[1] <= x.shape[0]:
        return x
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    turned: Floats = u * s
    return turned


def _u_centred(x: Floats) -> Floats:
    """Return the U-centred Gram matrix (Szekely & Rizzo 2014): the products of two of them sum to HSIC_1."""
    n = len(x)
    gram = x @ x.T
    np.fill_diagonal(gram, 0.0)
    rows = gram.sum(axis=0) / (n - 2)
    gram = gram - rows[:, None] - rows[None, :] + rows.sum() / (n - 1)
    np.fill_diagonal(gram, 0.0)
    centred: Floats = gram
    return centred


def _leading(x: Floats, share: float) -> Floats:
    """Return an orthonormal basis of the leading left singular directions."""
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    s = s[s > 1e-10 * s[0]]
    kept = max(1, int(np.sum(np.cumsum(s) / s.sum() <= share + 1e-12)))
    basis: Floats = u[:, :kept]
    return basis
