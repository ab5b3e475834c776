"""Exact leave-one-out stability: train on all rows, and on all rows but one, for every row.

`leave_one_out` is the one entry; it chooses between paths that give the same numbers:

fused : all runs stacked into two matrix products a step (feature space).
gram : the same in the span of the rows, for no more rows than features.
closed-form : the squared loss, at a cost that does not depend on the number of steps.
reference : one run after another, the definition itself; only on request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError, shown
from stabilitybench.theory import fused, gram, quadratic, reference
from stabilitybench.theory.distances import Measured
from stabilitybench.theory.inputs import Floats, Loss
from stabilitybench.theory.problem import ConvexProblem, Weight, checked_steps, problem

Path = Literal["fused", "gram", "closed-form", "reference"]
DType = Literal["auto", "float32", "float64"]
PATHS: tuple[Path, ...] = get_args(Path)
DTYPES: tuple[DType, ...] = get_args(DType)

#: Bytes for the stacked runs unless said otherwise.
MAX_MEMORY = 1 << 30
#: Runs doubled in float64 unless said otherwise.
AUDIT = 4
#: A float32 run that differs from its double by more than this share of the average distance is not believed.
AUDIT_TOLERANCE = 1e-3
#: The closed form is held to this instead: it is exact to rounding.
CLOSED_FORM_TOLERANCE = 1e-9
#: Below this many multiplications float64 takes a fraction of a second, and float32 is not worth its error.
SMALL = 5e9


@dataclass(frozen=True, eq=False)
class LeaveOneOut(EqualByContent):
    """How far the head moves when one row is left out, for T step counts, S starts and n rows.

    Attributes
    ----------
    steps : tuple of int
        The T numbers of gradient steps.
    weights : ndarray, shape (T, S, d) or (T, S, C, d)
        Of the runs on all rows; with classes for the softmax loss.
    distance : ndarray, shape (T, S, n)
        |w - w_i| in parameter space (all classes together).
    direction : ndarray, shape (T, S, n)
        |w/|w| - w_i/|w_i||, between 0 and 2; zero weights have the zero vector for a direction.
    flips : ndarray, shape (T, S, n), or None
        Share of all n rows whose predicted class changes; None for the squared loss.
    rate : float
        The learning rate used.
    smoothness : float
        beta, the gradient's Lipschitz constant on all rows, l2 included.
    weight : {"1/n", "1/(n-1)"}
        As asked for.
    l2 : float
        As asked for.
    path : {"fused", "gram", "closed-form", "reference"}
        How it was computed.
    dtype : {"float32", "float64"}
        In which precision it was computed.
    audit_error : float or None
        Largest distance between a run and its float64 double, as a share of the average audited distance; None where
        nothing was doubled.
    warnings : tuple of str
        What a reader should know, one sentence each.
    """

    steps: tuple[int, ...]
    weights: Floats
    distance: Floats
    direction: Floats
    flips: Floats | None
    rate: float
    smoothness: float
    weight: Weight
    l2: float
    path: Path
    dtype: Literal["float32", "float64"]
    audit_error: float | None
    warnings: tuple[str, ...]

    @property
    def mean_distance(self) -> Floats:
        """The average over i of the parameter distance, [T, S]: the stability of the definition."""
        return np.asarray(self.distance.mean(axis=-1))

    @property
    def worst_distance(self) -> Floats:
        """The maximum over i of the parameter distance, [T, S]."""
        return np.asarray(self.distance.max(axis=-1))

    @property
    def mean_direction(self) -> Floats:
        """The average over i of the direction distance, [T, S]."""
        return np.asarray(self.direction.mean(axis=-1))

    @property
    def worst_direction(self) -> Floats:
        """The maximum over i of the direction distance, [T, S]."""
        return np.asarray(self.direction.max(axis=-1))

    @property
    def mean_flips(self) -> Floats | None:
        """The average over i of the share of changed predictions, [T, S]."""
        return None if self.flips is None else np.asarray(self.flips.mean(axis=-1))

    @property
    def worst_flips(self) -> Floats | None:
        """The maximum over i of the share of changed predictions, [T, S]."""
        return None if self.flips is None else np.asarray(self.flips.max(axis=-1))


def leave_one_out(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss = "logistic",
    *,
    steps: int | Sequence[int] = 1000,
    rate: float | None = None,
    weight: Weight = "1/n",
    start: npt.ArrayLike | None = None,
    l2: float = 0.0,
    dtype: DType = "auto",
    audit: int = AUDIT,
    max_memory: int = MAX_MEMORY,
    path: Path | None = None,
) -> LeaveOneOut:
    r"""Train a linear head by full-batch gradient descent on all rows and without each row, and compare.

    The runs are :math:`w \leftarrow w - \eta (c \sum_{j \ne i} \nabla f_j(w) + l2\, w)`.  A rate above 2/beta is
    measured all the same and named in `warnings`, as is a run that left the finite numbers (its distances are
    infinite).

    Parameters
    ----------
    x : array_like, shape (n, d)
        Rows, n >= 2; there is no bias (append a constant feature to have one).
    y : array_like, shape (n,)
        Labels; {0, 1} or {-1, 1} (logistic), whole numbers (softmax), real numbers (squared).
    loss : {"logistic", "softmax", "squared"}, default "logistic"
        Of one row: log(1 + exp(-y <w, x>)), softmax cross-entropy, or (<w, x> - y)^2 / 2.
    steps : int or sequence of int, default 1000
        Numbers of gradient steps, all measured in one pass.
    rate : float, optional
        Learning rate eta; 1/beta unless given, beta being the smoothness of the mean loss on all rows.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        c, of each remaining row when one is left out.
    start : array_like, shape (d,) or (C, d), optional
        Initial weights, or a stack of S of them (seeds, heads); zero unless given.
    l2 : float, default 0
        Adds l2 |w|^2 / 2 to the objective of every run, whole under both weights.
    dtype : {"auto", "float32", "float64"}, default "auto"
        "auto" takes float32 for large work and repeats it in float64 where the audit objects.
    audit : int, default 4
        How many runs are doubled in float64.
    max_memory : int, default 2**30
        Bytes for the stacked runs; more runs than fit are done in parts.
    path : {"fused", "gram", "closed-form", "reference"}, optional
        How to compute; chosen by shape and loss unless given.

    Returns
    -------
    LeaveOneOut
        Distances, direction distances and changed predictions for every step count, start and row.

    Raises
    ------
    UserError
        For NaN or infinity, shapes that do not fit, a single class, a single row, a negative number of steps, or a rate
        that is not positive.

    Examples
    --------
    >>> x = [[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0], [1.0, 2.0]]
    >>> loo = leave_one_out(x, [1, 1, 0, 1], steps=[1, 100])
    >>> loo.distance.shape, loo.mean_direction.round(3).tolist()
    ((2, 1, 4), [[0.125], [0.183]])
    """
    task = problem(x, y, loss=loss, rate=rate, weight=weight, start=start, l2=l2)
    return solve(task, checked_steps(steps), weight, dtype, audit, max_memory, path)[0]


def solve(
    task: ConvexProblem,
    steps: tuple[int, ...],
    weight: Weight,
    dtype: DType,
    audit: int,
    max_memory: int,
    path: Path | None,
) -> list[LeaveOneOut]:
    """Solve every data set of `task`; choose path and precision, believe float32 only where the audit does.

    Parameters
    ----------
    task : ConvexProblem
        K data sets.
    steps : tuple of int
        Increasing numbers of steps.
    weight, dtype, audit, max_memory, path
        As in `leave_one_out`; no `path` has it chosen.

    Returns
    -------
    list of LeaveOneOut
        K of them.

    Raises
    ------
    UserError
        For a setting that is not allowed.
    """
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UserError(f"dtype = {shown(dtype)}: must be one of {', '.join(DTYPES)}")
    if isinstance(audit, bool) or not isinstance(audit, int) or audit < 0:
        raise UserError(f"audit = {shown(audit)}: must be a whole number of runs, 0 or above")
    if isinstance(max_memory, bool) or not isinstance(max_memory, int) or max_memory <= 0:
        raise UserError(f"max_memory = {shown(max_memory)}: must be a number of bytes above 0")
    chosen = _path(task) if path is None else path
    if not isinstance(chosen, str) or chosen not in PATHS or (chosen == "closed-form") > (task.loss == "squared"):
        raise UserError(
            f"path = {shown(path)}: must be one of {', '.join(PATHS)}; closed-form for the squared loss only"
        )
    if chosen == "reference":
        return _results(task, steps, weight, reference.run(task, steps), chosen, "float64")
    if chosen == "closed-form":
        found = _results(task, steps, weight, quadratic.run(task, steps, audit, max_memory), chosen, "float64")
        return _repeated(found, CLOSED_FORM_TOLERANCE, task, steps, weight, max_memory)
    precision: fused.Precision
    if dtype == "auto":
        precision = "float64" if audit == 0 or _multiplications(task, chosen, steps[-1]) < SMALL else "float32"
    else:
        precision = dtype
    space = gram.row_space(task) if chosen == "gram" else fused.feature_space(task)
    doubled = audit if precision == "float32" else 0
    found = _results(
        task, steps, weight, fused.run(task, space, steps, precision, doubled, max_memory), chosen, precision
    )
    return _repeated(found, AUDIT_TOLERANCE, task, steps, weight, max_memory) if dtype == "auto" else found


def _path(task: ConvexProblem) -> Path:
    if task.loss == "squared":
        return "closed-form"
    return "gram" if task.into.shape[1] <= task.into.shape[2] else "fused"


def _multiplications(task: ConvexProblem, path: Path, last: int) -> float:
    sets, count, width = task.into.shape
    heads = task.start.shape[0] * task.start.shape[1]
    return float(sets * heads * last * count**2 * (count if path == "gram" else 2 * width))


def _repeated(
    found: list[LeaveOneOut],
    tolerance: float,
    task: ConvexProblem,
    steps: tuple[int, ...],
    weight: Weight,
    max_memory: int,
) -> list[LeaveOneOut]:
    """Repeat in float64, step by step, what the audit does not confirm."""
    # written so that an error that is not a number does not pass
    doubtful = [k for k, one in enumerate(found) if one.audit_error is not None and not one.audit_error <= tolerance]
    for k in doubtful:
        alone = task.only(k)
        path: Path = "gram" if task.into.shape[1] <= task.into.shape[2] else "fused"
        [found[k]] = solve(alone, steps, weight, "float64", 0, max_memory, path)
    return found


def _results(
    task: ConvexProblem, steps: tuple[int, ...], weight: Weight, measured: Measured, path: Path, dtype: fused.Precision
) -> list[LeaveOneOut]:
    found = []
    for k in range(len(task.into)):
        weights = np.moveaxis(measured.weights[:, k], 1, 2)
        distance, direction = measured.distance[:, k], measured.direction[:, k]
        finite = np.isfinite(distance) & np.isfinite(direction)
        rate, smoothness = float(task.rate[k]), float(task.smoothness[k])
        error = None if measured.audit_error is None else float(measured.audit_error[k])
        warnings = []
        if rate > 2 / smoothness * (1 + 1e-12):
            warnings.append(f"rate {rate:.4g} is above 2/beta = {2 / smoothness:.4g}: descent may not converge")
        elif weight == "1/(n-1)" and rate > 2 / (smoothness * task.count / (task.count - 1)):
            warnings.append(
                f"rate {rate:.4g} is close to 2/beta = {2 / smoothness:.4g}: without a row the others weigh "
                "n/(n-1) times as much, and their descent may not converge"
            )
        if not finite.all():
            first = steps[int(np.argmin(finite.all(axis=(1, 2))))]
            warnings.append(f"a run has left the finite numbers by step {first}: its distances are infinite")
        if dtype == "float32" and error is not None and not error <= AUDIT_TOLERANCE:
            warnings.append(f"float32 differs from float64 by {error:.2g} of the average distance: use float64")
        found.append(
            LeaveOneOut(
                steps=steps,
                weights=np.ascontiguousarray(weights if task.loss == "softmax" else weights[:, :, 0]),
                distance=np.where(finite, distance, np.inf),
                direction=np.where(finite, direction, np.inf),
                flips=None if measured.flips is None else measured.flips[:, k],
                rate=rate,
                smoothness=smoothness,
                weight=weight,
                l2=task.l2,
                path=path,
                dtype=dtype,
                audit_error=error,
                warnings=tuple(warnings),
            )
        )
    return found
