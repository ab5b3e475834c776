"""Constants of a network with a head, through its loss: gradient norms, mean loss, distance, and all together.

Everything is measured at given weights on given samples, so that each number is local: the largest gradient norm
over the points visited is a lower bound of L, the extreme eigenvalues of the Hessian are those of this point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.argument_checks import several
from stabilitybench.errors import UserError, shown
from stabilitybench.theory.constants.hessian import Curvature, curvature
from stabilitybench.theory.constants.sample_loss import checked, finite, parts, tensors, twice_differentiable
from stabilitybench.theory.inputs import Floats

if TYPE_CHECKING:
    from stabilitybench.theory.constants.sample_loss import SampleLoss, Samples, Weights


@dataclass(frozen=True)
class Distance:
    """How far weights have moved.

    Attributes
    ----------
    total : float
        Euclidean distance over all tensors.
    relative : float
        `total` divided by the norm of the start; NaN for a start of zeros.
    by_tensor : mapping of str to float
        Euclidean distance of each tensor.
    """

    total: float
    relative: float
    by_tensor: Mapping[str, float]


@dataclass(frozen=True)
class NetworkConstants:
    """What the bounds of full tuning ask of a network, at one point and on one set of samples.

    Attributes
    ----------
    lipschitz : float
        The largest gradient norm of a sample's loss here, a lower bound of L.
    loss : float
        The mean loss here, which is 0 only under interpolation.
    curvature : Curvature
        Extreme eigenvalues of the Hessian of the mean loss here.
    distance : Distance or None
        From the start; None where no start was given.
    """

    lipschitz: float
    loss: float
    curvature: Curvature
    distance: Distance | None


def gradient_norms(loss: SampleLoss, weights: Weights, samples: Samples, *, chunk: int = 16) -> Floats:
    """Return the norm of every sample's loss gradient at `weights`.

    L along a run is the largest over its checkpoints.

    Parameters
    ----------
    loss : callable
        ``loss(weights, sample)``, the loss of one sample, as `model_loss` makes it.
    weights : mapping of str to torch.Tensor
        The point, for the weights that count.
    samples : mapping of str to torch.Tensor
        Tensors with n entries along their first axis.
    chunk : int, default 16
        How many gradients are held at once, at the cost of `chunk` copies of the weights.

    Returns
    -------
    ndarray, shape (n,)
        Euclidean norms over all weights, float64.

    Raises
    ------
    UserError
        For samples of different lengths, a loss that is not one number, or a norm that is not finite.

    Examples
    --------
    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> gradient_norms(square, {"w": torch.tensor([1.0, 0.0])}, {"x": torch.eye(2) * 2}).tolist()
    [4.0, 0.0]
    """
    import torch
    from torch.func import grad, vmap

    point, rows = checked(loss, weights, samples, chunk)
    each = vmap(grad(loss), in_dims=(None, 0))
    norms = []
    with twice_differentiable(), torch.no_grad():
        for part in parts(rows, chunk):
            squares = [gradient.double().flatten(1).square().sum(dim=1) for gradient in each(point, part).values()]
            norms.append(torch.stack(squares).sum(dim=0).sqrt())
    return finite(torch.cat(norms).cpu().numpy(), "a gradient norm")


def mean_loss(loss: SampleLoss, weights: Weights, samples: Samples, *, chunk: int = 16) -> float:
    """Return the mean of the samples' losses at `weights`.

    Parameters
    ----------
    loss, weights, samples
        As in `gradient_norms`.
    chunk : int, default 16
        Samples evaluated at once.

    Returns
    -------
    float
        The mean over the n samples, summed in float64.

    Raises
    ------
    UserError
        As `gradient_norms`.

    Examples
    --------
    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> mean_loss(square, {"w": torch.tensor([1.0, 0.0])}, {"x": torch.eye(2) * 2})
    1.0
    """
    import torch
    from torch.func import vmap

    point, rows = checked(loss, weights, samples, chunk)
    with twice_differentiable(), torch.no_grad():
        values = torch.cat([vmap(loss, in_dims=(None, 0))(point, part).double() for part in parts(rows, chunk)])
    return float(finite(values.cpu().numpy(), "a loss").mean())


def distance(start: Weights, end: Weights, *, without: Sequence[str] = ()) -> Distance:
    """Return how far the weights moved from `start` to `end`.

    The end of a run is not a minimiser, and weights before a layer norm can grow without any effect: read it beside
    the relative distance.

    Parameters
    ----------
    start, end : mapping of str to torch.Tensor
        Weights before and after, of the same names and shapes.
    without : sequence of str, default ()
        Prefixes of names left out, such as a new head, whose start is random and whose way says nothing of the encoder.

    Returns
    -------
    Distance
        In total, relative to the norm of the start, and by tensor.

    Raises
    ------
    UserError
        Where the two do not hold the same tensors, a prefix is of no tensor, or nothing is left to compare.

    Examples
    --------
    >>> import torch
    >>> moved = distance({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 5.0])})
    >>> moved.total, moved.relative
    (1.0, 0.2)
    """
    tensors("start", start), tensors("end", end)
    without = several("without", without, "prefixes of names", str)
    if {n: t.shape for n, t in start.items()} != {n: t.shape for n, t in end.items()}:
        raise UserError("distance: start and end must hold the same tensors, by name and shape")
    for prefix in without:
        if not any(name.startswith(prefix) for name in start):
            raise UserError(f"distance: without = {shown(prefix)}: no tensor has this prefix")
    names = [name for name in start if not name.startswith(tuple(without) or ("\0",))]
    if not names:
        raise UserError("distance: no tensor is left to compare")
    by_tensor = {n: float((end[n].detach().double() - start[n].detach().double()).norm()) for n in names}
    total = float(np.linalg.norm(list(by_tensor.values())))
    before = float(np.linalg.norm([float(start[name].detach().double().norm()) for name in names]))
    finite(np.array([total, before]), "a weight")
    return Distance(total, total / before if before else float("nan"), by_tensor)


def network_constants(
    loss: SampleLoss,
    weights: Weights,
    samples: Samples,
    *,
    start: Weights | None = None,
    chunk: int = 16,
    tolerance: float = 1e-3,
) -> NetworkConstants:
    """Return L, the mean loss, beta, mu and the distance from `start`, all at `weights`.

    Parameters
    ----------
    loss, weights, samples
        As in `gradient_norms`.
    start : mapping of str to torch.Tensor, optional
        Weights that the run began with; without them there is no distance.
    chunk : int, default 16
        Samples whose derivatives are held at once.
    tolerance : float, default 1e-3
        Relative accuracy of the eigenvalues, as in `curvature`.

    Returns
    -------
    NetworkConstants
        What the bounds of full tuning ask for.

    Raises
    ------
    UserError
        As `gradient_norms`, `curvature` and `distance`.

    Examples
    --------
    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> found = network_constants(square, {"w": torch.ones(2)}, {"x": torch.tensor([[2.0, 0.0], [1.0, 0.0]])})
    >>> found.lipschitz, found.curvature.convexity
    (4.0, None)
    """
    return NetworkConstants(
        lipschitz=float(gradient_norms(loss, weights, samples, chunk=chunk).max()),
        loss=mean_loss(loss, weights, samples, chunk=chunk),
        curvature=curvature(loss, weights, samples, chunk=chunk, tolerance=tolerance),
        distance=None if start is None else distance(start, weights),
    )
