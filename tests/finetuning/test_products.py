"""Linear layers of an accelerator, held on the CPU against those of torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations

import pytest
import torch
from torch import Tensor, nn

from stabilitybench.finetuning import products

NAMES = ("query", "key", "value")


class Attention(nn.Module):
    """Calls three layers on one input in some order."""

    def __init__(self, order: tuple[str, ...] = NAMES) -> None:
        super().__init__()
        self.order = order
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        called = {name: self.get_submodule(name)(x) for name in self.order}
        return self.out(called["query"] * called["value"].sigmoid() + called["key"])  # type: ignore[no-any-return]


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        yield


def pair(dtype: torch.dtype, order: tuple[str, ...] = NAMES) -> tuple[Attention, Attention]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one = Attention(order)
    two = copy.deepcopy(one)
    products.install(two, NAMES, dtype)
    return one, two


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("order", list(permutations(NAMES)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_and_gradients_are_those_of_torch(dtype: torch.dtype, order: tuple[str, ...]) -> None:
    found = []
    for module in pair(dtype, order):
        x = inputs(7, 1, 8).requires_grad_()
        with precision(dtype):
            y = module(x)
        y.float().square().sum().backward()
        assert y.dtype == dtype
        found.append([y.detach(), x.grad, *(p.grad for p in module.parameters())])
    # sums in another order: a rounding of the type at most, relative to the largest number
    close = 1e-5 if dtype == torch.float32 else 2**-6
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).abs().max() <= close * theirs.abs().max()


def test_weights_are_read_at_each_call_and_nothing_of_a_pass_is_kept() -> None:
    one, two = pair(torch.float32)
    for module in (one, two):
        module(inputs(3, 8))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(2)
    torch.testing.assert_close(two(inputs(3, 8)), one(inputs(3, 8)))


def test_a_layer_that_reads_another_input_than_its_neighbours_gets_its_own_product() -> None:
    one, two = pair(torch.float32)
    a, b = inputs(3, 8), inputs(5, 8)
    for module, found in ((one, plain := []), (two, ours := [])):
        found += [module.query(a), module.key(b), module.query(b), module.value(a), module.key(a)]
    for x, y in zip(ours, plain, strict=True):
        torch.testing.assert_close(x, y)


def test_frozen_weights_take_no_gradient() -> None:
    _, module = pair(torch.float32)
    module.key.weight.requires_grad_(False)
    module.out.bias.requires_grad_(False)
    module(inputs(3, 8)).sum().backward()
    assert module.key.weight.grad is None
    assert module.out.bias.grad is None
    assert module.query.weight.grad is not None
