"""Constants of a network with a head, through its loss: gradient norms, curvature, distance.

Everything is measured at given weights on given samples, so that each number is local: the largest gradient norm
over the points visited is a lower bound of L, the extreme eigenvalues of the Hessian are those of this point.

A `SampleLoss` takes the weights that count as a dict of tensors and one sample (tensors without a batch axis) and
returns that sample's loss, one number; the mean over samples is taken here, so that no `reduction` can be mistaken.
`model_loss` makes one from a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.errors import UserError, shown
from stabilitybench.theory.rows import Floats

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]
    Samples = Mapping[str, torch.Tensor]
    SampleLoss = Callable[[Weights, Samples], torch.Tensor]

#: Below this many weights the whole Hessian is formed: Lanczos needs more dimensions than vectors.
DENSE = 32


@dataclass(frozen=True)
class Curvature:
    """Extreme eigenvalues of the Hessian of the mean loss at one point.

    smoothness : beta, the largest eigenvalue.  lowest : the smallest, of any sign.
    convexity : mu, `lowest` where it is positive beyond the accuracy of the computation, else None: a bound that needs
    mu > 0 is then undefined, and there is no number to put in its place.  note : says so in words.
    """

    smoothness: float
    lowest: float
    convexity: float | None
    note: str


@dataclass(frozen=True)
class Distance:
    """How far weights have moved: Euclidean, divided by the norm of the start, and by tensor."""

    total: float
    relative: float
    by_tensor: Mapping[str, float]


@dataclass(frozen=True)
class NetworkConstants:
    """What the bounds of full tuning ask of a network, at one point and on one set of samples.

    lipschitz : the largest gradient norm of a sample's loss here, a lower bound of L.  loss : the mean loss here,
    which is 0 only under interpolation.  distance : from the start, or None where no start was given.
    """

    lipschitz: float
    loss: float
    curvature: Curvature
    distance: Distance | None


def model_loss(
    model: torch.nn.Module, *, frozen: Sequence[str] = (), regression: bool = False
) -> tuple[SampleLoss, dict[str, torch.Tensor]]:
    """Return the loss of one sample as a function of the model's weights, and these weights (detached copies).

    model : maps input_ids, attention_mask, ... to an output with `logits`, or to logits (a transformers classifier
    does), in evaluation mode.  frozen : prefixes of the names of weights that do not count; they stay as they are.
    A sample holds what the model takes and "labels", a class index (regression: a number, squared error / 2).

    The model is never changed.  A 0/1 attention mask is made additive beforehand, because reading a mask's content
    is not possible for a batch of per-sample derivatives.  Raises UserError for a model in training mode (dropout
    makes the loss random, batch norm couples the samples) and for a prefix that no weight has.
    """
    import torch
    from torch.func import functional_call

    training = [name or "the model" for name, module in model.named_modules() if module.training]
    if training:
        raise UserError(f"model_loss: {training[0]} is in training mode: call model.eval(), or the loss is random")
    everything = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    for prefix in frozen:
        if not any(name.startswith(prefix) for name in everything):
            raise UserError(f"model_loss: frozen = {shown(prefix)}: no weight of the model has this prefix")
    free = {name: tensor for name, tensor in everything.items() if not name.startswith(tuple(frozen) or ("\0",))}
    if not free:
        raise UserError("model_loss: every weight is frozen: at least one must count")
    fixed = {name: tensor for name, tensor in everything.items() if name not in free}
    fixed |= {name: tensor.detach().clone() for name, tensor in model.named_buffers()}

    def loss(weights: Weights, sample: Samples) -> torch.Tensor:
        inputs = {name: tensor.unsqueeze(0) for name, tensor in sample.items() if name != "labels"}
        if "attention_mask" in inputs:
            dtype = next(iter(weights.values())).dtype
            hidden = 1 - inputs["attention_mask"][:, None, None, :].to(dtype)
            # not minus infinity, whose second derivatives are not numbers
            inputs["attention_mask"] = hidden * torch.finfo(torch.float32).min
        output = functional_call(model, {**fixed, **weights}, args=(), kwargs=inputs)
        logits: torch.Tensor = getattr(output, "logits", output)[0]
        if regression:
            return (logits.reshape(()) - sample["labels"]).square() / 2
        return torch.nn.functional.cross_entropy(logits, sample["labels"])

    return loss, free


def gradient_norms(loss: SampleLoss, weights: Weights, samples: Samples, *, chunk: int = 16) -> Floats:
    """Return the norm of every sample's loss gradient at `weights`, [n].

    samples : tensors with n entries along their first axis.  chunk : how many gradients are held at once, at the
    cost of `chunk` copies of the weights.  L along a run is the largest over its checkpoints.

    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> gradient_norms(square, {"w": torch.tensor([1.0, 0.0])}, {"x": torch.eye(2) * 2}).tolist()
    [4.0, 0.0]
    """
    import torch
    from torch.func import grad, vmap

    point, rows = _checked(loss, weights, samples, chunk)
    each = vmap(grad(loss), in_dims=(None, 0))
    norms = []
    with _twice_differentiable(), torch.no_grad():
        for part in _parts(rows, chunk):
            squares = [gradient.double().flatten(1).square().sum(dim=1) for gradient in each(point, part).values()]
            norms.append(torch.stack(squares).sum(dim=0).sqrt())
    return _finite(torch.cat(norms).cpu().numpy(), "a gradient norm")


def mean_loss(loss: SampleLoss, weights: Weights, samples: Samples, *, chunk: int = 16) -> float:
    """Return the mean of the samples' losses at `weights`.

    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> mean_loss(square, {"w": torch.tensor([1.0, 0.0])}, {"x": torch.eye(2) * 2})
    1.0
    """
    import torch
    from torch.func import vmap

    point, rows = _checked(loss, weights, samples, chunk)
    with _twice_differentiable(), torch.no_grad():
        values = torch.cat([vmap(loss, in_dims=(None, 0))(point, part).double() for part in _parts(rows, chunk)])
    return float(_finite(values.cpu().numpy(), "a loss").mean())


def curvature(
    loss: SampleLoss,
    weights: Weights,
    samples: Samples,
    *,
    chunk: int = 16,
    tolerance: float = 1e-3,
    iterations: int = 300,
    seed: int = 0,
) -> Curvature:
    """Return the extreme eigenvalues of the Hessian of the mean loss at `weights`.

    Products of Hessian and vector go to Lanczos iterations in scipy (`eigsh`), which search both ends of the spectrum
    at once: the largest in absolute value might be a negative one, and a search near zero does not converge.
    tolerance : relative accuracy of the eigenvalues; float32 weights support about 1e-3.  seed : of the start
    vector.  chunk : samples whose derivatives are held at once.  Lanczos keeps 20 vectors in float64, 160 bytes a
    weight: for a large encoder freeze most of it (`model_loss`).

    A smallest eigenvalue below `tolerance` times the largest is not known to be positive: `convexity` is then None.
    Raises UserError where Lanczos does not converge in `iterations` restarts, and for a loss that is not finite.

    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> found = curvature(square, {"w": torch.zeros(2)}, {"x": torch.tensor([[2.0, 0.0], [0.0, 1.0]])})
    >>> found.smoothness, found.convexity
    (2.0, 0.5)
    """
    if not 0 < tolerance < 1:
        raise UserError(f"curvature: tolerance = {shown(tolerance)}: must lie in (0, 1)")
    point, rows = _checked(loss, weights, samples, chunk)
    total = sum(tensor.numel() for tensor in point.values())
    with _twice_differentiable():
        product = _hessian_product(loss, point, rows, chunk)
        if total <= DENSE:
            hessian = np.stack([product(column) for column in np.eye(total)])
            values = np.linalg.eigvalsh((hessian + hessian.T) / 2)
            return _read(float(values[-1]), float(values[0]), tolerance)
        start = np.random.default_rng(seed).standard_normal(total)
        lowest, largest = _extremes(product, start, tolerance, iterations)
    return _read(largest, lowest, tolerance)


def distance(start: Weights, end: Weights, *, without: Sequence[str] = ()) -> Distance:
    """Return how far the weights moved from `start` to `end`.

    without : prefixes of names left out, such as a new head, whose start is random and whose way says nothing of the
    encoder.  The end of a run is not a minimiser, and weights before a layer norm can grow without any effect: read
    it beside the relative distance.  Raises UserError where the two do not hold the same tensors.

    >>> import torch
    >>> moved = distance({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 5.0])})
    >>> moved.total, moved.relative
    (1.0, 0.2)
    """
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
    _finite(np.array([total, before]), "a weight")
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

    Arguments as in `gradient_norms`, `curvature` and `distance`.

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


def _hessian_product(
    loss: SampleLoss, point: dict[str, torch.Tensor], rows: dict[str, torch.Tensor], chunk: int
) -> Callable[[Floats], Floats]:
    """Return v -> H v for the Hessian H of the mean loss, over flat vectors in the order of `point`.

    H is symmetric, so that the gradient's derivative in reverse mode is H v too; on an encoder this took a quarter of
    the time of `torch.func.jvp` of the gradient, agreeing to rounding.
    """
    import torch
    from torch.func import vmap

    free = {name: tensor.clone().requires_grad_() for name, tensor in point.items()}
    parts = list(_parts(rows, chunk))
    count = len(next(iter(rows.values())))

    def gradient(part: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        total = vmap(loss, in_dims=(None, 0))(free, part).sum()
        return torch.autograd.grad(total, list(free.values()), create_graph=True, materialize_grads=True)

    # one chunk: its graph is kept for all products; several are built anew each time, since memory must not add up
    kept = gradient(parts[0]) if len(parts) == 1 else None

    def product(vector: Floats) -> Floats:
        flat = np.asarray(vector, dtype=np.float64).ravel()
        tangents, first = [], 0
        for tensor in point.values():
            piece = flat[first : first + tensor.numel()].reshape(tensor.shape)
            tangents.append(torch.from_numpy(piece).to(tensor))
            first += tensor.numel()
        result = np.zeros(flat.shape)
        for part in parts:
            # a weight in which the loss is linear has a gradient without a derivative
            pairs = [pair for pair in zip(kept or gradient(part), tangents, strict=True) if pair[0].requires_grad]
            if pairs:
                turned = torch.autograd.grad(
                    [pair[0] for pair in pairs],
                    list(free.values()),
                    [pair[1] for pair in pairs],
                    retain_graph=kept is not None,
                    materialize_grads=True,
                )
                result += torch.cat([piece.double().flatten() for piece in turned]).cpu().numpy()
        return _finite(result / count, "a product of the Hessian")

    return product


def _extremes(
    product: Callable[[Floats], Floats], start: Floats, tolerance: float, iterations: int
) -> tuple[float, float]:
    """Return the algebraically smallest and largest eigenvalue of the symmetric operator `product`."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    operator = LinearOperator((len(start), len(start)), matvec=product, dtype=np.float64)
    try:
        # BE: one from either end of the same Krylov space
        ends = eigsh(operator, k=2, which="BE", v0=start, tol=tolerance, maxiter=iterations, return_eigenvectors=False)
    except ArpackNoConvergence:
        raise UserError(
            f"curvature: no convergence in {iterations} iterations: allow more, or a larger tolerance"
        ) from None
    return float(ends.min()), float(ends.max())


