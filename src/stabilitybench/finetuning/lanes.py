"""Lanes of a device: each takes runs one after the other, and several lanes work side by side.

A lane keeps what it has captured, so that the next run of the same sizes only loads its values.  Every run executes the
very kernels that it executes alone, on a stream of its own; so its numbers cannot depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.data import TokenSplit
from stabilitybench.finetuning.device_steps import DeviceSteps, RunTables, obstacle
from stabilitybench.finetuning.graphs import CapturedSteps
from stabilitybench.finetuning.loop import Steps
from stabilitybench.finetuning.lru import Memory
from stabilitybench.finetuning.plain_steps import PlainSteps, Training
from stabilitybench.finetuning.step_tables import RowTable, StepShape, step_shapes
from stabilitybench.stabilizers.step_hooks import changes_step
from stabilitybench.tasks.base import Task

#: Lanes beyond which nothing was gained on the cards that were measured.
MOST = 8
#: Part of a device's memory that lanes may fill.
SHARE = 0.8
_ROWS = Memory[tuple[RowTable, tuple[StepShape, ...]]](size=4)
#: What a recipe says about a run that its tables hold, or that its steps do not read.
_TABULATED: dict[str, Any] = {
    "learning_rate": 1.0, "epochs": 1.0, "steps": 1, "warmup": 0.0, "schedule": "constant", "evaluations": 1,
}  # fmt: skip


class Lane:
    """A stream of a device, and the steps prepared on it.

    Parameters
    ----------
    device : torch.device
        Where it runs.
    captured : bool, optional
        Whether steps are captured; unset, on CUDA.
    """

    def __init__(self, device: torch.device, captured: bool | None = None) -> None:
        self.device = device
        cuda = device.type == "cuda"
        self.captured = cuda if captured is None else captured
        self._stream = torch.cuda.Stream(device) if cuda else None  # type: ignore[no-untyped-call]
        self._kept: tuple[Hashable, DeviceSteps] | None = None

    @contextmanager
    def current(self) -> Iterator[None]:
        """Give the lane what is done in a block."""
        with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
            yield

    def steps(self, training: Training, encoder: Encoder, task: Task) -> Steps:
        """Return how the steps of a run are taken: as one piece where they can be, with what is prepared if it fits.

        Parameters
        ----------
        training : Training
            The run at step 0.
        encoder : Encoder
            What it trains.
        task : Task
            What it learns.
        """
        if not self.captured or obstacle(training) is not None:
            return PlainSteps(training)
        rows, shapes = _rows(training, encoder, task)
        tables = RunTables.of(training)
        key = _key(training, tables, encoder, task, shapes)
        if self._kept is not None and self._kept[0] == key:
            self._kept[1].load(training, tables)
        else:
            self._kept = None  # its memory is wanted
            make = CapturedSteps if self._stream is not None else DeviceSteps
            self._kept = key, make(training, tables, rows, shapes)
        return self._kept[1]


_LANES: dict[torch.device, list[Lane]] = {}


def lanes(device: torch.device, count: int) -> list[Lane]:
    """Return lanes of a device, the same ones at every call.

    Parameters
    ----------
    device : torch.device
        Where they run.
    count : int
        How many.
    """
    made = _LANES.setdefault(device, [])
    made += [Lane(device) for _ in range(count - len(made))]
    return made[:count]


def room(device: torch.device) -> int:
    """Return how many lanes a CUDA device has room for, if each takes what one has taken at most.

    Parameters
    ----------
    device : torch.device
        On which one lane has done a run since its peak of memory was reset.

    Returns
    -------
    int
        At least 1, at most `MOST`.
    """
    free, _ = torch.cuda.mem_get_info(device)
    # Reserved, not allocated: no lane uses what another keeps for its stream and its graphs.
    ours, peak = torch.cuda.memory_reserved(device), torch.cuda.max_memory_reserved(device)
    return max(1, min(MOST, int(SHARE * (free + ours) / max(1, peak))))


def _rows(training: Training, encoder: Encoder, task: Task) -> tuple[RowTable, tuple[StepShape, ...]]:
    split, recipe = training.splits.train, training.recipe
    assert isinstance(split, TokenSplit)

    def make() -> tuple[RowTable, tuple[StepShape, ...]]:
        width = max(t.shape[-1] for n, t in training.start.items() if n.endswith("LayerNorm.weight"))
        table = RowTable(split, training.device)
        if training.device.type == "cuda":
            torch.cuda.synchronize(training.device)  # other lanes read it on their own streams
        return table, step_shapes(table.lengths, recipe.batch_size, width)

    key = (encoder.fingerprint, task.fingerprint, recipe.max_length, recipe.batch_size, str(training.device))
    return _ROWS.get(key, make)


def _key(
    training: Training, tables: RunTables, encoder: Encoder, task: Task, shapes: tuple[StepShape, ...]
) -> Hashable:
    """Return all that the operations of a run's steps depend on."""
    changing = tuple(s for s in training.composition.stabilizers if changes_step(s))
    recipe = training.recipe.replace(**_TABULATED)
    return (
        encoder.fingerprint, task.fingerprint, recipe, changing, DeviceSteps.form(training), shapes,
        tables.rates.values.shape, tuple(tables.rates.column.items()),
    )  # fmt: skip
