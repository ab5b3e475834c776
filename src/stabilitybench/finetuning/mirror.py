"""Tensors that stay where they are while the runs that use them come and go."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


class Mirror:
    """Copies of a tree of tensors at addresses of their own, into which a tree of the same form can be loaded.

    Tensors that are one object in the tree are one in the copy.

    Parameters
    ----------
    tree : object
        Dicts, tuples and lists with tensors and other values as leaves.

    Attributes
    ----------
    tree : object
        The copy.
    """

    def __init__(self, tree: Any) -> None:
        leaves, form = pytree.tree_flatten(tree)
        copies = {id(leaf): leaf.detach().clone() for leaf in leaves if isinstance(leaf, Tensor)}
        self._leaves = [copies.get(id(leaf), leaf) for leaf in leaves]
        self.tree = pytree.tree_unflatten(self._leaves, form)

    @staticmethod
    def tensors(tree: Any) -> list[Tensor]:
        """Return the tensors of a tree in its order.

        Parameters
        ----------
        tree : object
            Dicts, tuples and lists.
        """
        return [leaf for leaf in pytree.tree_flatten(tree)[0] if isinstance(leaf, Tensor)]

    @torch.no_grad()
    def load(self, tree: Any) -> None:
        """Copy the values of another tree in.

        Parameters
        ----------
        tree : object
            Of the same `form`.
        """
        done = set()
        for mine, theirs in zip(self._leaves, pytree.tree_flatten(tree)[0], strict=True):
            if isinstance(mine, Tensor) and id(mine) not in done:
                mine.copy_(theirs)
                done.add(id(mine))

    @torch.no_grad()
    def restore(self, tree: Any) -> None:
        """Copy the values into the tensors of another tree.

        Parameters
        ----------
        tree : object
            Of the same `form`.
        """
        for mine, theirs in zip(self.tensors(self.tree), self.tensors(tree), strict=True):
            theirs.copy_(mine)


def form(tree: Any) -> Hashable:
    """Return what two trees must share to be mirrored by the same tensors: all but the values of the tensors.

    Parameters
    ----------
    tree : object
        As for `Mirror`.
    """
    leaves, spec = pytree.tree_flatten(tree)
    first: dict[int, int] = {}
    told: list[Hashable] = []
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            told.append((first.setdefault(id(leaf), i), tuple(leaf.shape), leaf.dtype, leaf.device))
        else:
            told.append(repr(leaf))
    return repr(spec), tuple(told)
