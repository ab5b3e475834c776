"""Certificates of head tuning: the bounds on a linear head, held against a real encoder's features.

The head is the one that the bounds speak of: frozen features, no free bias (none, or a constant feature that is
penalised like the others), full-batch gradient descent on the mean logistic or softmax loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from stabilitybench.argument_checks import choice, number, several, whole
from stabilitybench.encoders import Encoder
from stabilitybench.errors import Argument, UserError
from stabilitybench.finetuning.linear_probe import Features, frozen_features
from stabilitybench.seeds import Seeds
from stabilitybench.tasks import Task
from stabilitybench.theory import (
    LeaveOneOut,
    bounds,
    constants,
    leave_one_out,
    leave_one_out_max_margin,
)
from stabilitybench.theory.bounds import Bound, Weight
from stabilitybench.theory.margin import MaxMarginLeaveOneOut
from stabilitybench.theory.one_run import HeadLoss

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Certificate:
    """What the bounds say of a head on an encoder's features, and what was measured.

    Attributes
    ----------
    encoder, task : str
        Their names.
    features : str
        What the head reads: "cls", "mean" or "pooler".
    rows, width, classes : int
        Of the features, the constant one included.
    bias : float
        Value of the constant feature, 0 for none.
    radius, typical_radius : float
        Largest feature norm, and the norm that 99 % stay below.
    margin : float or None
        gamma of a head without free bias; None where the classes are not separable.
    rate : float
        Learning rate as used.
    smoothness : float
        beta of the mean loss.
    start_norm : float
        ||w_0||.
    accuracy : float
        Of the trained head on its own rows.
    measured : LeaveOneOut
        Leave-one-out stability at each number of steps.
    limit : MaxMarginLeaveOneOut or None
        That of the max-margin direction, the limit of endless training; None where not separable.
    one_run : Bound or None
        B3 from one run.
    closed : tuple of Bound
        B3 in closed form, for each number of steps.
    max_margin : tuple of Bound
        B2 after refitting, from one fit, and in closed form.
    direction : Bound or None
        B1 at the last step.
    refused : dict of str to str
        Bounds that cannot be given, by name with the reason.
    notes : tuple of str
        Sentences for the reader.
    """

    encoder: str
    task: str
    features: str
    rows: int
    width: int
    classes: int
    bias: float
    radius: float
    typical_radius: float
    margin: float | None
    rate: float
    smoothness: float
    start_norm: float
    accuracy: float
    measured: LeaveOneOut
    limit: MaxMarginLeaveOneOut | None
    one_run: Bound | None
    closed: tuple[Bound, ...]
    max_margin: tuple[Bound, ...]
    direction: Bound | None
    refused: dict[str, str]
    notes: tuple[str, ...]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the bounds given rest on: checked on these features, or so by the way they were computed here."""
        given = [b for b in (self.one_run, *self.closed[:1], *self.max_margin, self.direction) if b is not None]
        return tuple(
            dict.fromkeys(
                f"{a.text} ({'checked' if a.checked else 'by construction'})" for b in given for a in b.assumptions
            )
        )


