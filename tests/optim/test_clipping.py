"""Gradient clipping against torch.nn.utils.clip_grad_norm_."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stabilitybench.optim.clipping import clip, norm


def gradients(seed: int, scale: float, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {n: scale * torch.randn(s, generator=rng).to(dtype) for n, s in {"a": (4, 3), "b": (7,), "c": ()}.items()}


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 999), scale=st.sampled_from([0.0, 1e-4, 1.0, 1e5]), limit=st.floats(0.01, 10))
def test_global_clipping_is_torchs(seed: int, scale: float, limit: float) -> None:
    grads = gradients(seed, scale)
    leaves = {name: torch.zeros_like(g).requires_grad_() for name, g in grads.items()}
    for name, leaf in leaves.items():
        leaf.grad = grads[name].clone()
    total = torch.nn.utils.clip_grad_norm_(list(leaves.values()), limit)
    clipped = clip(grads, limit)
    assert torch.equal(norm(grads), total)
    for name, leaf in leaves.items():
        assert torch.equal(clipped[name], leaf.grad), name  # type: ignore[arg-type]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 999), scale=st.sampled_from([1e-4, 1.0, 1e5]), limit=st.floats(0.01, 10))
def test_clipping_per_tensor_clips_each_alone(seed: int, scale: float, limit: float) -> None:
    grads = gradients(seed, scale)
    clipped = clip(grads, limit, scope="tensor")
    for name, g in grads.items():
        leaf = torch.zeros_like(g).requires_grad_()
        leaf.grad = g.clone()
        torch.nn.utils.clip_grad_norm_([leaf], limit)
        torch.testing.assert_close(clipped[name], leaf.grad, rtol=1e-6, atol=0)


def test_the_two_scopes_differ_where_only_one_tensor_is_large() -> None:
    grads = {"large": torch.full((4,), 10.0), "small": torch.full((4,), 0.1)}
    whole, alone = clip(grads, 1.0), clip(grads, 1.0, scope="tensor")
    assert torch.equal(alone["small"], grads["small"]), "a small tensor is left alone"
    assert whole["small"].abs().max() < 0.01, "the global norm shrinks every tensor"


@pytest.mark.parametrize("scope", ["global", "tensor"])
def test_zero_switches_clipping_off_and_inputs_stay(scope: str) -> None:
    grads = gradients(1, 100.0)
    before = {name: g.clone() for name, g in grads.items()}
    assert all(torch.equal(clip(grads, 0.0, scope=scope)[n], before[n]) for n in grads)
    clip(grads, 1.0, scope=scope)
    assert all(torch.equal(grads[n], before[n]) for n in grads)


def test_gradients_within_the_limit_are_unchanged_bit_for_bit() -> None:
    grads = gradients(1, 1e-3)
    assert all(torch.equal(clip(grads, 1.0)[n], grads[n]) for n in grads)


def test_norm_and_clip_of_nothing() -> None:
    assert float(norm({})) == 0.0
    assert clip({}, 1.0) == {}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_is_not_hidden(bad: float) -> None:
    clipped = clip({"a": torch.tensor([bad, 1.0]), "b": torch.ones(2)}, 1.0)
    assert not torch.isfinite(clipped["a"]).all()
