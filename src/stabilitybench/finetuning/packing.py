"""Batches without padding: everything but attention works on the real tokens alone.

The tokens of a batch travel as (tokens, 1, width), as if each were a row of length one.  Linear layers, norms and
activations cannot tell the difference; attention gets its rows back, padded to the longest, and is packed again.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    @classmethod
    def of(cls, mask: Tensor) -> Packing:
        """Read the mask of a batch.

        Parameters
        ----------
        mask : Tensor, shape (rows, length)
            1 where there is text, which fills each row from the left.
        """
        rows, length = mask.shape
        return cls(rows, length, mask.flatten().nonzero()[:, 0])

    @property
    def row(self) -> Tensor:
        """(tokens,) the row of each token."""
        return self.index // self.length

    @property
    def position(self) -> Tensor:
        """(tokens,) the position of each token in its row."""
        return self.index % self.length

    @property
    def first(self) -> Tensor:
        """(rows,) where the first token of each row stands among the packed ones."""
        return (self.position == 0).nonzero()[:, 0]

    def pack(self, grid: Tensor) -> Tensor:
        """Turn (rows, length, ...) into (tokens, ...).

        Parameters
        ----------
        grid : Tensor, shape (rows, length, ...)
            Padded; what stands where there is no text is dropped.
        """
        return grid.flatten(0, 1).index_select(0, self.index)

    def unpack(self, tokens: Tensor) -> Tensor:
        """Turn (tokens, ...) into (rows, length, ...), 0 where there is no text.

        Parameters
        ----------
        tokens : Tensor, shape (tokens, ...)
            In row order, as `pack` gives them.
        """
        shape = tokens.shape[1:]
        if len(tokens) == self.rows * self.length:
            return tokens.reshape(self.rows, self.length, *shape)
        grid = tokens.new_zeros((self.rows * self.length, *shape)).index_copy(0, self.index, tokens)
        return grid.view(self.rows, self.length, *shape)
