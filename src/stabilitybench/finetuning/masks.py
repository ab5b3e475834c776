"""Dropout masks as a function of (seed, step, place) alone.

A mask element is addressed by the module, the row in the whole batch, the position and the channel (for attention:
head, query and key), never by an index into a padded tensor.  So a run draws the same masks alone or beside
others, on any device, however its batches are packed, padded or cut into micro-batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stabilitybench.finetuning.packing import Packing


def _word(value: int) -> Tensor:
    # A ready tensor: a Python number would be turned into one at every use, which costs as much as the operation.
    return torch.tensor(value, dtype=torch.int32)


_GOLDEN = _word(-1640531535)  # spreads neighbouring indices over all 32 bits (Knuth's multiplicative hashing)
_ROUNDS = (
    (_word(16), _word(0xFFFF), _word(-2048144789)),
    (_word(13), _word(0x7FFFF), _word(-1028477387)),
)


def _mix(x: Tensor) -> Tensor:
    """Scramble int32 values (the finaliser of Murmur hashing without its last shift; products wrap around).

    The high bits, which alone decide a mask, are as good as with it.
    """
    y = x
    for shift, positive, factor in _ROUNDS:
        # Murmur shifts unsigned numbers.  torch's shift copies the sign bit, which has to be masked away: without
        # that every result is positive, and nothing is ever dropped at rates up to one half.
        y = ((y >> shift).bitwise_and_(positive).bitwise_xor_(y)).mul_(factor)
    return y


def _enter(state: Tensor, coordinate: Tensor) -> Tensor:
    """Add a coordinate, counted from 0, to the address that `state` stands for."""
    return _mix(state + (coordinate + 1) * _GOLDEN)


def _index(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, dtype=torch.int32, device=like.device)


@dataclass(frozen=True, eq=False)
class Addresses:
    """Where the elements of one forward pass stand: hashed once, read by every dropout.

    Attributes
    ----------
    rows : Tensor of int32, shape (rows,)
        Of each row of the batch.
    tokens : Tensor of int32, shape (tokens,)
        Of each packed token, by row and position.
    token_rows : Tensor of int32, shape (tokens,)
        Of the row of each packed token.
    """

    rows: Tensor
    tokens: Tensor
    token_rows: Tensor

    @classmethod
    def of(cls, key: int | Tensor, packing: Packing, first_row: int = 0) -> Addresses:
        """Hash the addresses of a packed batch.

        Parameters
        ----------
        key : int or Tensor of int32, shape ()
            31 bits: other keys give other masks.
        packing : Packing
            Which cells hold tokens.
        first_row : int, default 0
            Number of the first row in the whole batch, of which this may be a part.
        """
        start = _mix(key if isinstance(key, Tensor) else _word(key).to(packing.index.device))
        rows = _enter(start, _index(packing.rows, start) + first_row)
        token_rows = rows.index_select(0, packing.row)
        return cls(rows, _enter(token_rows, packing.position.to(torch.int32)), token_rows)


def keep_mask(state: Tensor, shape: torch.Size, rate: float, place: int = 0) -> Tensor:
    """Return a boolean mask that is True with probability 1 - rate.

    The trailing axes are entered by their index, so each element depends on its own coordinates alone.

    Parameters
    ----------
    state : Tensor of int32
        Hashed addresses of the leading axes of `shape`.
    shape : torch.Size
        Shape of the mask.
    rate : float
        Dropout rate, in [0, 1).
    place : int, default 0
        A constant of the module and its use.
    """
    state = state ^ place
    for size in shape[state.ndim :]:
        state = _enter(state[..., None], _index(size, state))
    return state >= -(2**31) + round(rate * 2**32)


def drop(x: Tensor, state: Tensor, place: int, rate: float) -> Tensor:
    """Drop elements and divide the others by 1 - rate.

    Parameters
    ----------
    x : Tensor
        Attention weights (rows, heads, queries, keys), or tokens (..., channels).
    state : Tensor of int32, shape (rows,) or (tokens,)
        Hashed addresses of the leading axis.
    place : int
        A constant of the module and its use.
    rate : float
        Dropout rate, in [0, 1).
    """
    state = state[:, None] if x.ndim == 3 else state
    return x * keep_mask(state, x.shape, rate, place).to(x.dtype).mul_(1 / (1 - rate))
