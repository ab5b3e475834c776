"""What a hook may read and draw in a step that is a function of device tensors alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from stabilitybench.errors import UserError
from stabilitybench.stabilizers import Context

Draw = Callable[[Context, Any], Tensor]


class HostNoise:
    """Numbers that hooks draw from named streams: drawn on the CPU, in buffers on the device before each step.

    A step of one shape always asks for the same draws in the same order, so that its buffers are found by their turn.

    Parameters
    ----------
    device : torch.device
        Where the buffers are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._draws: list[tuple[Draw, Tensor]] = []
        self._turn = 0
        self._step: Callable[[], tuple[Context, Any]]

    def fill(self, step: Callable[[], tuple[Context, Any]]) -> None:
        """Draw what a step will ask for, as far as it is known yet.

        Parameters
        ----------
        step : callable
            ``step()`` returns the context of that step and its rows, on the CPU; called only if something is drawn.
        """
        self._turn, self._step = 0, step
        if not self._draws:
            return
        now = step()
        for draw, buffer in self._draws:
            values = draw(*now)
            # pinned memory lets the host go on while the device still works on the step before
            buffer.copy_(values.pin_memory() if self._device.type == "cuda" else values, non_blocking=True)

    def begin(self) -> None:
        """Begin again with the first draw: the step is gone through once more."""
        self._turn = 0

    def take(self, draw: Draw) -> Tensor:
        """Return the buffer of the next draw.

        Parameters
        ----------
        draw : callable
            ``draw(ctx, batch)`` returns the values on the CPU.
        """
        if self._turn == len(self._draws):
            self._draws.append((draw, draw(*self._step()).to(self._device)))
        self._turn += 1
        return self._draws[self._turn - 1][1]


@dataclass(frozen=True, eq=False)
class DeviceContext(Context):
    """A context without Python numbers of the step, which a captured step would freeze.

    Attributes
    ----------
    key : Tensor of int32, shape ()
        Of this step's dropout masks.
    noise : HostNoise
        Gives what hooks draw.
    """

    key: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int32))
    noise: HostNoise = field(default_factory=lambda: HostNoise(torch.device("cpu")))

    def __getattribute__(self, name: str) -> Any:
        if name in ("step", "progress", "moment"):
            raise UserError(
                f"ctx.{name} is read in a step that runs on the device as one piece: a stabilizer whose hooks need it "
                "must not set on_device"
            )
        return super().__getattribute__(name)

    @property
    def dropout_key(self) -> Tensor:
        """The key of this step's dropout masks."""
        return self.key

    def normal(self, name: str, like: Tensor, *, std: float, purpose: str) -> Tensor:
        """Draw as `Context.normal` does.

        Parameters
        ----------
        name, like, std, purpose : object
            As there.
        """
        shape = torch.empty(like.shape)
        return self.noise.take(lambda ctx, _: ctx.normal(name, shape, std=std, purpose=purpose)).to(like)

    def row_noise(
        self, batch: Any, width: int, name: str, distribution: Literal["normal", "uniform"] = "normal"
    ) -> Tensor:
        """Draw as `Context.row_noise` does.

        Parameters
        ----------
        batch, width, name, distribution : object
            As there.
        """
        return self.noise.take(lambda ctx, rows: ctx.row_noise(rows, width, name, distribution))

    def bernoulli(self, probability: float, shape: tuple[int, ...], name: str) -> Tensor:
        """Draw as `Context.bernoulli` does; the result is on the device.

        Parameters
        ----------
        probability, shape, name : object
            As there.
        """
        return self.noise.take(lambda ctx, _: ctx.bernoulli(probability, shape, name))
