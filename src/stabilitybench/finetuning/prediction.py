"""What networks say of a whole split, without training noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stabilitybench.finetuning.network import Network
from stabilitybench.finetuning.problem import TrainableSplit

Logits = npt.NDArray[np.float32]
#: Cells of a padded batch in evaluation: an accelerator needs many at once, a CPU keeps few in its cache.
CELLS = {"cpu": 512, "cuda": 16384}


@torch.no_grad()
def mean_logits(
    network: Network, weights: list[dict[str, Tensor]], split: TrainableSplit, outputs: int, device: torch.device
) -> Logits:
    """Return the logits of a network on a split, averaged over sets of weights.

    Parameters
    ----------
    network : Network
        Run without training noise.
    weights : list of dict of str to Tensor
        At least one set, each with every tensor that the network reads.
    split : TrainableSplit
        Tokens or features.
    outputs : int
        Width of the head.
    device : torch.device
        Where the weights are.

    Returns
    -------
    ndarray of float32, shape (rows, outputs)
        In the order of the rows.
    """
    out = np.empty((len(split), outputs), dtype=np.float32)
    for rows in _batches(split, device):
        batch = split.batch(rows).to(device)
        mean = torch.stack([network(w, batch).logits for w in weights]).mean(0)
        out[rows] = mean.float().cpu().numpy()
    return out


@torch.no_grad()
def features_of(
    network: Network, params: Mapping[str, Tensor], split: TrainableSplit, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return what the last linear layer reads of every row, and the labels.

    Parameters
    ----------
    network : Network
        Run without training noise.
    params : mapping of str to Tensor
        Every tensor that the network reads.
    split : TrainableSplit
        Tokens or features.
    device : torch.device
        Where the weights are.

    Returns
    -------
    features : Tensor, shape (rows, width)
        On the CPU, in the order of the rows.
    labels : Tensor, shape (rows,)
        Those of the split.
    """
    out: Tensor | None = None
    for rows in _batches(split, device):
        features = network(params, split.batch(rows).to(device)).features.cpu()
        out = features.new_empty((len(split), features.shape[1])) if out is None else out
        out[torch.from_numpy(rows)] = features
    assert out is not None
    return out, split.labels


def _batches(split: TrainableSplit, device: torch.device) -> Iterator[npt.NDArray[np.intp]]:
    """Yield rows of like length together, as many as fit; each row once."""
    lengths, cells = split.mask.sum(1).numpy(), CELLS[device.type]
    order = np.argsort(lengths, kind="stable")
    first = 0
    for after in range(1, len(order) + 1):
        if after == len(order) or (after + 1 - first) * lengths[order[after]] > cells:
            yield order[first:after]
            first = after
