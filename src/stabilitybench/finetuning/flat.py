"""Tensors that lie one after the other in one, group by group, so that an optimizer sees few long ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stabilitybench.finetuning.tensors import Params

#: Every tensor begins at a multiple of this, as matrix products want it.
ALIGNED = 64


class Flat:
    """Named tensors as views of one flat tensor of zeros.

    Parameters
    ----------
    groups : sequence of sequence of str
        Names, in the order of the tensors; a group is a contiguous part.
    like : mapping of str to Tensor
        Give shapes, type and device.
    dtype : torch.dtype, optional
        Another type.

    Attributes
    ----------
    parts : list of Tensor
        The part of each group, padding included.
    views : dict of str to Tensor
        Each tensor, in the order of `like`.

    Examples
    --------
    >>> flat = Flat([["b"], ["a"]], {"a": torch.ones(2), "b": torch.ones(3)})
    >>> [len(part) for part in flat.parts], flat.views["a"]
    ([64, 64], tensor([0., 0.]))
    """

    def __init__(
        self, groups: Sequence[Sequence[str]], like: Mapping[str, Tensor], dtype: torch.dtype | None = None
    ) -> None:
        sizes = {name: -(-like[name].numel() // ALIGNED) * ALIGNED for group in groups for name in group}
        one = next(iter(like.values()))
        whole = torch.zeros(sum(sizes.values()), dtype=dtype or one.dtype, device=one.device)
        self.parts = list(whole.split([sum(sizes[name] for name in group) for group in groups]))  # type: ignore[no-untyped-call]
        starts, views = 0, {}
        for name, size in sizes.items():
            views[name] = whole[starts : starts + like[name].numel()].view(like[name].shape)
            starts += size
        self.views: Params = {name: views[name] for name in like}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy values in, whatever their type.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            One of every name.
        """
        # Tensors of one type are copied by few kernels, a mixture one by one.
        for dtype in {tensors[name].dtype for name in self.views}:
            names = [name for name in self.views if tensors[name].dtype == dtype]
            torch._foreach_copy_([self.views[name] for name in names], [tensors[name] for name in names])

    @torch.no_grad()
    def zero(self) -> None:
        """Set every number to 0."""
        torch._foreach_zero_(self.parts)
