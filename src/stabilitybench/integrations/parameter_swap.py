"""The tensors of a module by name: others in their place for a while, and further ones beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Slot:
    """Where a module keeps one of its tensors."""

    owner: nn.Module
    leaf: str

    @classmethod
    def of(cls, module: nn.Module, name: str) -> Slot:
        """Find the slot of a tensor.

        Parameters
        ----------
        module : torch.nn.Module
            The model.
        name : str
            The tensor's name in it, such as "classifier.weight".
        """
        path, _, leaf = name.rpartition(".")
        return cls(module.get_submodule(path), leaf)

    def get(self) -> Tensor | None:
        """Return what stands there."""
        return self.owner._parameters.get(self.leaf)

    def put(self, tensor: Tensor | None) -> None:
        """Let another tensor, or nothing, stand there.

        Parameters
        ----------
        tensor : torch.Tensor or None
            What the module reads from now on; None hides the parameter from it.
        """
        if tensor is None:
            self.owner._parameters.pop(self.leaf, None)
        else:
            self.owner._parameters[self.leaf] = tensor  # type: ignore[assignment]  # what functional_call does


@contextmanager
def placed(slots: Mapping[str, Slot], weights: Mapping[str, Tensor | None]) -> Iterator[None]:
    """Let the module read `weights` inside the block.

    Nothing is copied, and gradients flow to whatever `weights` were computed from.  Names without a slot are left out.

    Parameters
    ----------
    slots : mapping of str to Slot
        Where the tensors stand.
    weights : mapping of str to torch.Tensor or None
        What to put there, by the same names; None hides a tensor from the module.

    Yields
    ------
    None
        What stood there before is put back after the block.

    Examples
    --------
    >>> import torch
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> with placed({"weight": Slot.of(layer, "weight")}, {"weight": torch.ones(1, 2)}):
    ...     layer(torch.tensor([[1.0, 2.0]])).tolist()
    [[3.0]]
    """
    before = []
    try:
        for name, tensor in weights.items():
            if name in slots and slots[name].get() is not tensor:
                before.append((slots[name], slots[name].get()))
                slots[name].put(tensor)
        yield
    finally:
        for slot, old in before:
            slot.put(old)


def add(module: nn.Module, name: str, tensor: Tensor) -> Callable[[], None]:
    """Give `module` a further parameter called `name`, and the empty modules its path needs.

    Parameters
    ----------
    module : torch.nn.Module
        The model.
    name : str
        The new parameter's name, with the path to it.
    tensor : torch.Tensor
        Its value.

    Returns
    -------
    callable
        Takes the parameter, and the modules that were made for it, away again.

    Examples
    --------
    >>> import torch
    >>> layer = nn.Linear(2, 1)
    >>> undo = add(layer, "heads.1.weight", torch.zeros(1, 2))
    >>> [name for name, _ in layer.named_parameters()]
    ['weight', 'bias', 'heads.1.weight']
    >>> undo()
    >>> [name for name, _ in layer.named_modules()]
    ['']
    """
    *path, leaf = name.split(".")
    owner = module
    first: tuple[dict[str, Any], str] | None = None  # of what is new
    for part in path:
        if part not in owner._modules:
            first = first or (owner._modules, part)
            owner.add_module(part, nn.Module())
        owner = owner.get_submodule(part)
    owner.register_parameter(leaf, nn.Parameter(tensor))
    slots, key = first or (owner._parameters, leaf)

    def undo() -> None:
        slots.pop(key, None)

    return undo
