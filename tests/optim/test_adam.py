"""Adam against torch.optim.AdamW, and the two Adams against each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stabilitybench.optim.adam import AdamState, adam_step, bias_ratio

BETAS = (0.9, 0.999)


def random_tensors(seed: int, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = {"matrix": (3, 4), "vector": (5,), "scalar": ()}
    return {n: scale * torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype) for n, shape in shapes.items()}


def step(
    params: dict[str, Tensor],
    grads: dict[str, Tensor],
    state: AdamState,
    *,
    lr: float,
    decay: float = 0.0,
    **settings: object,
) -> None:
    """One step with the same rate and decay for every tensor."""
    flat = dict.fromkeys(params, lr), dict.fromkeys(params, decay)
    adam_step(params, grads, state, rates=flat[0], decays=flat[1], **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    b1=st.floats(0, 0.99),
    b2=st.floats(0, 0.9999),
    eps=st.sampled_from([1e-12, 1e-8, 1e-6, 1e-2]),
    lr=st.floats(1e-6, 1),
    decay=st.sampled_from([0.0, 0.01, 0.7]),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    seed=st.integers(0, 1000),
)
def test_corrected_adam_is_torchs_adamw_step_for_step(
    dtype: torch.dtype, b1: float, b2: float, eps: float, lr: float, decay: float, scale: float, seed: int
) -> None:
    mine = random_tensors(seed, dtype)
    # The same kernel, bit for bit; and torch's plain loop over the formula, to rounding.
    kernels = {"fused": {"fused": True}, "plain": {"foreach": False}}
    theirs = {k: {name: tensor.clone().requires_grad_() for name, tensor in mine.items()} for k in kernels}
    oracles = {
        k: torch.optim.AdamW(list(theirs[k].values()), lr=lr, betas=(b1, b2), eps=eps, weight_decay=decay, **options)
        for k, options in kernels.items()
    }
    state = AdamState()
    for t in range(6):
        grads = random_tensors(seed + 1 + t, dtype, scale)
        for kernel, oracle in oracles.items():
            for name, tensor in theirs[kernel].items():
                tensor.grad = grads[name].clone()
            oracle.step()
        step(mine, grads, state, lr=lr, decay=decay, betas=(b1, b2), epsilon=eps)
        for name in mine:
            assert torch.equal(mine[name], theirs["fused"][name]), f"step {t + 1}, {name}"
            close = {"rtol": 1e-12, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
            torch.testing.assert_close(mine[name], theirs["plain"][name].detach(), **close, msg=f"step {t + 1}, {name}")


def test_rates_and_decays_belong_to_their_tensor() -> None:
    mine = random_tensors(0)
    rates = {"matrix": 0.1, "vector": 0.01, "scalar": 0.0}
    decays = {"matrix": 0.5, "vector": 0.0, "scalar": 0.5}
    theirs = {name: tensor.clone().requires_grad_() for name, tensor in mine.items()}
    groups = [{"params": [theirs[n]], "lr": rates[n], "weight_decay": decays[n]} for n in theirs]
    oracle = torch.optim.AdamW(groups)
    start, state = mine["scalar"].clone(), AdamState()
    for t in range(4):
        grads = random_tensors(10 + t)
        for name, tensor in theirs.items():
            tensor.grad = grads[name].clone()
        oracle.step()
        adam_step(mine, grads, state, rates=rates, decays=decays)
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name].detach(), rtol=1e-13, atol=0)
    assert torch.equal(mine["scalar"], start), "a rate of 0 freezes a tensor, decay included"


def test_gradients_are_read_and_never_written() -> None:
    params, grads, state = random_tensors(0), random_tensors(1), AdamState()
    before = {name: g.clone() for name, g in grads.items()}
    for _ in range(3):
        step(params, grads, state, lr=0.1, decay=0.1)
    assert all(torch.equal(grads[name], before[name]) for name in grads)


@pytest.mark.parametrize("gradients", ["constant", "random"])
def test_ratio_of_the_two_adams_over_2000_real_steps(gradients: str) -> None:
    """The moments do not depend on the weights, so both optimizers see the same ones: the ratio is the closed form."""
    rng = torch.Generator().manual_seed(5)
    corrected, uncorrected = AdamState(), AdamState()
    worst, largest = 0.0, (0.0, 0)
    g = torch.tensor([0.3, -2.0, 1e-3], dtype=torch.float64)
    for t in range(1, 2001):
        if gradients == "random":
            g = torch.randn(3, generator=rng, dtype=torch.float64)
        moved = []
        for state, correct in ((uncorrected, False), (corrected, True)):
            # From zero, so that the weight after the step is the step itself, unrounded.
            w = {"w": torch.zeros(3, dtype=torch.float64)}
            step(w, {"w": g}, state, lr=1.0, epsilon=0.0, bias_correction=correct)
            moved.append(w["w"])
        ratio = (moved[0] / moved[1]).tolist()
        expected = (1 - 0.9**t) / math.sqrt(1 - 0.999**t)
        worst = max(worst, *(abs(r - expected) for r in ratio))
        largest = max(largest, (ratio[0], t))
        assert bias_ratio(t) == pytest.approx(expected, rel=1e-14)
    assert worst < 1e-9
    assert largest[1] == 12
    assert round(largest[0], 2) == 6.57


@pytest.mark.parametrize(
    ("step_number", "published"),
    [(1, 3.16), (2, 4.25), (5, 5.80), (12, 6.57), (50, 4.50), (100, 3.24), (200, 2.35), (400, 1.74), (1000, 1.26)],
)
def test_bias_ratio_table(step_number: int, published: float) -> None:
    assert round(bias_ratio(step_number), 2) == published


def test_bias_ratio_of_robertas_betas_stays_small() -> None:
    assert round(max(bias_ratio(t, (0.9, 0.98)) for t in range(1, 500)), 2) == 1.55


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    lr=st.floats(1e-5, 0.1),
    eps=st.sampled_from([0.0, 1e-8, 1e-3]),
    decay=st.sampled_from([0.0, 0.01, 0.5]),
    betas=st.tuples(st.floats(0, 0.95), st.floats(0.5, 0.999)),
    seed=st.integers(0, 1000),
)
def test_uncorrected_adam_is_adamw_with_a_rescaled_rate(
    lr: float, eps: float, decay: float, betas: tuple[float, float], seed: int
) -> None:
    """Rate times c_t, eps over sqrt(1 - b2^t) and decay over c_t turn AdamW into the released BERT's optimizer."""
    mine = random_tensors(seed)
    theirs = {name: tensor.clone().requires_grad_() for name, tensor in mine.items()}
    oracle = torch.optim.AdamW(list(theirs.values()), betas=betas)
    state = AdamState()
    for t in range(1, 8):
        grads = random_tensors(seed + t)
        c = bias_ratio(t, betas)
        oracle.param_groups[0].update(lr=lr * c, eps=eps / math.sqrt(1 - betas[1] ** t), weight_decay=decay / c)
        for name, tensor in theirs.items():
            tensor.grad = grads[name].clone()
        oracle.step()
        step(mine, grads, state, lr=lr, decay=decay, betas=betas, epsilon=eps, bias_correction=False)
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name].detach(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("order", ["before", "after"])
def test_decay_before_or_after_the_step_by_hand(order: str, correct: bool) -> None:
    lr, decay, eps = 0.1, 0.5, 1e-3
    b1, b2 = BETAS
    w, m, v = 2.0, 0.0, 0.0
    params, state = {"w": torch.tensor([w], dtype=torch.float64)}, AdamState()
    for t, g in enumerate([0.4, -1.0, 3.0], start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if correct else (m, v)
        moved = lr * m_hat / (math.sqrt(v_hat) + eps)
        # before: w - lr decay w - moved.  after: the moved weight itself is shrunk.
        w = w - lr * decay * w - moved if order == "before" else (w - moved) * (1 - lr * decay)
        grads = {"w": torch.tensor([g], dtype=torch.float64)}
        step(params, grads, state, lr=lr, decay=decay, epsilon=eps, bias_correction=correct, decay_order=order)
        assert params["w"].item() == pytest.approx(w, rel=1e-13)
    assert state.step == 3


def test_no_tensors_is_no_error() -> None:
    adam_step({}, {}, AdamState(), rates={}, decays={})
