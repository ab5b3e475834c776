"""What the steps of a run read: shapes that hold every batch, packing without a look at values, and flat tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.flat import ALIGNED, Flat
from stabilitybench.finetuning.mirror import Mirror, form
from stabilitybench.finetuning.packing import Packing
from stabilitybench.finetuning.step_tables import (
    LENGTH,
    MOST_SHAPES,
    TOKENS,
    RowTable,
    fitting,
    rate_table,
    shape_of,
    step_shapes,
)
from stabilitybench.optim.schedule import multiplier
from stabilitybench.stabilizers import build
from support.device_runs import CPU, loop_of

RNG = np.random.default_rng(0)
#: Lengths of the rows of tasks: like RTE's, short ones, all equal, two kinds, one row, fewer rows than a batch.
LENGTHS = {
    "like RTE": np.clip(RNG.lognormal(np.log(58.5), 0.47, 2490), 12, 128).astype(int),
    "short": RNG.integers(3, 30, 501),
    "equal": np.full(64, 17),
    "two kinds": np.where(RNG.random(333) < 0.1, 512, 5),
    "one row": np.array([40]),
    "few rows": np.array([3, 90, 14]),
}


@pytest.mark.parametrize("task", LENGTHS)
@pytest.mark.parametrize("size", [1, 7, 16])
def test_every_batch_of_every_order_fits_and_shapes_are_few(task: str, size: int) -> None:
    lengths = LENGTHS[task]
    shapes = step_shapes(lengths, size, 384)
    assert len(shapes) <= MOST_SHAPES + 2  # the longest batch, and that of the rest of an epoch
    assert [s.cost(384) for s in shapes] == sorted(s.cost(384) for s in shapes)
    worst = np.sort(lengths)[::-1]
    for order in (worst, worst[::-1], *(np.random.default_rng(k).permutation(lengths) for k in range(5))):
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            found = fitting(shapes, batch)
            assert found.rows == len(batch)
            assert found.length >= batch.max()
            assert found.length * found.rows >= found.tokens >= batch.sum()
            assert found.length % LENGTH == 0
            assert found.tokens % TOKENS == 0 or found.tokens == found.rows * found.length
            assert not any(s.holds(batch) and s.cost(384) < found.cost(384) for s in shapes)


@pytest.mark.parametrize("task", LENGTHS)
def test_shapes_depend_on_the_task_and_the_batch_alone(task: str) -> None:
    assert step_shapes(LENGTHS[task], 16, 384) == step_shapes(LENGTHS[task].copy(), 16, 384)


def test_surplus_of_the_shapes_of_rte_is_small() -> None:
    """What padding to shapes adds to the tokens that are there: few per cent, where padding to the longest adds 74."""
    lengths = LENGTHS["like RTE"]
    shapes, order = step_shapes(lengths, 16, 1024), np.random.default_rng(9).permutation(lengths)
    batches = [order[start : start + 16] for start in range(0, len(order), 16)]
    held = sum(fitting(shapes, batch).tokens for batch in batches)
    assert 1 <= held / lengths.sum() < 1.2
    assert sum(len(b) * b.max() for b in batches) / lengths.sum() > 1.5


@pytest.mark.parametrize("surplus", [0, 1, 50])
def test_packing_by_lengths_is_packing_by_the_mask(surplus: int) -> None:
    lengths = torch.tensor([2, 7, 1, 7, 4])
    width, tokens = 7, int(lengths.sum())
    mask = (torch.arange(width) < lengths[:, None]).long()
    read, made = Packing.of(mask), Packing.of_lengths(lengths, width, tokens + surplus)
    assert (made.rows, made.length) == (read.rows, read.length)
    assert torch.equal(made.index[:tokens], read.index)
    assert torch.equal(made.first, read.first)
    assert torch.equal(made.row[:tokens], read.row)
    assert torch.equal(made.position[:tokens], read.position)
    grid = torch.randn(5, width, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made.pack(grid)[:tokens], read.pack(grid))
    assert torch.equal(made.unpack(made.pack(grid)), read.unpack(read.pack(grid)))  # a surplus token goes nowhere
    assert int(made.row.max()) < 5
    assert int(made.position.max()) < width


def test_a_wider_grid_moves_no_token() -> None:
    lengths = torch.tensor([2, 7, 1])
    narrow, wide = Packing.of_lengths(lengths, 7, 10), Packing.of_lengths(lengths, 32, 10)
    assert torch.equal(narrow.row, wide.row)
    assert torch.equal(narrow.position, wide.position)
    assert torch.equal(narrow.first, wide.first)


def test_rows_are_taken_as_a_split_gives_them(bert: Encoder) -> None:
    split: Any = loop_of(bert).training.splits.train
    table, rows = RowTable(split, CPU), np.array([5, 0, 23])
    shape = shape_of(table.lengths[rows])
    taken, batch = table.take(torch.from_numpy(rows), shape), split.batch(rows)
    width = batch.mask.shape[1]
    for ours, theirs in ((taken.tokens, batch.tokens), (taken.mask, batch.mask), (taken.segments, batch.segments)):
        assert ours.shape == (3, shape.length)
        assert torch.equal(ours[:, :width], theirs)
        assert not ours[:, width:].any()
    assert torch.equal(taken.labels, batch.labels)
    assert torch.equal(table.on_host(rows, shape).mask, taken.mask)


@pytest.mark.parametrize("arm", [(), ("llrd",), ("gradual-unfreezing",), ("llrd", "gradual-unfreezing")])
def test_tabulated_rates_are_those_that_a_step_asks_for(bert: Encoder, arm: tuple[str, ...]) -> None:
    training = loop_of(bert, tuple(build(name, {}) for name in arm)).training
    recipe, names = training.recipe, list(training.params)
    table = rate_table(training.composition, names, recipe, training.at)
    total = training.ctx.total_steps
    for step in range(total):
        rate = (recipe.learning_rate or 0) * multiplier(recipe.schedule, step, total, recipe.warmup)
        asked = training.composition.rates(dict.fromkeys(names, rate), training.at(step))
        assert {name: table.values[step, table.column[name]] for name in names} == asked
    assert table.values.shape[1] <= len({tuple(table.values[:, c]) for c in table.column.values()})
    assert (table.values.shape[1] == 1) == (not arm)


def test_flat_tensors_are_parts_of_one_group_by_group() -> None:
    like = {"a": torch.ones(3, 50), "b": torch.ones(2), "c": torch.ones(64, dtype=torch.float32)}
    flat = Flat([["c", "a"], ["b"]], like)
    assert list(flat.views) == ["a", "b", "c"]
    assert [len(part) for part in flat.parts] == [64 + 192, 64]
    flat.load({name: t * k for k, (name, t) in enumerate(like.items(), 1)})
    assert {name: (t.shape, t.unique().tolist()) for name, t in flat.views.items()} == {
        "a": (torch.Size([3, 50]), [1.0]), "b": (torch.Size([2]), [2.0]), "c": (torch.Size([64]), [3.0]),
    }  # fmt: skip
    assert flat.parts[0].sum() == 64 * 3 + 150  # nothing stands in the gaps
    assert all(view.storage_offset() % ALIGNED == 0 for view in flat.views.values())
    flat.parts[1].fill_(7.0)
    assert flat.views["b"].tolist() == [7.0, 7.0]
    flat.zero()
    assert not any(part.any() for part in flat.parts)
    narrow = Flat([["a", "b", "c"]], like, torch.bfloat16)
    narrow.load({"a": like["a"], "b": like["b"].double(), "c": like["c"].bfloat16()})
    assert all(view.dtype == torch.bfloat16 and (view == 1).all() for view in narrow.views.values())


def test_a_mirror_keeps_addresses_and_what_is_one_tensor_stays_one() -> None:
    shared = torch.ones(2)
    tree = {"a": shared, "b": [shared, (torch.zeros(3), "name", None)]}
    mirror = Mirror(tree)
    copy = mirror.tree
    assert copy["a"] is copy["b"][0]
    assert copy["a"] is not shared
    assert copy["b"][1][1:] == ("name", None)
    addresses = [t.data_ptr() for t in Mirror.tensors(copy)]
    other = torch.full((2,), 5.0)
    mirror.load({"a": other, "b": [other, (torch.full((3,), 6.0), "name", None)]})
    assert [t.data_ptr() for t in Mirror.tensors(mirror.tree)] == addresses
    assert (copy["a"].tolist(), copy["b"][1][0].tolist()) == ([5.0, 5.0], [6.0, 6.0, 6.0])
    mirror.restore(tree)
    assert shared.tolist() == [5.0, 5.0]
    other.zero_()
    assert copy["a"].tolist() == [5.0, 5.0]


def test_trees_have_one_form_if_all_but_values_agrees() -> None:
    one, two = torch.ones(2), torch.zeros(2)
    base = form({"a": one, "b": one, "c": 3})
    assert form({"a": two, "b": two, "c": 3}) == base
    assert form({"a": one, "b": two, "c": 3}) != base  # two tensors, not one
    assert form({"a": one, "b": one, "c": 4}) != base
    assert form({"a": one.double(), "b": one, "c": 3}) != base
    assert form({"a": torch.ones(3), "b": one, "c": 3}) != base
    assert form({"a": one, "b": one, "d": 3}) != base
