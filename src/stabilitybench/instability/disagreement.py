"""Instability that a score does not show: how far the predictions of several runs differ on the same examples."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from stabilitybench.errors import UserError
from stabilitybench.statistics.results import Floats

Codes = npt.NDArray[np.intp]


def disagreement_matrix(predictions: npt.ArrayLike) -> Floats:
    """Return the share of examples on which each pair of runs predicts differently.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, numbers or texts; at least two runs and one example.

    Returns
    -------
    numpy.ndarray, shape (runs, runs)
        Symmetric, 0 on the diagonal, values in [0, 1].

    Raises
    ------
    UserError
        For another shape, or a label that is NaN.

    Examples
    --------
    >>> disagreement_matrix([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])[0].tolist()
    [0.0, 0.25, 0.5]
    """
    codes, _ = _codes(predictions)
    # one class at a time: memory stays [runs, examples] however many runs there are
    agree = np.zeros((len(codes), len(codes)))
    for label in range(int(codes.max()) + 1):
        hits = (codes == label).astype(np.float64)
        agree += hits @ hits.T
    matrix: Floats = 1 - agree / codes.shape[1]
    return matrix


def pairwise_disagreement(predictions: npt.ArrayLike) -> float:
    r"""Return the mean share of examples on which two runs predict differently, over all pairs of runs, in [0, 1].

    :math:`I_{pwd} = \frac{2}{m(m-1)} \sum_{i<j} \frac1n \sum_k [\hat y_{ik} \ne \hat y_{jk}]` [1]_.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.

    References
    ----------
    .. [1] Du & Nguyen (2023), ACL, arXiv:2302.07778.

    Examples
    --------
    >>> round(pairwise_disagreement([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), 4)
    0.3333
    """
    return _pair_mean(disagreement_matrix(predictions))


def fleiss_kappa(predictions: npt.ArrayLike) -> float | None:
    r"""Return Fleiss' kappa of the runs' predictions.

    :math:`\kappa = (P - P_e) / (1 - P_e)` [1]_, where P is the mean agreement of two runs and :math:`P_e` the sum of
    the squared overall class shares. Du & Nguyen [2]_ report 1 - kappa.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.

    Returns
    -------
    float or None
        1 is full agreement, 0 is chance. None when every run predicts one and the same class for every example:
        agreement and chance agreement are then both 1.

    References
    ----------
    .. [1] Fleiss (1971), Psychological Bulletin 76:378-382.
    .. [2] Du & Nguyen (2023), ACL, arXiv:2302.07778.

    Examples
    --------
    >>> round(fleiss_kappa([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), 4)
    0.1111
    """
    from statsmodels.stats.inter_rater import fleiss_kappa as kappa

    counts = _counts(predictions)
    return None if counts.shape[1] == 1 else float(kappa(counts, method="fleiss"))


def jensen_shannon_matrix(probabilities: npt.ArrayLike) -> Floats:
    """Return the Jensen-Shannon divergence of each pair of runs, the mean over examples.

    It is the divergence, not its square root.

    Parameters
    ----------
    probabilities : array_like, shape (runs, examples, classes)
        Class probabilities that sum to 1 (within 1e-4).

    Returns
    -------
    numpy.ndarray, shape (runs, runs)
        In nats: symmetric, 0 on the diagonal, values in [0, ln 2].

    Raises
    ------
    UserError
        For another shape, or probabilities that are negative or do not sum to 1.

    Examples
    --------
    >>> jensen_shannon_matrix([[[1.0, 0.0]], [[0.0, 1.0]]])[0].round(4).tolist()
    [0.0, 0.6931]
    """
    p = _probabilities(probabilities)
    entropy = _entropy(p).mean(axis=1)
    matrix = np.zeros((len(p), len(p)))
    for i, j in combinations(range(len(p)), 2):
        mixed = float(_entropy((p[i] + p[j]) / 2).mean())
        matrix[i, j] = matrix[j, i] = min(max(mixed - (entropy[i] + entropy[j]) / 2, 0.0), np.log(2))
    return matrix


def jensen_shannon(probabilities: npt.ArrayLike) -> float:
    r"""Return the mean Jensen-Shannon divergence over all pairs of runs and all examples, in nats, in [0, ln 2].

    :math:`I_{JSD} = \frac{2}{m(m-1)} \sum_{i<j} \frac1n \sum_k \frac12 [KL(p_{ik} \| q) + KL(p_{jk} \| q)]` with
    :math:`q = (p_{ik} + p_{jk})/2` [1]_ [2]_.

    Parameters
    ----------
    probabilities : array_like, shape (runs, examples, classes)
        As in `jensen_shannon_matrix`.

    References
    ----------
    .. [1] Du & Nguyen (2023), ACL, arXiv:2302.07778.
    .. [2] Lin (1991), IEEE Trans. Inf. Theory 37:145-151.

    Examples
    --------
    >>> round(jensen_shannon([[[0.5, 0.5]], [[0.9, 0.1]]]), 4)
    0.1017
    """
    return _pair_mean(jensen_shannon_matrix(probabilities))


def consistency(predictions: npt.ArrayLike) -> float:
    """Return the mean share of examples on which two runs predict the same, over all pairs of runs, in [0, 1].

    The micro-level consistency of Zhou, Savova & Wang [1]_; it equals 1 - `pairwise_disagreement`.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.

    References
    ----------
    .. [1] Zhou, Savova & Wang (2025), arXiv:2503.07329.

    Examples
    --------
    >>> round(consistency([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), 4)
    0.6667
    """
    return 1 - pairwise_disagreement(predictions)


def correct_consistency(predictions: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean share of examples on which two runs are both right, over all pairs of runs, in [0, 1].

    The companion of `consistency` that a run cannot raise by being wrong in the same way every time [1]_. At most the
    consistency, and at most the mean accuracy.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.
    labels : array_like, shape (examples,)
        The true class of each example.

    Raises
    ------
    UserError
        As in `disagreement_matrix`, and for labels of another length or kind.

    References
    ----------
    .. [1] Wang et al. (2020), NeurIPS, Wisdom of the Ensemble.

    Examples
    --------
    >>> round(correct_consistency([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], [0, 1, 1, 0]), 4)
    0.5833
    """
    right = _right(predictions, labels)
    both = (right.astype(np.float64) @ right.T) / right.shape[1]
    return _pair_mean(both)


def churn(predictions: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> pd.DataFrame:
    """Return how the runs differ on each example.

    Churn between two models is that of Milani Fard et al. [1]_; its mean over examples is `pairwise_disagreement`.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.
    labels : array_like, shape (examples,), optional
        The true class of each example.

    Returns
    -------
    pandas.DataFrame
        One row per example, in the order given. churn : share of the pairs of runs that predict differently; majority :
        the class most runs predict, the first of ties in sorted order; majority_share : the share of runs that predict
        it; right : the share of runs that are right, with `labels` only.

    Raises
    ------
    UserError
        As in `correct_consistency`.

    References
    ----------
    .. [1] Milani Fard, Cormier, Canini & Gupta (2016), NeurIPS.

    Examples
    --------
    >>> churn([[0, 1, 1], [0, 1, 0], [0, 0, 0]])["churn"].round(3).tolist()
    [0.0, 0.667, 0.667]
    """
    codes, classes = _codes(predictions)
    counts = _counts(predictions)
    runs = len(codes)
    majority = counts.argmax(axis=1)
    table = pd.DataFrame(
        {
            "churn": 1 - (counts * (counts - 1)).sum(axis=1) / (runs * (runs - 1)),
            "majority": classes[majority],
            "majority_share": counts.max(axis=1) / runs,
        }
    )
    if labels is not None:
        table["right"] = _right(predictions, labels).mean(axis=0)
    return table.rename_axis("example")


def class_shares(predictions: npt.ArrayLike) -> Floats:
    """Return the share of examples for which each run predicts each class.

    Parameters
    ----------
    predictions : array_like, shape (runs, examples)
        Class labels, as in `disagreement_matrix`.

    Returns
    -------
    numpy.ndarray, shape (runs, classes)
        Rows sum to 1; the classes that occur, sorted.

    Examples
    --------
    >>> class_shares([["no", "no", "yes"], ["yes", "yes", "yes"]]).round(2).tolist()
    [[0.67, 0.33], [0.0, 1.0]]
    """
    codes, classes = _codes(predictions)
    return np.stack([(codes == label).mean(axis=1) for label in range(len(classes))], axis=1)


def _codes(predictions: npt.ArrayLike) -> tuple[Codes, npt.NDArray[np.generic]]:
    """Return predictions as class numbers from 0 and the classes they stand for, sorted."""
    try:
        values = np.asarray(predictions)
    except ValueError as error:
        raise UserError("predictions: runs of different length; every run must predict the same examples") from error
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        raise UserError(
            f"predictions: shape {values.shape}: must be [runs, examples] with at least 2 runs and 1 example"
        )
    values = _texts(values)
    if values.dtype.kind not in "biufU":
        raise UserError(f"predictions: {values.dtype} values: must be class labels, whole numbers or texts")
    if values.dtype.kind == "f" and np.any(wrong := ~(np.isfinite(values) & (values == np.floor(values)))):
        run, example = np.argwhere(wrong)[0]  # a NaN, or the predictions of a regression
        raise UserError(
            f"predictions: run {run + 1}, example {example + 1} is {values[run, example]}: must be a class, a whole "
            "number or a text"
        )
    classes, codes = np.unique(values, return_inverse=True)
    return codes.reshape(values.shape), classes


def _texts(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return texts that pandas holds as objects as an array of texts, anything else as it is."""
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
        return values.astype(np.str_)
    return values


def _counts(predictions: npt.ArrayLike) -> Codes:
    """Return how many runs predict each class, [examples, classes]."""
    codes, classes = _codes(predictions)
    return np.stack([(codes == label).sum(axis=0) for label in range(len(classes))], axis=1)


def _right(predictions: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    codes, classes = _codes(predictions)
    truth = _texts(np.asarray(labels))
    if truth.shape != codes.shape[1:]:
        raise UserError(f"labels: shape {truth.shape}: must be one label for each of the {codes.shape[1]} examples")
    if (truth.dtype.kind == "U") != (classes.dtype.kind == "U"):
        raise UserError(f"labels: {truth.dtype} values beside predictions of {classes.dtype}: must be of one kind")
    result: npt.NDArray[np.bool_] = classes[codes] == truth
    return result


def _probabilities(probabilities: npt.ArrayLike) -> Floats:
    try:
        p = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError("probabilities: must be numbers of shape [runs, examples, classes]") from error
    if p.ndim != 3 or p.shape[0] < 2 or p.shape[1] < 1 or p.shape[2] < 2:
        raise UserError(
            f"probabilities: shape {p.shape}: must be [runs, examples, classes] with at least 2 runs, 1 example and "
            "2 classes"
        )
    sums = p.sum(axis=2)
    wrong = np.argwhere(~((np.abs(sums - 1) <= 1e-4) & np.all(p >= 0, axis=2)))  # NaN is wrong too
    if len(wrong):
        run, example = wrong[0]
        raise UserError(
            f"probabilities: run {run + 1}, example {example + 1} is {p[run, example].tolist()}: must be at least 0 "
            "and sum to 1; of logits, take the softmax first"
        )
    scaled: Floats = p / sums[:, :, None]
    return scaled


def _entropy(p: Floats) -> Floats:
    from scipy.special import entr

    total: Floats = entr(p).sum(axis=-1)
    return total


def _pair_mean(matrix: Floats) -> float:
    """Return the mean over pairs of different runs."""
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())
