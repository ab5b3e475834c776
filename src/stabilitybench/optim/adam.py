"""Adam with and without bias correction, on dictionaries of tensors.

Update of one tensor at step t = 1, 2, ... with gradient g (Kingma & Ba 2015; Loshchilov & Hutter 2019)::

    m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
    corrected:    w <- w - lr * [m / (1 - b1^t)] / [sqrt(v / (1 - b2^t)) + eps]
    uncorrected:  w <- w - lr *  m               / [sqrt(v)              + eps]

The uncorrected form is the optimizer BERT was released with.  Without eps its step is larger by
``(1 - b1^t) / sqrt(1 - b2^t)``, at most 6.57 times (t = 12 for the usual betas).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.adamw import adamw

#: A step at which no trace of bias correction is left in double precision.
FAR = 1e12


@dataclass(eq=False)
class AdamState:
    """First and second moments of each tensor, and the number of steps taken."""

    first: dict[str, Tensor] = field(default_factory=dict)
    second: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0


def copy_moments(state: AdamState) -> AdamState:
    """Return a state of its own with the same moments."""
    return average_moments([state])


def average_moments(states: Sequence[AdamState]) -> AdamState:
    """Return the mean of each moment over `states`, all after the same number of steps; their tensors are copied.

    >>> one, two = (AdamState({"w": torch.tensor([x])}, {"w": torch.tensor([x])}, 3) for x in (1.0, 3.0))
    >>> average_moments([one, two])
    AdamState(first={'w': tensor([2.])}, second={'w': tensor([2.])}, step=3)
    """

    def mean(moments: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.stack([m[name] for m in moments]).mean(0) for name in moments[0]}

    return AdamState(mean([s.first for s in states]), mean([s.second for s in states]), states[0].step)


def bias_ratio(step: int, betas: tuple[float, float] = (0.9, 0.999)) -> float:
    """Return by how much the uncorrected step exceeds the corrected one at `step` >= 1, without eps.

    >>> round(bias_ratio(12), 2)
    6.57
    """
    return float((1 - betas[0] ** step) / math.sqrt(1 - betas[1] ** step))


@torch.no_grad()
def adam_step(
    params: Mapping[str, Tensor],
    grads: Mapping[str, Tensor],
    state: AdamState,
    *,
    rates: Mapping[str, float],
    decays: Mapping[str, float],
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    bias_correction: bool = True,
    decay_order: str = "before",
) -> None:
    """Take one step in place on `params` and `state`; `params` must be owned by the caller and detached.

    rates : learning rate of each tensor at this step.  decays : decoupled weight decay of each tensor.
    decay_order : "before" shrinks the old weight, w <- (1 - lr * decay) w, as torch.optim.AdamW and the released
    BERT do; "after" shrinks the updated one, as the AdamW of transformers 2.x did.
    """
    state.step += 1
    groups: dict[tuple[float, float], list[str]] = {}
    for name in params:
        groups.setdefault((rates[name], decays[name]), []).append(name)
        if name not in state.first:
            state.first[name] = torch.zeros_like(params[name])
            state.second[name] = torch.zeros_like(params[name])
    # The fused kernel of torch reads the step from a tensor for each weight.  Both corrections, 1 - b^t, are exactly 1
    # at a step so large: that is Adam without them.
    count = float(state.step - 1) if bias_correction else FAR
    for (rate, decay), names in groups.items():
        weights = [params[name] for name in names]
        adamw(
            weights,
            [grads[name] for name in names],
            [state.first[name] for name in names],
            [state.second[name] for name in names],
            [],
            list(torch.full((len(names),), count, device=weights[0].device).unbind()),
            fused=True,
            amsgrad=False,
            beta1=betas[0],
            beta2=betas[1],
            lr=rate,
            weight_decay=decay if decay_order == "before" else 0.0,
            eps=epsilon,
            maximize=False,
        )
        if decay and decay_order == "after":
            torch._foreach_mul_(weights, 1 - rate * decay)
