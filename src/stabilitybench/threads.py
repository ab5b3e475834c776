"""One thread on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@contextmanager
def one_thread(device: torch.device | None = None) -> Iterator[None]:
    """Compute on one thread on a CPU: the order of additions, and so every number, depends on their count.

    Parameters
    ----------
    device : torch.device or None, default None
        Where tensors are; unset, the CPU.  On another device the number of threads stays as it is.

    Yields
    ------
    None
        The block runs on one thread; the number of threads is put back after it.
    """
    import torch

    threads = torch.get_num_threads()
    if device is None or device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
