"""Device steps as CUDA graphs: the host says which graph comes next, and the device never waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from stabilitybench.finetuning.device_steps import DeviceSteps, RunTables
from stabilitybench.finetuning.mirror import Mirror
from stabilitybench.finetuning.plain_steps import Training
from stabilitybench.finetuning.step_tables import RowTable, StepShape


class CapturedSteps(DeviceSteps):
    """Steps that are captured once for each shape and replayed, by this run and by those loaded after it.

    Parameters
    ----------
    training : Training
        As for `DeviceSteps`; on a CUDA device, whose current stream is that of all its work.
    tables : RunTables
        As there.
    rows : RowTable
        As there.
    shapes : tuple of StepShape
        As there.
    """

    def __init__(self, training: Training, tables: RunTables, rows: RowTable, shapes: Sequence[StepShape]) -> None:
        self._graphs: dict[StepShape, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle()
        super().__init__(training, tables, rows, shapes)

    def load(self, training: Training, tables: RunTables) -> None:
        """Begin another run; shapes that no run before it had are captured.

        Parameters
        ----------
        training : Training
            The run, before its first step.
        tables : RunTables
            Its tables.
        """
        super().load(training, tables)
        missing = [shape for shape in self.shapes if shape in self._plan and shape not in self._graphs]
        if not missing:
            return
        before = Mirror(self.changed())
        for shape in missing:
            self._capture(shape)
            before.restore(self.changed())

    def _capture(self, shape: StepShape) -> None:
        step = self._plan.index(shape)
        self._noise[shape].fill(partial(self._on_host, step, shape))
        self._counter.fill_(step)
        self.step(shape)  # compiles kernels, sizes workspaces, and asks for the noise
        self._counter.fill_(step)
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        stream.synchronize()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            self.step(shape)
        self._graphs[shape] = graph

    def _take(self, shape: StepShape) -> None:
        self._graphs[shape].replay()
