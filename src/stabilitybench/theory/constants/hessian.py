"""Curvature of a network's loss at one point: the extreme eigenvalues of the Hessian of the mean loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench.argument_checks import count, number
from stabilitybench.errors import UserError
from stabilitybench.theory.constants.sample_loss import checked, finite, parts, twice_differentiable
from stabilitybench.theory.inputs import Floats

if TYPE_CHECKING:
    import torch

    from stabilitybench.theory.constants.sample_loss import SampleLoss, Samples, Weights

#: Below this many weights the whole Hessian is formed: Lanczos needs more dimensions than vectors.
DENSE = 32


@dataclass(frozen=True)
class Curvature:
    """Extreme eigenvalues of the Hessian of the mean loss at one point.

    Attributes
    ----------
    smoothness : float
        beta, the largest eigenvalue.
    lowest : float
        The smallest eigenvalue, of any sign.
    convexity : float or None
        mu, `lowest` where it is positive beyond the accuracy of the computation, else None: a bound that needs mu > 0
        is then undefined, and there is no number to put in its place.
    note : str
        What `convexity` says, in words.
    """

    smoothness: float
    lowest: float
    convexity: float | None
    note: str


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
    Lanczos keeps 20 vectors in float64, 160 bytes a weight: for a large encoder freeze most of it (`model_loss`).

    Parameters
    ----------
    loss : callable
        ``loss(weights, sample)``, the loss of one sample, as `model_loss` makes it.
    weights : mapping of str to torch.Tensor
        The point, for the weights that count.
    samples : mapping of str to torch.Tensor
        Tensors with n entries along their first axis.
    chunk : int, default 16
        Samples whose derivatives are held at once.
    tolerance : float, default 1e-3
        Relative accuracy of the eigenvalues, in (0, 1); float32 weights support about 1e-3.  A smallest eigenvalue
        below `tolerance` times the largest is not known to be positive: `convexity` is then None.
    iterations : int, default 300
        Most restarts of Lanczos.
    seed : int, default 0
        Of the start vector.

    Returns
    -------
    Curvature
        beta, the smallest eigenvalue, and mu where it is known to be positive.

    Raises
    ------
    UserError
        Where Lanczos does not converge in `iterations` restarts, and for a loss that is not finite.

    Examples
    --------
    >>> import torch
    >>> square = lambda weights, sample: (weights["w"] @ sample["x"]) ** 2 / 2
    >>> found = curvature(square, {"w": torch.zeros(2)}, {"x": torch.tensor([[2.0, 0.0], [0.0, 1.0]])})
    >>> found.smoothness, found.convexity
    (2.0, 0.5)
    """
    number("tolerance", tolerance, "must lie in (0, 1)", lambda share: 0 < share < 1)
    count("iterations", iterations)
    count("seed", seed, 0)
    point, rows = checked(loss, weights, samples, chunk)
    total = sum(tensor.numel() for tensor in point.values())
    with twice_differentiable():
        product = _hessian_product(loss, point, rows, chunk)
        if total <= DENSE:
            hessian = np.stack([product(column) for column in np.eye(total)])
            values = np.linalg.eigvalsh((hessian + hessian.T) / 2)
            return _read(float(values[-1]), float(values[0]), tolerance)
        start = np.random.default_rng(seed).standard_normal(total)
        lowest, largest = _extremes(product, start, tolerance, iterations)
    return _read(largest, lowest, tolerance)


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
    chunks = list(parts(rows, chunk))
    count = len(next(iter(rows.values())))

    def gradient(part: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        total = vmap(loss, in_dims=(None, 0))(free, part).sum()
        return torch.autograd.grad(total, list(free.values()), create_graph=True, materialize_grads=True)

    # one chunk: its graph is kept for all products; several are built anew each time, since memory must not add up
    kept = gradient(chunks[0]) if len(chunks) == 1 else None

    def product(vector: Floats) -> Floats:
        flat = np.asarray(vector, dtype=np.float64).ravel()
        tangents, first = [], 0
        for tensor in point.values():
            piece = flat[first : first + tensor.numel()].reshape(tensor.shape)
            tangents.append(torch.from_numpy(piece).to(tensor))
            first += tensor.numel()
        result = np.zeros(flat.shape)
        for part in chunks:
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
        return finite(result / count, "a product of the Hessian")

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
