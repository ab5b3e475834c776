"""Copies of a stabilizer whose hooks are watched: what they change, return and draw."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stabilitybench.seeds import Stream
from stabilitybench.stabilizers import Context, Stabilizer
from stabilitybench.stabilizers.step_hooks import STEP_HOOKS

HOOKS = (
    "initialize", "setup", "forward_weights", "penalty", "gradient", "edit_gradient", "after_step", "members",
    "evaluation", "measures",
)  # fmt: skip


def watched(stabilizer: Stabilizer, log: list[str], returned: dict[str, Any] | None = None) -> Stabilizer:
    """Return a copy of a stabilizer that notes what its hooks change in place, and what they return.

    Parameters
    ----------
    stabilizer : Stabilizer
        Left alone.
    log : list of str
        Grows by a sentence for each tensor that a hook changes in place.
    returned : dict of str to Any, optional
        Filled with what each hook returned last, by hook.
    """

    def around(hook: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Stabilizer, *given: Any) -> Any:
            before = [(name, t, t.detach().clone()) for name, t in _tensors(given)]
            out = original(self, *given)
            log.extend(f"{hook} changes {name} in place" for name, t, copy in before if not _same(t.detach(), copy))
            if returned is not None:
                returned[hook] = out
            return out

        return call

    return _rewritten(stabilizer, HOOKS, around)


@dataclass(frozen=True, eq=False)
class _NotingContext(Context):
    """A context that tells which generators a hook asks for."""

    note: Callable[..., None] = field(default=lambda *_: None, repr=False)

    def generator(self, stream: Stream, *names: str) -> np.random.Generator:
        self.note(self.step, stream, *names)
        return super().generator(stream, *names)


def noting(stabilizer: Stabilizer, steps: dict[tuple[str, ...], set[int]]) -> Stabilizer:
    """Return a copy of a stabilizer that notes at which steps its hooks ask for each generator.

    Parameters
    ----------
    stabilizer : Stabilizer
        Left alone.
    steps : dict of tuple of str to set of int
        Filled with the steps, by hook, stream and names.
    """

    def around(hook: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Stabilizer, *given: Any) -> Any:
            def note(step: int, *names: str) -> None:
                steps.setdefault((hook, *names), set()).add(step)

            return original(self, *(_noted(value, note) for value in given))

        return call

    return _rewritten(stabilizer, (*STEP_HOOKS, "rate"), around)


def _noted(value: Any, note: Callable[..., None]) -> Any:
    if not isinstance(value, Context):
        return value
    return _NotingContext(**{f.name: getattr(value, f.name) for f in fields(value)}, note=note)


def _rewritten(
    stabilizer: Stabilizer, hooks: Iterable[str], around: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Stabilizer:
    """Return a copy of `stabilizer` with something `around` each of the hooks that it changes."""
    cls = type(stabilizer)
    changed = {hook: around(hook, getattr(cls, hook)) for hook in hooks if cls.overrides(hook)}
    copy = type(cls.__name__, (cls,), changed)
    return copy(**{f.name: getattr(stabilizer, f.name) for f in fields(stabilizer)})  # type: ignore[no-any-return, arg-type]


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or bool(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))


def _tensors(value: Any, name: str = "a tensor") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor inside what a hook is given, with its name."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, str(key))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item, name)
    elif isinstance(value, Context):
        yield from _tensors({**value.reference, **value.start})


def numbers(state: Any) -> int:
    """Return how many numbers the tensors inside a state hold.

    Parameters
    ----------
    state : Any
        Tensors in dictionaries, lists and tuples, at any depth; anything else counts as none.
    """
    return sum(t.numel() for _, t in _tensors(state))


@contextmanager
def global_generators() -> Iterator[Callable[[], str]]:
    """Give a function that names the global generators whose state has changed; put the states back afterwards.

    Yields
    ------
    callable
        Returns, such as "torch and numpy", the names of those changed since the block began; "" for none.
    """
    before = (torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002 - to see that nobody uses it

    def touched() -> str:
        numpy_now = np.random.get_state()  # noqa: NPY002
        changed = {
            "torch": not torch.equal(before[0], torch.get_rng_state()),
            "numpy": not all(np.array_equal(a, b) for a, b in zip(before[1], numpy_now, strict=True)),
            "random": before[2] != random.getstate(),
        }
        return " and ".join(name for name, yes in changed.items() if yes)

    try:
        yield touched
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        random.setstate(before[2])
