"""What the training loop trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.network import Network


class TrainableSplit(Protocol):
    """A split of tokens or of features."""

    @property
    def mask(self) -> Tensor:
        """(rows, tokens): 1 where there is text."""
        ...

    @property
    def labels(self) -> Tensor:
        """(rows,)."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: npt.NDArray[np.intp]) -> TokenBatch:
        """Return the given rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Numbers of the rows, from 0.
        """
        ...


class TrainableTask(Protocol):
    """The three splits."""

    @property
    def train(self) -> TrainableSplit:
        """What is learned."""
        ...

    @property
    def validation(self) -> TrainableSplit:
        """What is looked at during training."""
        ...

    @property
    def test(self) -> TrainableSplit:
        """What is reported."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingProblem:
    """A network, its tensors at step 0 and the tokenised (or featurised) splits.

    Attributes
    ----------
    network : Network
        The classifier as a function.
    pretrained : dict of str to Tensor
        Tensors at step 0, on the device of the training.
    newly_initialized : dict of str to tuple of int
        Shapes of the tensors that every run draws for itself.
    splits : TrainableTask
        What is learned, looked at and reported.
    warnings : tuple of str
        Sentences about the text and the stages.
    facts : dict
        What stages before left to be recorded.
    """

    network: Network
    pretrained: dict[str, Tensor]
    newly_initialized: dict[str, tuple[int, ...]]
    splits: TrainableTask
    warnings: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
