"""Adam as a `torch.optim.Optimizer`, with the switches that torch's own lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from stabilitybench.optim.adam import AdamState, adam_step


class SwitchableAdamW(torch.optim.Optimizer):
    """AdamW whose bias correction can be off and whose decay can follow the step.

    The update is `stabilitybench.optim.adam.adam_step`.

    Parameters
    ----------
    params : iterable
        Parameters, or groups of them with settings of their own, as for any optimizer of torch.
    lr : float
        Learning rate, at least 0.
    betas : tuple of float, default (0.9, 0.999)
        Decay rates of the averages of gradient and squared gradient.
    eps : float, default 1e-8
        Added to the root of the second average.
    weight_decay : float, default 0.0
        Share of a weight, times the rate, that a step takes away.
    bias_correction : bool, default True
        Whether the averages are corrected for their start at 0.
    decay_order : str, default "before"
        "before" decays before the step, "after" after it.

    Examples
    --------
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SwitchableAdamW([w], lr=0.1, bias_correction=False)
    >>> w.grad = torch.tensor([2.0])
    >>> optimizer.step()
    >>> round(w.item(), 4)  # 1 - 0.1 * (0.1 * 2) / sqrt(0.001 * 4)
    0.6838
    """

    def __init__(
        self, params: Iterable[Any], lr: float, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, bias_correction: bool = True, decay_order: str = "before",
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "bias_correction": bias_correction,
                "decay_order": decay_order,
            },
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient.

        Parameters
        ----------
        closure : callable or None, default None
            Computes the loss again, gradients included.

        Returns
        -------
        object
            What the closure returned; None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            # Parameters may have taken different numbers of steps, where some had no gradient at times.
            by_steps: dict[int, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    state = self.state[weight]
                    if not state:
                        state["step"] = torch.zeros(())
                        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
                    by_steps.setdefault(int(state["step"]), []).append(weight)
                    state["step"] += 1
            for steps, weights in by_steps.items():
                self._move(group, weights, steps)
        return loss

    def _move(self, group: dict[str, Any], weights: list[Tensor], steps: int) -> None:
        names = [str(i) for i in range(len(weights))]
        moments = AdamState(
            dict(zip(names, (self.state[w]["exp_avg"] for w in weights), strict=True)),
            dict(zip(names, (self.state[w]["exp_avg_sq"] for w in weights), strict=True)),
            steps,
        )
        grads = {name: w.grad for name, w in zip(names, weights, strict=True) if w.grad is not None}
        adam_step(
            dict(zip(names, weights, strict=True)), grads, moments,
            rates=dict.fromkeys(names, float(group["lr"])), decays=dict.fromkeys(names, float(group["weight_decay"])),
            betas=group["betas"], epsilon=group["eps"], bias_correction=group["bias_correction"],
            decay_order=group["decay_order"],
        )  # fmt: skip
