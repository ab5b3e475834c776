"""One or several leave-one-out problems of the same shape, in the form in which gradient descent runs on them.

Three losses of a linear head share one loop.  With `into` and `out` signed copies of the feature rows, a step is

    w <- (1 - rate l2) w + rate c sum_j q_j out_j,      q = slopes(into w + offset)

logistic : into = -y x, out = y x, slopes = sigmoid, so that q is the wrong-class probability itself and no accuracy
    is lost to 1 - p when it is small.
softmax : into = x, out = -x, q_c = p_c for the wrong classes and minus their sum for the right one.
squared : into = -x, out = x, offset = y, q = y - <w, x>.

c is 1/n for the run on all rows and 1/n or 1/(n - 1) for the runs without one row; the l2 penalty stays whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import linalg

from stabilitybench.argument_checks import count
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError, shown
from stabilitybench.labels import classes, numbers, signs, targets
from stabilitybench.theory.inputs import LOSSES, Floats, Loss, features

if TYPE_CHECKING:
    import torch

#: Gradient descent is not followed further than this.
MOST_STEPS = 10**15
#: Nobody reads off more points of a curve.
MOST_PER_DECADE = 1000
Weight = Literal["1/n", "1/(n-1)"]
WEIGHTS: tuple[Weight, ...] = get_args(Weight)


@dataclass(frozen=True, eq=False)
class ConvexProblem(EqualByContent):
    """K data sets of one shape under one loss; arrays carry the data set first, then class, start, row, feature.

    Attributes
    ----------
    loss : {"logistic", "softmax", "squared"}
        Of one row.
    into, out : ndarray, shape (K, n, d)
        Signed rows.
    offset : ndarray, shape (K, n)
        Zero but for the squared loss.
    own : ndarray, shape (K, C, 1, 1, n), or None
        1 at a row's own class (softmax), else None.
    start : ndarray, shape (C, S, d)
        Initial weights.
    rate : ndarray, shape (K,)
        Learning rates.
    smoothness : ndarray, shape (K,)
        The gradient's Lipschitz constant.
    kept : float
        The weight c of the runs without one row.
    l2 : float
        The penalty.
    """

    loss: Loss
    into: Floats
    out: Floats
    offset: Floats
    own: Floats | None
    start: Floats
    rate: Floats
    smoothness: Floats
    kept: float
    l2: float

    @property
    def count(self) -> int:
        """The number n of rows."""
        return int(self.into.shape[1])

    @property
    def decay(self) -> Floats:
        """What the l2 penalty leaves of the weights in a step, [K]."""
        return 1.0 - self.rate * self.l2

    def only(self, k: int) -> ConvexProblem:
        """Return one data set alone.

        Parameters
        ----------
        k : int
            Which of the K data sets.

        Returns
        -------
        ConvexProblem
            With K = 1.
        """
        kept = slice(k, k + 1)
        own = None if self.own is None else self.own[kept]
        return replace(
            self,
            into=self.into[kept],
            out=self.out[kept],
            offset=self.offset[kept],
            own=own,
            rate=self.rate[kept],
            smoothness=self.smoothness[kept],
        )

    def slopes_(self, scores: torch.Tensor, own: torch.Tensor | None) -> None:
        """Turn scores into the slopes q, in place.

        Parameters
        ----------
        scores : torch.Tensor, shape (K, C, S, R, n)
            Scores of R runs on n rows.
        own : torch.Tensor, shape (K, C, 1, 1, n), or None
            The array of that name in the scores' dtype.
        """
        import torch

        if self.loss == "logistic":
            scores.sigmoid_()
        elif own is not None:
            torch.softmax(scores, dim=1, out=scores)
            scores.mul_(1.0 - own)
            wrong = scores.sum(dim=1, keepdim=True)
            scores.addcmul_(own, wrong, value=-1.0)


def problem(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    loss: Loss,
    rate: float | None = None,
    weight: Weight = "1/n",
    start: npt.ArrayLike | None = None,
    l2: float = 0.0,
) -> ConvexProblem:
    """Check what a user hands in and bring it into the common form.

    Parameters
    ----------
    x, y, loss, rate, weight, start, l2
        As in `leave_one_out`.

    Returns
    -------
    ConvexProblem
        With K = 1.

    Raises
    ------
    UserError
        As `leave_one_out`.
    """
    if not isinstance(loss, str) or loss not in LOSSES:
        raise UserError(f"loss = {shown(loss)}: must be one of {', '.join(LOSSES)}")
    if not isinstance(weight, str) or weight not in WEIGHTS:
        raise UserError(f'weight = {shown(weight)}: must be "1/n" or "1/(n-1)"')
    rows = features(x)
    count, width = rows.shape
    penalty = _number(l2, "l2")
    if penalty < 0:
        raise UserError(f"l2 = {penalty:g}: must be 0 or above")
    with np.errstate(over="ignore"):
        largest = _largest_eigenvalue(rows) / count
    own, offset, outputs = None, np.zeros(count), 1
    if loss == "logistic":
        out = rows * signs(y, count)[:, None]
        into, curvature = -out, 0.25
    elif loss == "softmax":
        labels = classes(y, count)
        outputs = int(labels.max()) + 1
        own = (labels == np.arange(outputs)[:, None]).astype(float)[None, :, None, None, :]
        into, out, curvature = rows, -rows, 0.5
    else:
        offset = targets(y, count)
        into, out, curvature = -rows, rows, 1.0
    smoothness = curvature * largest + penalty
    if not np.any(rows):
        raise UserError("x is zero everywhere: nothing can be learned from it")
    if not 0 < smoothness < math.inf or not math.isfinite(1.0 / smoothness):
        raise UserError("x has values whose squares leave the range of numbers: rescale it")
    chosen = 1.0 / smoothness if rate is None else _number(rate, "rate")
    if chosen <= 0:
        raise UserError(f"rate = {chosen:g}: must be above 0")
    return ConvexProblem(
        loss=loss,
        into=into[None],
        out=out[None],
        offset=offset[None],
        own=own,
        start=_starts(start, outputs, width),
        rate=np.array([chosen]),
        smoothness=np.array([smoothness]),
        kept=1.0 / count if weight == "1/n" else 1.0 / (count - 1),
        l2=penalty,
    )


def checked_steps(steps: int | npt.ArrayLike) -> tuple[int, ...]:
    """Return the numbers of steps, increasing and without repeats.

    Parameters
    ----------
    steps : int or array_like of int, shape (T,)
        At least one, each at least 0.

    Returns
    -------
    tuple of int
        At most T of them.

    Raises
    ------
    UserError
        For anything but whole numbers of at least 0.

    Examples
    --------
    >>> checked_steps([100, 10, 10]), checked_steps(5)
    ((10, 100), (5,))
    """
    try:
        values = np.atleast_1d(np.asarray(steps))
    except ValueError:  # lists of different lengths
        values = np.empty(0)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iu":
        raise UserError(f"steps = {shown(steps)}: must be a whole number or a list of them")
    if values.min() < 0:
        raise UserError(f"steps holds {values.min()}: numbers of steps must be 0 or above")
    return tuple(int(step) for step in np.unique(values))


def log_spaced_steps(last: int, per_decade: int = 4) -> tuple[int, ...]:
    """Return whole numbers of steps from 1 to `last`, about evenly spaced on a logarithmic scale.

    Parameters
    ----------
    last : int
        Largest number, from 1 to 1e15.
    per_decade : int, default 4
        Numbers between each and ten times as many, at least 1; fewer where they would round to the same.

    Returns
    -------
    tuple of int
        Increasing, from 1 to `last`.

    Raises
    ------
    UserError
        For arguments out of their range.

    Examples
    --------
    >>> log_spaced_steps(100, per_decade=2)
    (1, 3, 10, 32, 100)
    """
    last = count("last", last, 1, MOST_STEPS)
    per_decade = count("per_decade", per_decade, 1, MOST_PER_DECADE)
    exponents = np.arange(0, math.log10(last) * (1 + 1e-12), 1 / per_decade)
    return tuple(int(step) for step in np.unique([*np.round(10.0**exponents).astype(int), last]))


def _starts(start: npt.ArrayLike | None, outputs: int, width: int) -> Floats:
    """Return initial weights as [C, S, d] from [d], [S, d], [C, d] or [S, C, d]."""
    single = (width,) if outputs == 1 else (outputs, width)
    if start is None:
        return np.zeros((outputs, 1, width))
    values = numbers(start, "start")
    if values.shape == single:
        values = values[None]
    if values.shape[1:] != single or len(values) == 0:
        raise UserError(f"start has shape {np.shape(start)}: must be {single}, or a stack of such arrays")
    return np.ascontiguousarray(np.moveaxis(values.reshape(len(values), outputs, width), 0, 1))


def _largest_eigenvalue(rows: Floats) -> float:
    """Return that of rows^T rows, from the smaller of the two Gram matrices."""
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    if not np.all(np.isfinite(gram)):
        return math.inf
    last = len(gram) - 1
    return max(0.0, float(linalg.eigvalsh(gram, subset_by_index=(last, last))[0]))


def _number(value: float, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name} = {shown(value)}: must be a finite number") from None
    if not math.isfinite(number):
        raise UserError(f"{name} = {number}: must be a finite number")
    return number
