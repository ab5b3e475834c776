"""Adam on flat tensors as one Triton kernel: clips, decays, moves, and writes the copy that matrix products read."""

from __future__ import annotations

from torch import Tensor

from stabilitybench.finetuning.triton_import import jit, tl, triton

#: Elements of a program.
BLOCK = 1024


@jit()
def _adam(  # type: ignore[no-untyped-def]
    weight_ptr, grad_ptr, first_ptr, second_ptr, shadow_ptr, count, factor_ptr, rate_ptr, corrections_ptr,
    decay, beta1, beta2, epsilon, LATE: tl.constexpr, CLIP: tl.constexpr, SHADOW: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    rate = tl.load(rate_ptr)
    grad = tl.load(grad_ptr + at, mask=inside)
    if CLIP:
        grad = grad * tl.load(factor_ptr)
    weight = tl.load(weight_ptr + at, mask=inside)
    first = tl.load(first_ptr + at, mask=inside)
    second = tl.load(second_ptr + at, mask=inside)
    first = beta1 * first + (1 - beta1) * grad
    second = beta2 * second + (1 - beta2) * grad * grad
    move = rate / tl.load(corrections_ptr) * first
    move = move / (tl.sqrt(second) / tl.load(corrections_ptr + 1) + epsilon)
    shrink = 1 - rate * decay
    weight = (weight - move) * shrink if LATE else weight * shrink - move
    tl.store(weight_ptr + at, weight, mask=inside)
    tl.store(first_ptr + at, first, mask=inside)
    tl.store(second_ptr + at, second, mask=inside)
    if SHADOW:
        tl.store(shadow_ptr + at, weight.to(tl.bfloat16), mask=inside)


def adam(
    weight: Tensor, grad: Tensor, first: Tensor, second: Tensor, shadow: Tensor | None, *,
    factor: Tensor | None, rate: Tensor, corrections: Tensor, decay: float, betas: tuple[float, float],
    epsilon: float, late: bool,
) -> None:  # fmt: skip
    """Take one step in place; the formula is that of `stabilitybench.optim.adam`.

    Parameters
    ----------
    weight, grad, first, second : Tensor of float32, shape (n,)
        Weights, gradients and moments.
    shadow : Tensor of bfloat16, shape (n,), or None
        Becomes a copy of the weights.
    factor : Tensor of float32, shape (), or None
        What the gradient is multiplied by.
    rate : Tensor of float32, shape ()
        The learning rate.
    corrections : Tensor of float32, shape (2,)
        1 - b1^t, and the square root of 1 - b2^t; ones without bias correction.
    decay : float
        Decoupled weight decay.
    betas : tuple of two float
        Decay rates of the moments.
    epsilon : float
        Added to the root of the second moment.
    late : bool
        Whether the decay shrinks the weight after the step.
    """
    count = weight.numel()
    _adam[(triton.cdiv(count, BLOCK),)](
        weight, grad, first, second, weight if shadow is None else shadow, count,
        rate if factor is None else factor, rate, corrections, decay, *betas, epsilon, LATE=late,
        CLIP=factor is not None, SHADOW=shadow is not None, BLOCK=BLOCK,
    )  # fmt: skip
