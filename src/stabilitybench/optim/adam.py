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
    """Moments of Adam for a set of tensors; a tensor enters at its first step.

    Attributes
    ----------
    first : dict of str to Tensor
        Moving average m of the gradient, by tensor.
    second : dict of str to Tensor
        Moving average v of the squared gradient, by tensor.
    step : int
        Number t of steps taken.
    """

    first: dict[str, Tensor] = field(default_factory=dict)
    second: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0


def copy_moments(state: AdamState) -> AdamState:
    """Return a state of its own with the same moments.

    Parameters
    ----------
    state : AdamState
        The moments to copy.

    Returns
    -------
    AdamState
        Shares no tensor with `state`.
    """
    return average_moments([state])


def average_moments(states: Sequence[AdamState]) -> AdamState:
    """Return the mean of each moment over several states.

    Parameters
    ----------
    states : sequence of AdamState
        At least one, of the same tensors, all after the same number of steps.

    Returns
    -------
    AdamState
        Shares no tensor with `states`.

    Examples
    --------
    >>> one, two = (AdamState({"w": torch.tensor([x])}, {"w": torch.tensor([x])}, 3) for x in (1.0, 3.0))
    >>> average_moments([one, two])
    AdamState(first={'w': tensor([2.])}, second={'w': tensor([2.])}, step=3)
    """

    def mean(moments: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.stack([m[name] for m in moments]).mean(0) for name in moments[0]}

    return AdamState(mean([s.first for s in states]), mean([s.second for s in states]), states[0].step)


def bias_ratio(step: int, betas: tuple[float, float] = (0.9, 0.999)) -> float:
    """Return by how much the uncorrected step exceeds the corrected one: (1 - b1^t) / sqrt(1 - b2^t), without eps.

    Parameters
    ----------
    step : int
        t, at least 1.
    betas : tuple of two float, default (0.9, 0.999)
        Decay rates b1 and b2 of the moments.

    Examples
    --------
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
    """Take one step of Adam [1]_ with decoupled weight decay [2]_, in place on `params` and `state`.

    Parameters
    ----------
    params : mapping of str to Tensor
        The weights, detached and owned by the caller.
    grads : mapping of str to Tensor
        Their gradients.
    state : AdamState
        Moments before the step; after it, those with these gradients.
    rates : mapping of str to float
        Learning rate of each tensor at this step.
    decays : mapping of str to float
        Decoupled weight decay of each tensor.
    betas : tuple of two float, default (0.9, 0.999)
        Decay rates of the first and the second moment.
    epsilon : float, default 1e-8
        Added to the root of the second moment.
    bias_correction : bool, default True
        Divide the moments by 1 - b^t; without it this is the optimizer of the released BERT.
    decay_order : {"before", "after"}, default "before"
        "before" shrinks the old weight, w <- (1 - lr * decay) w, as torch.optim.AdamW and the released BERT do; "after"
        shrinks the updated one, as the AdamW of transformers 2.x did.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba (2015), "Adam: a method for stochastic optimization", ICLR, arXiv 1412.6980.
    .. [2] I. Loshchilov and F. Hutter (2019), "Decoupled weight decay regularization", ICLR, arXiv 1711.05101.

    Examples
    --------
    >>> params, state = {"w": torch.tensor([1.0])}, AdamState()
    >>> adam_step(params, {"w": torch.tensor([3.0])}, state, rates={"w": 0.25}, decays={"w": 0.0})
    >>> params, state.step
    ({'w': tensor([0.7500])}, 1)
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
