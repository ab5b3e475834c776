"""Everything the steps of a run read, as tables that are on the device before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stabilitybench.finetuning.data import TokenBatch, TokenSplit
from stabilitybench.finetuning.packing import Packing
from stabilitybench.optim.schedule import multiplier
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import Composition, Context

Ints = npt.NDArray[np.intp]
#: Lengths of rows are rounded up to a multiple of this, and numbers of packed tokens to one of `TOKENS`.
LENGTH, TOKENS = 32, 128
#: Shapes that the full batches of a task are fitted into.
MOST_SHAPES = 6


@dataclass(frozen=True, order=True)
class StepShape:
    """The sizes of one step, all that its kernels depend on.

    Attributes
    ----------
    rows, length : int
        Shape of the padded grid.
    tokens : int
        Packed tokens, surplus ones included.
    """

    rows: int
    length: int
    tokens: int

    def holds(self, lengths: Ints) -> bool:
        """Tell whether rows of these lengths fit.

        Parameters
        ----------
        lengths : ndarray of int, shape (rows,)
            Tokens of each row.
        """
        return len(lengths) == self.rows and lengths.max() <= self.length and lengths.sum() <= self.tokens

    def cost(self, width: int) -> float:
        """Return what a step of this shape costs: a token in the linear layers is 1, so are `width` attention cells.

        Parameters
        ----------
        width : int
            Numbers in a token's state.
        """
        return self.tokens + self.rows * self.length**2 / width


def shape_of(lengths: Ints) -> StepShape:
    """Return the smallest shape that holds rows of these lengths.

    Parameters
    ----------
    lengths : ndarray of int, shape (rows,)
        Tokens of each row.

    Examples
    --------
    >>> shape_of(np.array([40, 70]))
    StepShape(rows=2, length=96, tokens=128)
    """
    length = -(-int(lengths.max()) // LENGTH) * LENGTH
    tokens = -(-int(lengths.sum()) // TOKENS) * TOKENS
    return StepShape(len(lengths), length, min(tokens, len(lengths) * length))


def step_shapes(lengths: Ints, batch_size: int, width: int) -> tuple[StepShape, ...]:
    """Return a few shapes that the batches of a task fit into, whatever their order.

    They depend on the task and on the size of a batch alone, so that the seeds of a study share them.  Batches in many
    random orders say which shapes occur; those that cost least to merge are merged.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Tokens of each training row.
    batch_size : int
        Rows of a full step.
    width : int
        Numbers in a token's state, for the costs.

    Returns
    -------
    tuple of StepShape
        The cheapest first; every batch of `batch_size` rows, and every rest of an epoch, fits into one of them.
    """
    n = len(lengths)
    size = min(batch_size, n)
    rng = np.random.default_rng(0)
    counts: dict[StepShape, int] = {}
    for _ in range(20):
        rows = rng.permutation(n)
        for start in range(0, n - size + 1, size):
            found = shape_of(lengths[rows[start : start + size]])
            counts[found] = counts.get(found, 0) + 1
    while len(counts) > MOST_SHAPES:
        shapes = list(counts)
        _, a, b = min((_loss(a, b, counts, width), a, b) for i, a in enumerate(shapes) for b in shapes[:i])
        both = counts.pop(a) + counts.pop(b)
        joint = _merged(a, b)
        counts[joint] = counts.get(joint, 0) + both
    longest = np.sort(lengths)[::-1]
    safe = {shape_of(longest[:rows]) for rows in (size, n % size) if rows}
    return tuple(sorted({*counts, *safe}, key=lambda s: (s.cost(width), s)))


def _loss(a: StepShape, b: StepShape, counts: dict[StepShape, int], width: int) -> float:
    """Return what it costs to do the steps of two shapes in one that holds both."""
    apart = a.cost(width) * counts[a] + b.cost(width) * counts[b]
    return _merged(a, b).cost(width) * (counts[a] + counts[b]) - apart


def _merged(a: StepShape, b: StepShape) -> StepShape:
    return StepShape(a.rows, max(a.length, b.length), max(a.tokens, b.tokens))


def fitting(shapes: Sequence[StepShape], lengths: Ints) -> StepShape:
    """Return the first of `shapes` that holds rows of these lengths.

    Parameters
    ----------
    shapes : sequence of StepShape
        As `step_shapes` returns them.
    lengths : ndarray of int, shape (rows,)
        Tokens of each row.
    """
    return next(shape for shape in shapes if shape.holds(lengths))


class RowTable:
    """The rows of a split on the device, from which a step takes its own.

    Parameters
    ----------
    split : TokenSplit
        The rows.
    device : torch.device
        Where they are put.
    """

    def __init__(self, split: TokenSplit, device: torch.device) -> None:
        self.host = split
        self.lengths: Ints = split.mask.sum(1).numpy()
        self.width = -(-split.mask.shape[1] // LENGTH) * LENGTH
        self._tokens, self._mask, self._segments = (
            None if t is None else self._padded(t).to(device) for t in (split.tokens, split.mask, split.segments)
        )
        self._labels, self._lengths = split.labels.to(device), torch.from_numpy(self.lengths).to(device)

    def _padded(self, values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values, (0, self.width - values.shape[1]))

    def take(self, rows: Tensor, shape: StepShape) -> TokenBatch:
        """Return rows as a batch of a given shape; nothing is read back from the device.

        Parameters
        ----------
        rows : Tensor of int64, shape (shape.rows,)
            Their numbers.
        shape : StepShape
            Holds them.
        """
        assert self._tokens is not None
        assert self._mask is not None

        def cut(table: Tensor) -> Tensor:
            return table.index_select(0, rows)[:, : shape.length]

        return TokenBatch(
            cut(self._tokens),
            cut(self._mask),
            None if self._segments is None else cut(self._segments),
            self._labels.index_select(0, rows),
            packing=Packing.of_lengths(self._lengths.index_select(0, rows), shape.length, shape.tokens),
        )

    def on_host(self, rows: Ints, shape: StepShape) -> TokenBatch:
        """Return the same batch on the CPU, for noise that is drawn there.

        Parameters
        ----------
        rows : ndarray of int, shape (shape.rows,)
            Their numbers.
        shape : StepShape
            Holds them.
        """
        index = torch.from_numpy(np.ascontiguousarray(rows))
        tokens, mask = (self._padded(t[index])[:, : shape.length] for t in (self.host.tokens, self.host.mask))
        return TokenBatch(tokens, mask, None, self.host.labels[index])


@dataclass(frozen=True, eq=False)
class RateTable:
    """The learning rate of every tensor at every step; tensors whose rates always agree share a column.

    Attributes
    ----------
    values : ndarray of float, shape (steps, columns)
        The rates.
    column : dict of str to int
        Column of each tensor.
    """

    values: npt.NDArray[np.float64]
    column: dict[str, int]


def rate_table(
    composition: Composition, names: Sequence[str], recipe: Recipe, at: Callable[[int], Context]
) -> RateTable:
    """Tabulate the rates of a run.

    Parameters
    ----------
    composition : Composition
        Whose multipliers count.
    names : sequence of str
        Trained tensors.
    recipe : Recipe
        Peak rate and schedule.
    at : callable
        ``at(step)`` is what hooks may read there.
    """
    assert recipe.learning_rate is not None
    total = at(0).total_steps
    base = [recipe.learning_rate * multiplier(recipe.schedule, t, total, recipe.warmup) for t in range(total)]
    if not composition.changing("rate"):
        return RateTable(np.array(base)[:, None], dict.fromkeys(names, 0))
    rows = [list(composition.rates(dict.fromkeys(names, rate), at(t)).values()) for t, rate in enumerate(base)]
    values, column = np.unique(np.array(rows), axis=1, return_inverse=True)
    return RateTable(values, dict(zip(names, column.ravel().tolist(), strict=True)))