def certify(
    encoder: Encoder,
    task: Task,
    *,
    features: Features = "mean",
    n: int | None = 200,
    steps: Sequence[int] = (10, 100, 1000),
    rate: float = 1.0,
    weight: Weight = "1/n",
    start_scale: float = 0.0,
    bias: float = 0.0,
    seed: int = 0,
    max_length: int | None = None,
    device: str = "cpu",
) -> Certificate:
    """Tune a head on `n` training rows of a task, measure its leave-one-out stability, and bound it.

    Parameters
    ----------
    encoder : Encoder
        Stays frozen.
    task : Task
        A classification.
    features : str, default "mean"
        What the head reads: "cls", "mean" or "pooler".
    n : int or None, default 200
        Training rows, at least 2, class ratio kept, drawn by `seed`; None takes all.
    steps : sequence of int, default (10, 100, 1000)
        Numbers of gradient steps, each at least 1.
    rate : float, default 1.0
        Learning rate as a multiple of 1 / beta of the mean loss on these rows, above 0.
    weight : str, default "1/n"
        Of the rows that stay when one is left out: "1/n" or "1/(n-1)".
    start_scale : float, default 0.0
        Standard deviation of the initial weights; 0 starts at zero.
    bias : float, default 0.0
        Value of a constant feature, penalised like the others; 0 gives none.
    seed : int, default 0
        Draws rows and initial weights.
    max_length : int or None, default None
        Tokens after which texts are cut; None takes what the encoder can read.
    device : str, default "cpu"
        Where the features are computed.

    Raises
    ------
    UserError
        For a task without classes, settings out of range, and features that the encoder lacks.
    """
    if task.kind != "classification":
        raise UserError(f'task "{task.name}": is a regression; certificates are for heads that tell classes apart')
    number("rate", rate, "must be a finite number above 0", lambda value: 0 < value < np.inf)
    number("start_scale", start_scale, "must be a finite number of at least 0", lambda value: 0 <= value < np.inf)
    number("bias", bias, "must be a finite number of at least 0", lambda value: 0 <= value < np.inf)
    choice("features", features, get_args(Features))
    choice("weight", weight, get_args(Weight))
    whole("seed", seed, "must be at least 0", lambda value: value >= 0)
    if max_length is not None:
        whole("max_length", max_length, "must be at least 3", lambda value: value >= 3)
    if n is not None:
        whole("n", n, "must be at least 2, leaving one out needs another", lambda rows: rows >= 2)
    if not several("steps", steps, "numbers of steps", object):
        raise UserError(Argument("steps", list(steps)), ": must be numbers of at least 1")
    for count in steps:
        whole("steps", count, "must be at least 1", lambda value: value >= 1)
    given = len(task.train) if n is None else n
    notes = []
    if given > len(task.train):
        notes.append(f"n = {given}: the task has {len(task.train)} training rows, all are used")
    else:
        task = task.subsample(given, Seeds(subset=seed).generator("subset"))
    split, warnings = frozen_features(encoder, task, features, max_length, torch.device(device))
    x = split.features.double().numpy()
    if bias:
        x = np.column_stack([x, np.full(len(x), bias)])
    y = split.labels.numpy()
    classes = len(np.unique(y))
    loss: HeadLoss = "logistic" if classes == 2 else "softmax"
    y = np.searchsorted(np.unique(y), y) if classes > 1 else y
    beta = constants.smoothness(x, loss=loss)
    eta, b = rate / beta, constants.radius(x)
    shape = (x.shape[1],) if loss == "logistic" else (classes, x.shape[1])
    start = start_scale * Seeds(init=seed).generator("init").standard_normal(shape)
    start_norm = float(np.linalg.norm(start))
    measured = leave_one_out(x, y, loss, steps=list(steps), rate=eta, weight=weight, start=start, dtype="float64")
    refused: dict[str, str] = {}

    def attempt(name: str, make: Callable[[], Bound]) -> Bound | None:
        try:
            return make()
        except UserError as error:
            refused[name] = str(error)
            return None

    try:
        limit = leave_one_out_max_margin(x, y)
    except UserError as error:
        limit = None
        refused["B2, B3 closed form"] = str(error)
    last = measured.weights[-1, 0]
    one_run = attempt(
        "B3, one run",
        lambda: bounds.head_tuning_one_run(x, y, loss=loss, rate=eta, steps=measured.steps, weight=weight, start=start),
    )
    closed: list[Bound] = []
    in_the_limit: tuple[Bound, ...] = ()
    direction = None
    if limit is not None:
        gamma = limit.full.margin
        common = partial(
            bounds.head_tuning, n=len(x), radius=b, margin=gamma, rate=eta, weight=weight, loss=loss, smoothness=beta,
            start_norm=start_norm,
        )  # fmt: skip
        norms = [float(np.linalg.norm(w[0])) for w in measured.weights]
        made = [attempt("B3, closed form", partial(common, norm=norm)) for norm in norms]
        closed = [bound for bound in made if bound is not None]
        in_the_limit = (
            bounds.max_margin_refit(margin=gamma, margins=limit.margin),
            bounds.max_margin_one_fit(x, limit.full),
            bounds.max_margin(n=len(x), radius=b, margin=gamma, loss=loss),
        )
        direction = attempt("B1", lambda: bounds.max_margin_direction(x, y, last, loss=loss, margin=gamma))
    return Certificate(
        encoder=encoder.name,
        task=task.name,
        features=features,
        rows=len(x),
        width=x.shape[1],
        classes=classes,
        bias=bias,
        radius=b,
        typical_radius=constants.radius(x, 0.99),
        margin=None if limit is None else limit.full.margin,
        rate=eta,
        smoothness=beta,
        start_norm=start_norm,
        accuracy=_accuracy(x, y, last),
        measured=measured,
        limit=limit,
        one_run=one_run,
        closed=tuple(closed),
        max_margin=in_the_limit,
        direction=direction,
        refused=refused,
        notes=(*notes, *warnings, *measured.warnings),
    )


def _accuracy(x: Floats, y: npt.NDArray[np.int64], weights: Floats) -> float:
    scores = x @ weights.T
    predicted = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
    return float(np.mean(predicted == y))
