"""Tokenised tasks and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning.lru import Memory
from stabilitybench.finetuning.packing import Packing
from stabilitybench.seeds import Seeds
from stabilitybench.tasks.base import Kind, Split, Task


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Rows of one forward pass, padded to the longest of them.

    Attributes
    ----------
    tokens : Tensor of int64, shape (rows, tokens)
        Token ids; under head tuning the features, (rows, width) float32.
    mask : Tensor of int64, shape (rows, tokens)
        1 where there is text.
    segments : Tensor of int64, shape (rows, tokens), or None
        0 in the first text of a pair, 1 in the second; None where the encoder has no segments.
    labels : Tensor, shape (rows,)
        Class indices, or scores under regression.
    first_row : int, default 0
        Number of the first row in its batch, which addresses dropout.
    packing : Packing, optional
        Which cells hold tokens, where it is known already; read off the mask otherwise.
    """

    tokens: Tensor
    mask: Tensor
    segments: Tensor | None
    labels: Tensor
    first_row: int = 0
    packing: Packing | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device) -> TokenBatch:
        """Return the batch on `device`.

        Parameters
        ----------
        device : torch.device
            Where every tensor is to be.
        """
        segments = None if self.segments is None else self.segments.to(device)
        return TokenBatch(
            self.tokens.to(device), self.mask.to(device), segments, self.labels.to(device), self.first_row
        )

    def parts(self, rows: int | None) -> Iterator[TokenBatch]:
        """Cut the batch into micro-batches, each padded to its own longest row.

        Parameters
        ----------
        rows : int or None
            Most rows of one; None: the whole batch.

        Yields
        ------
        TokenBatch
            In the order of the rows.
        """
        if rows is None or rows >= len(self):
            yield self
            return
        for start in range(0, len(self), rows):
            piece = slice(start, start + rows)
            length = max(1, int(self.mask[piece].sum(1).max()))
            yield TokenBatch(
                # features have a width and no length
                self.tokens[piece, :length] if self.tokens.shape == self.mask.shape else self.tokens[piece],
                self.mask[piece, :length],
                None if self.segments is None else self.segments[piece, :length],
                self.labels[piece],
                self.first_row + start,
            )


@dataclass(frozen=True, eq=False)
class TokenSplit:
    """A split as tensors padded to its longest row.

    Attributes
    ----------
    tokens, mask : Tensor of int64, shape (rows, tokens)
        Token ids, and 1 where there is text.
    segments : Tensor of int64, shape (rows, tokens), or None
        As in `TokenBatch`.
    labels : Tensor, shape (rows,)
        Class indices (int64), or scores under regression (float32).
    truncated : int
        Number of rows that were cut.
    """

    tokens: Tensor
    mask: Tensor
    segments: Tensor | None
    labels: Tensor
    truncated: int

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: npt.NDArray[np.intp]) -> TokenBatch:
        """Return the given rows, padded to the longest of them.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Numbers of the rows, from 0.
        """
        index = torch.from_numpy(np.ascontiguousarray(rows))
        mask = self.mask[index]
        length = max(1, int(mask.sum(1).max()))
        segments = None if self.segments is None else self.segments[index, :length]
        return TokenBatch(self.tokens[index, :length], mask[:, :length], segments, self.labels[index])


@dataclass(frozen=True)
class TokenTask:
    """The three splits of a task, tokenised for one encoder at one maximal length.

    Attributes
    ----------
    train, validation, test : TokenSplit
        The splits.
    """

    train: TokenSplit
    validation: TokenSplit
    test: TokenSplit

    def warnings(self, length: int) -> list[str]:
        """Say which splits were truncated, one sentence each.

        Parameters
        ----------
        length : int
            Tokens at which texts were cut.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return [
            f"{split.truncated} of {len(split)} {name} rows were longer than {length} tokens and were truncated"
            for name, split in splits.items()
            if split.truncated
        ]


_TOKENS = Memory[TokenTask](size=4)


def tokenise(encoder: Encoder, task: Task, length: int) -> TokenTask:
    """Tokenise every split of a task, cutting longer texts (the longer text of a pair first).

    The result is kept, since the seeds of a study share it.

    Parameters
    ----------
    encoder : Encoder
        Gives the tokenizer.
    task : Task
        Rows of text.
    length : int
        Most tokens of a row, special ones included.

    Raises
    ------
    UserError
        Where the tokenizer has no padding token, leaves no room for words, writes tokens that the weights do not know,
        or finds no token in a row.
    """

    def make() -> TokenTask:
        tokenizer = encoder.tokenizer()
        if tokenizer.pad_token is None:
            raise UserError(f'encoder "{encoder.name}": its tokenizer has no padding token')
        tokenizer.padding_side = "right"  # packing counts positions from the left
        splits = (task.train, task.validation, task.test)
        return TokenTask(*(_tokenise(encoder, tokenizer, split, length, task.kind) for split in splits))

    return _TOKENS.get((encoder.fingerprint, task.fingerprint, length), make)


def _tokenise(
    encoder: Encoder, tokenizer: PreTrainedTokenizerBase, split: Split, length: int, kind: Kind
) -> TokenSplit:
    pair = None if split.second is None else list(split.second)
    whole = tokenizer(list(split.first), pair, verbose=False)["input_ids"]
    cut = tokenizer(
        list(split.first),
        pair,
        truncation=True,
        max_length=length,
        padding="longest",
        return_tensors="pt",
        return_token_type_ids=True,
        return_attention_mask=True,
    )
    if cut["input_ids"].shape[1] > length:  # the tokenizer gives up where its special tokens alone fill the length
        raise UserError(f"recipe.max_length = {length}: leaves no room for words beside the special tokens")
    highest, known = int(cut["input_ids"].max()), encoder.config.get("vocab_size")
    if isinstance(known, int) and highest >= known:
        raise UserError(
            f'encoder "{encoder.name}": its tokenizer writes token {highest}, its weights know {known} tokens'
        )
    for row, filled in zip(split.ids, cut["attention_mask"].any(1).tolist(), strict=True):
        if not filled:  # a tokenizer without special tokens, and an empty text
            raise UserError(f'encoder "{encoder.name}": its tokenizer finds no token in row "{row}"')
    dtype = torch.int64 if kind == "classification" else torch.float32
    return TokenSplit(
        tokens=cut["input_ids"],
        mask=cut["attention_mask"],
        segments=cut["token_type_ids"] if encoder.layout.parts.segments else None,
        labels=torch.as_tensor(np.asarray(split.labels), dtype=dtype),
        truncated=sum(len(row) > length for row in whole),
    )


def order(n: int, batch_size: int, steps: int, seeds: Seeds) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows of each optimizer step: a new permutation per epoch, the last batch of an epoch kept.

    Each epoch has a generator of its own, so nothing else that is drawn can shift it.

    Parameters
    ----------
    n : int
        Number of rows.
    batch_size : int
        Rows of a step; the last one of an epoch may have fewer.
    steps : int
        Number of steps.
    seeds : Seeds
        Gives the `order` stream.

    Yields
    ------
    ndarray of int, shape (rows of the step,)
        Numbers of the rows, from 0.
    """
    done, epoch = 0, 0
    while done < steps:
        rows = seeds.generator("order", f"epoch {epoch}").permutation(n)
        for start in range(0, n, batch_size):
            if done == steps:
                return
            yield rows[start : start + batch_size]
            done += 1
        epoch += 1
