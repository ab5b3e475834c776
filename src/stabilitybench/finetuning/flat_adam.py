"""Adam whose rates, count of steps and clipping are device tensors, on flat tensors of one group each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from stabilitybench.finetuning.flat import Flat
from stabilitybench.finetuning.kernels import kernels
from stabilitybench.finetuning.tensors import Params
from stabilitybench.optim.adam import FAR
from stabilitybench.recipe import Recipe


class FlatAdam:
    """The trained weights with everything the optimizer keeps of them.

    Parameters
    ----------
    params : mapping of str to Tensor
        Give names, shapes and type.
    recipe : Recipe
        Betas, epsilon, bias correction and the order of the decay.
    decays : mapping of str to float
        Weight decay of each tensor.
    column : mapping of str to int
        Column of each tensor in the table of rates.
    cast : collection of str
        Names of the tensors that are read in bfloat16.

    Attributes
    ----------
    weights, gradients : Flat
        By tensor; what a step reads and changes.
    shadows : dict of str to Tensor of bfloat16
        Copies of the weights in `cast`, as new as the weights.
    """

    def __init__(
        self, params: Mapping[str, Tensor], recipe: Recipe, decays: Mapping[str, float], column: Mapping[str, int],
        cast: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._recipe = recipe
        groups: dict[tuple[int, float], list[str]] = {}
        for name in params:
            groups.setdefault((column[name], decays[name]), []).append(name)
        self._groups, names = list(groups), list(groups.values())
        self.weights, self.gradients, self._first, self._second = (Flat(names, params) for _ in range(4))
        self._shadow = Flat(names, params, torch.bfloat16) if cast else None
        self.shadows: Params = {n: t for n, t in self._shadow.views.items() if n in cast} if self._shadow else {}
        self._count = torch.zeros((), device=self.device)
        fused = kernels(self.device)
        self._kernel = None if fused is None else fused.adam

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        where: torch.device = self.weights.parts[0].device
        return where

    @property
    def changed(self) -> list[Tensor]:
        """Every tensor that a step changes and the next one reads."""
        kept = [*self.weights.parts, *self._first.parts, *self._second.parts, self._count]
        return [*kept, *self._shadow.parts] if self._shadow else kept

    @torch.no_grad()
    def load(self, params: Mapping[str, Tensor]) -> None:
        """Begin with other weights.

        Parameters
        ----------
        params : mapping of str to Tensor
            Of the same shapes.
        """
        self.weights.load(params)
        self._first.zero()
        self._second.zero()
        self._count.fill_(0.0 if self._recipe.bias_correction else FAR)
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the weights to their shadows."""
        if self._shadow:
            torch._foreach_copy_(self._shadow.parts, self.weights.parts)

    @torch.no_grad()
    def step(self, rates: Sequence[Tensor], factor: Tensor | None) -> None:
        """Take one step along `gradients`, as `stabilitybench.optim.adam.adam_step` does.

        Parameters
        ----------
        rates : sequence of Tensor of float64, shape ()
            By column.
        factor : Tensor, shape (), or None
            What the gradients are multiplied by.
        """
        if self._recipe.bias_correction:
            self._count += 1
        if self._kernel is None:
            self._step_parts(rates, factor)
        else:
            self._step_fused(self._kernel, rates, factor)

    def _step_parts(self, rates: Sequence[Tensor], factor: Tensor | None) -> None:
        recipe = self._recipe
        if factor is not None:
            torch._foreach_mul_(self.gradients.parts, factor)
        parts = zip(
            self._groups, self.weights.parts, self.gradients.parts, self._first.parts, self._second.parts, strict=True
        )
        for (column, decay), weight, grad, first, second in parts:
            rate = rates[column]
            torch._fused_adamw_(
                [weight], [grad], [first], [second], [], [self._count],
                lr=rate.float() if self.device.type == "cuda" else rate,  # the type that the kernel reads
                beta1=recipe.betas[0], beta2=recipe.betas[1],
                weight_decay=decay if recipe.decay_order == "before" else 0.0,
                eps=recipe.epsilon, amsgrad=False, maximize=False,
            )  # fmt: skip
            if decay and recipe.decay_order == "after":
                weight.mul_(1 - rate * decay)
        self.refresh()

    def _step_fused(self, kernel: Callable[..., None], rates: Sequence[Tensor], factor: Tensor | None) -> None:
        recipe = self._recipe
        powers = torch.stack([1 - beta ** self._count.double() for beta in recipe.betas])
        powers[1].sqrt_()
        corrections = powers.float()
        shadows: Sequence[Any] = self._shadow.parts if self._shadow else [None] * len(self._groups)
        parts = zip(
            self._groups, self.weights.parts, self.gradients.parts, self._first.parts, self._second.parts, shadows,
            strict=True,
        )  # fmt: skip
        for (column, decay), weight, grad, first, second, shadow in parts:
            kernel(
                weight, grad, first, second, shadow, factor=factor, rate=rates[column].float(),
                corrections=corrections, decay=decay, betas=recipe.betas, epsilon=recipe.epsilon,
                late=recipe.decay_order == "after",
            )  # fmt: skip