def _read(largest: float, lowest: float, tolerance: float) -> Curvature:
    if lowest > tolerance * abs(largest):
        return Curvature(largest, lowest, lowest, "mu > 0 at this point")
    if lowest < -tolerance * abs(largest):
        note = f"mu <= 0 (smallest eigenvalue {lowest:.3g}): not convex here, bounds that need mu > 0 are undefined"
    else:
        note = f"smallest eigenvalue {lowest:.3g} is 0 within the accuracy: bounds that need mu > 0 are undefined"
    return Curvature(largest, lowest, None, note)


def _checked(
    loss: SampleLoss, weights: Weights, samples: Samples, chunk: int
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return detached weights and the samples, after one evaluation that shows the loss to be one finite number."""
    import torch

    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise UserError(f"chunk = {shown(chunk)}: must be a whole number of at least 1")
    point = {name: tensor.detach() for name, tensor in weights.items()}
    rows = dict(samples)
    lengths = {len(tensor) if tensor.ndim else 0 for tensor in rows.values()}
    if not point or not all(tensor.is_floating_point() for tensor in point.values()):
        raise UserError("weights must be a dict of at least one floating-point tensor")
    if len(lengths) != 1 or lengths == {0}:
        raise UserError(f"samples hold tensors of {sorted(lengths)} rows: all must have the same number, at least 1")
    with torch.no_grad():
        value = loss(point, {name: tensor[0] for name, tensor in rows.items()})
    if value.numel() != 1 or value.ndim:
        raise UserError(f"the loss of one sample has shape {tuple(value.shape)}: must be a single number")
    return point, rows


def _parts(rows: dict[str, torch.Tensor], chunk: int) -> Iterator[dict[str, torch.Tensor]]:
    count = len(next(iter(rows.values())))
    for first in range(0, count, chunk):
        yield {name: tensor[first : first + chunk] for name, tensor in rows.items()}


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Use the plain formula for attention: its fused kernels have no second derivative."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


def _finite(values: Floats, what: str) -> Floats:
    if not np.all(np.isfinite(values)):
        raise UserError(f"{what} is not finite: the weights or the samples are out of range")
    return values
