"""Steps as one piece on the CPU, watched for what a device would have to wait for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stabilitybench.finetuning.data import TokenSplit
from stabilitybench.finetuning.device_steps import DeviceSteps, RunTables
from stabilitybench.finetuning.plain_steps import Training
from stabilitybench.finetuning.step_tables import RowTable, StepShape, step_shapes

#: What reads a value back or brings one from the host; the tags of torch tell the rest.
READING = ("aten::_local_scalar_dense", "aten::lift_fresh", "aten::equal")


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, found: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        if waits or func.name().split(".")[0] in READING:
            self._found.append(func.name())
        return func(*args, **(kwargs or {}))


class WatchedSteps(DeviceSteps):
    """The steps of a run, from the second of each shape on watched.

    Parameters
    ----------
    training : Training
        The run at step 0.

    Attributes
    ----------
    waits : list of str
        Operations that read a value back, whose shape hangs on one, or that bring a value from the host.
    """

    def __init__(self, training: Training) -> None:
        self.waits: list[str] = []
        self._seen: set[StepShape] = set()
        split = training.splits.train
        assert isinstance(split, TokenSplit)
        rows = RowTable(split, training.device)
        shapes = step_shapes(rows.lengths, training.recipe.batch_size, 1024)
        super().__init__(training, RunTables.of(training), rows, shapes)

    def _take(self, shape: StepShape) -> None:
        # the first step of a shape asks for noise, which the host draws before the others
        with _Watch(self.waits) if shape in self._seen else nullcontext():
            super()._take(shape)
        self._seen.add(shape)
