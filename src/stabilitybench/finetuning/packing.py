"""Batches without padding: everything but attention works on the real tokens alone.

The tokens of a batch travel as (tokens, 1, width), as if each were a row of length one.  Linear layers, norms and
activations cannot tell the difference; attention gets its rows back, padded to the longest, and is packed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packing:
    """Which cells of a padded (rows, length) grid hold tokens.

    Attributes
    ----------
    rows, length : int
        Shape of the grid.
    index : Tensor of int64, shape (tokens,)
        Numbers of the cells that hold tokens, in row order.
    first : Tensor of int64, shape (rows,)
        Where the first token of each row stands among the packed ones.
    lengths : Tensor of int64, shape (rows,), or None
        Tokens of each row, under `of_lengths`; the last of the packed tokens may then stand for nothing, and their
        index is rows * length.

    Examples
    --------
    >>> import torch
    >>> packing = Packing.of(torch.tensor([[1, 1, 0], [1, 0, 0]]))
    >>> packing.index.tolist(), packing.first.tolist()
    ([0, 1, 3], [0, 2])
    >>> packing.unpack(packing.pack(torch.arange(6.0).view(2, 3))).tolist()
    [[0.0, 1.0, 0.0], [3.0, 0.0, 0.0]]
    """

    rows: int
    length: int
    index: Tensor
    first: Tensor
    lengths: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor) -> Packing:
        """Read the mask of a batch.

        Parameters
        ----------
        mask : Tensor, shape (rows, length)
            1 where there is text, which fills each row from the left.
        """
        rows, length = mask.shape
        index = mask.flatten().nonzero()[:, 0]
        return cls(rows, length, index, (index % length == 0).nonzero()[:, 0])

    @classmethod
    def of_lengths(cls, lengths: Tensor, length: int, tokens: int) -> Packing:
        """Pack rows into a fixed number of tokens, without a look at any value: every shape is given.

        Parameters
        ----------
        lengths : Tensor of int64, shape (rows,)
            Tokens of each row, which fill it from the left.
        length : int
            Width of the grid, at least that of the longest row.
        tokens : int
            Number of packed tokens, at least the sum of `lengths`.  What is left over stands for nothing: it is read
            from some cell and written to none.

        Examples
        --------
        >>> packing = Packing.of_lengths(torch.tensor([2, 1]), length=3, tokens=4)
        >>> packing.index.tolist(), packing.first.tolist()
        ([0, 1, 3, 6], [0, 2])
        """
        rows = len(lengths)
        ends = lengths.cumsum(0)
        first = ends - lengths
        place = torch.arange(tokens, device=lengths.device)
        row = torch.searchsorted(ends, place, right=True)
        offset = torch.cat([first, ends[-1:]]).index_select(0, row)
        index = torch.where(row < rows, row * length + place - offset, rows * length)
        return cls(rows, length, index, first, lengths)

    @property
    def _readable(self) -> Tensor:
        return self.index.clamp(max=self.rows * self.length - 1) if self.lengths is not None else self.index

    @property
    def row(self) -> Tensor:
        """(tokens,) the row of each token."""
        return self._readable // self.length

    @property
    def position(self) -> Tensor:
        """(tokens,) the position of each token in its row."""
        return self._readable % self.length

    def pack(self, grid: Tensor) -> Tensor:
        """Turn (rows, length, ...) into (tokens, ...).

        Parameters
        ----------
        grid : Tensor, shape (rows, length, ...)
            Padded; what stands where there is no text is dropped.
        """
        return grid.flatten(0, 1).index_select(0, self._readable)

    def unpack(self, tokens: Tensor) -> Tensor:
        """Turn (tokens, ...) into (rows, length, ...), 0 where there is no text.

        Parameters
        ----------
        tokens : Tensor, shape (tokens, ...)
            In row order, as `pack` gives them.
        """
        shape, cells = tokens.shape[1:], self.rows * self.length
        if self.lengths is not None:  # one cell more, for what stands for nothing
            grid = tokens.new_zeros((cells + 1, *shape)).index_copy(0, self.index, tokens)[:cells]
        elif len(tokens) == cells:
            return tokens.reshape(self.rows, self.length, *shape)
        else:
            grid = tokens.new_zeros((cells, *shape)).index_copy(0, self.index, tokens)
        return grid.view(self.rows, self.length, *shape)
