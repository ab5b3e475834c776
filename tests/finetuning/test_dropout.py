"""Dropout masks: honest coin flips, addressed by their place alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from stabilitybench.finetuning.dropout import KeyedDropout, attention, install
from stabilitybench.finetuning.masks import Addresses, keep_mask
from stabilitybench.finetuning.packing import Packing
from stabilitybench.seeds import Seeds

SHAPE = torch.Size((64, 32, 128))


def addresses(key: int, rows: int, length: int, first_row: int = 0) -> Addresses:
    """Addresses of a batch without padding."""
    return Addresses.of(key, Packing.of(torch.ones(rows, length)), first_row)


def mask(key: int = 12345, row: int = 0, shape: tuple[int, ...] = SHAPE, rate: float = 0.1, place: int = 7) -> Tensor:
    """Mask of (rows, positions, channels), or of attention weights (rows, heads, queries, keys)."""
    at = addresses(key, shape[0], shape[1], row)
    if len(shape) == 4:
        return keep_mask(at.rows, torch.Size(shape), rate, place)
    tokens = torch.Size((shape[0] * shape[1], 1, shape[2]))
    return keep_mask(at.tokens[:, None], tokens, rate, place).view(shape)


def correlation(a: Tensor, b: Tensor) -> float:
    a, b = a.double().flatten() - a.double().mean(), b.double().flatten() - b.double().mean()
    return float((a * b).mean() / (a.std() * b.std()))


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.1, 0.2, 0.5, 0.7, 0.9, 0.999])
@pytest.mark.parametrize("key", [0, 1, 2**31 - 1, Seeds().key("dropout", "step 0"), Seeds().key("dropout", "step 1")])
def test_rate_lies_within_binomial_scatter(rate: float, key: int) -> None:
    kept = mask(key, rate=rate)
    spread = math.sqrt(rate * (1 - rate) / kept.numel())
    assert abs(1 - kept.double().mean().item() - rate) < 4.5 * spread


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_means_along_every_axis_scatter_as_coin_flips_do(axis: int, rate: float) -> None:
    """A hash that favoured some rows, positions or channels would spread these means more (or less) than chance."""
    others = tuple(a for a in range(3) if a != axis)
    pooled = torch.stack([mask(key, rate=rate).double().mean(others) for key in range(20)])
    trials = math.prod(SHAPE[a] for a in others)
    observed = float((pooled - (1 - rate)).square().mean() / (rate * (1 - rate) / trials))
    # The mean of k squared standard normals has standard deviation sqrt(2 / k).
    assert abs(observed - 1) < 5 * math.sqrt(2 / pooled.numel())


SQUARE = mask(shape=(64, 32, 32))
ABOVE = tuple(torch.triu_indices(32, 32, offset=1))  # the diagonal would be compared with itself

NEIGHBOURS: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "rows": lambda: (mask()[:-1], mask()[1:]),
    "positions": lambda: (mask()[:, :-1], mask()[:, 1:]),
    "channels": lambda: (mask()[..., :-1], mask()[..., 1:]),
    "distant channels": lambda: (mask()[..., :64], mask()[..., 64:]),
    "position and channel swapped": lambda: (SQUARE[:, *ABOVE], SQUARE.transpose(1, 2)[:, *ABOVE]),
    "keys": lambda: (mask(1), mask(2)),
    "keys that differ in the highest bit": lambda: (mask(1), mask(1 + 2**30)),
    "places": lambda: (mask(place=1), mask(place=2)),
    "steps": lambda: (mask(Seeds().key("dropout", "step 0")), mask(Seeds().key("dropout", "step 1"))),
    "seeds": lambda: (mask(Seeds().key("dropout", "step 0")), mask(Seeds(dropout=1).key("dropout", "step 0"))),
}


@pytest.mark.parametrize("between", NEIGHBOURS)
def test_masks_are_uncorrelated_between(between: str) -> None:
    a, b = NEIGHBOURS[between]()
    assert abs(correlation(a, b)) < 4.5 / math.sqrt(a.numel())


def test_neighbouring_pairs_and_triples_are_independent_too() -> None:
    """Joint frequencies of three neighbours, the weak spot of cheap hashes."""
    kept = mask(rate=0.5).long()
    for triple in (kept[..., :-2] + 2 * kept[..., 1:-1] + 4 * kept[..., 2:], kept[:-2] + 2 * kept[1:-1] + 4 * kept[2:]):
        counts = torch.bincount(triple.flatten(), minlength=8).double()
        expected = triple.numel() / 8
        # Overlapping triples are dependent: twice the usual spread is still far from any real defect.
        assert (counts - expected).abs().max() < 9 * math.sqrt(expected)


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 1, 1), (64, 2, 128), (64, 32, 1)])
def test_an_element_depends_on_its_own_coordinates_alone(shape: tuple[int, ...]) -> None:
    """A shorter padding, fewer rows or a narrower layer only cuts the mask."""
    assert torch.equal(mask(shape=shape), mask()[tuple(slice(n) for n in shape)])


@pytest.mark.parametrize("first", [0, 1, 17, 63])
def test_a_micro_batch_reads_its_rows_of_the_whole_mask(first: int) -> None:
    assert torch.equal(mask(row=first, shape=(1, 32, 128)), mask()[first : first + 1])


def test_packed_tokens_read_the_mask_of_their_row_and_position() -> None:
    """Padding left out: element (token, 0, channel) is element (row, position, channel) of the padded tensor."""
    text = torch.zeros(64, 32)
    lengths = (torch.arange(64) * 7) % 32 + 1
    for row, length in enumerate(lengths.tolist()):
        text[row, :length] = 1
    at = Addresses.of(12345, Packing.of(text))
    packed = keep_mask(at.tokens[:, None], torch.Size((int(lengths.sum()), 1, 128)), 0.1, 7)
    assert torch.equal(packed[:, 0], mask()[text.bool()])


def test_pooled_tokens_are_addressed_by_their_row() -> None:
    """After pooling every token of a row stands for the row."""
    at = addresses(12345, 64, 32)
    pooled = keep_mask(at.token_rows, torch.Size((64 * 32, 128)), 0.1, 7).view(64, 32, 128)
    assert (pooled == pooled[:, :1]).all()
    assert abs(correlation(pooled[:-1, 0], pooled[1:, 0])) < 4.5 / math.sqrt(63 * 128)
    assert abs(1 - pooled[:, 0].double().mean().item() - 0.1) < 4.5 * math.sqrt(0.09 / (64 * 128))


def test_attention_masks_are_addressed_by_row_head_query_and_key() -> None:
    whole = mask(shape=(4, 4, 12, 12), rate=0.5)
    assert torch.equal(mask(shape=(4, 4, 9, 9), rate=0.5), whole[:, :, :9, :9])
    for axis in range(4):
        others = whole.transpose(0, axis)
        assert all(not torch.equal(a, b) for a, b in pairwise(others)), f"axis {axis} does not matter"


class Lonely(nn.Module):
    """What transformers hands to an attention function: a module with a dropout."""

    def __init__(self, name: str) -> None:
        super().__init__()
        part = KeyedDropout(0.5, "somewhere")
        part.addresses = addresses(5, 3, 6)
        setattr(self, name, part)


@pytest.mark.parametrize("name", ["dropout", "attention_dropout"])
def test_attention_without_dropout_is_torchs_and_with_it_drops_weights_one_by_one(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn((3, 2, 6, 4), generator=rng, dtype=torch.float64) for _ in range(3))
    padding = torch.zeros((3, 1, 1, 6), dtype=torch.float64)
    padding[1, ..., 4:] = torch.finfo(torch.float32).min
    module = Lonely(name).eval()
    out, plain = attention(module, q, k, v, padding)
    oracle = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=padding)
    torch.testing.assert_close(out, oracle.transpose(1, 2), rtol=1e-12, atol=1e-12)
    module.train()
    _, dropped = attention(module, q, k, v, padding)
    ratio = dropped / plain.clamp_min(1e-300)
    open_ = (plain > 0).expand_as(ratio)
    assert set(ratio[open_].round(decimals=6).unique().tolist()) == {0.0, 2.0}
    part = getattr(module, name)
    part.calls = 0
    _, shorter = attention(module, q[:, :, :4], k[:, :, :4], v[:, :, :4], padding[..., :4])
    assert torch.equal(shorter == 0, (dropped == 0)[:, :, :4, :4]), "padding must not move the mask"


def test_module_is_the_identity_without_training_and_at_rate_zero() -> None:
    x = torch.ones(4, 5, 6)
    assert KeyedDropout(0.5, "a").eval()(x) is x
    assert KeyedDropout(0.0, "a").train()(x) is x


def test_module_keeps_the_expectation_and_every_use_has_its_own_mask() -> None:
    x = torch.ones(64 * 32, 1, 128)

    def made(place: str) -> KeyedDropout:
        module = KeyedDropout(0.25, place).train()
        module.addresses = addresses(0, 64, 32)
        return module

    module = made("a")
    first, second = module(x), module(x)
    assert first.mean().item() == pytest.approx(1, abs=0.01)
    assert first.unique().tolist() == pytest.approx([0, 4 / 3])
    assert abs(correlation(first, second)) < 0.01
    module.calls = 0
    assert torch.equal(module(x), first), "the module itself holds no random state"
    assert not torch.equal(made("b")(x), first), "another place has another mask"


def test_install_replaces_every_dropout_under_its_name_and_rate() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3), nn.Sequential(nn.Dropout(0.0), nn.ReLU()))
    found = install(model)
    assert {name: part.p for name, part in found.items()} == {"1": 0.3, "2.0": 0.0}
    assert not [part for part in model.modules() if isinstance(part, nn.Dropout)]
    assert model[1] is found["1"]
