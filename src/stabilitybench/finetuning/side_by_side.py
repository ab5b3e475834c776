"""Several runs in one process, each on a lane of its own, taking turns at their evaluations."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from traceback import clear_frames

import torch

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning.lanes import Lane, lanes, room
from stabilitybench.finetuning.loop import Observer
from stabilitybench.finetuning.outcome import Checkpoint, Outcome
from stabilitybench.finetuning.training import checked_device, loop_of
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Stabilizer
from stabilitybench.tasks.base import Task
from stabilitybench.threads import one_thread


@dataclass(frozen=True, eq=False)
class Request:
    """A run to be done; what the fields mean, `finetune` says.

    Attributes
    ----------
    encoder : Encoder
        What is fine-tuned.
    task : Task
        What is learned.
    recipe : Recipe
        How to train.
    stabilizers : tuple of Stabilizer, default ()
        In any order.
    seeds : Seeds
        One for each stream.
    observer : callable, optional
        Is told of every evaluation.
    keep_weights : {"last", "best"}, optional
        Checkpoint whose tensors are returned too.
    """

    encoder: Encoder
    task: Task
    recipe: Recipe
    stabilizers: tuple[Stabilizer, ...] = ()
    seeds: Seeds = field(default_factory=Seeds)
    observer: Observer | None = None
    keep_weights: Checkpoint | None = None


def finetune_side_by_side(
    requests: Iterable[Request], *, device: str = "cpu", count: int | None = None
) -> Iterator[tuple[Request, Outcome | Exception]]:
    """Do runs, several at a time, and yield each with what became of it, as they end.

    While one run is evaluated, the device works on the steps of the others.  The numbers of a run are those that
    `finetune` returns: they do not depend on how many stand beside it.

    Parameters
    ----------
    requests : iterable of Request
        The runs; the next one is asked for when a lane is free.
    device : str, default "cpu"
        "cpu", "cuda" or "cuda:K".
    count : int, optional
        Runs at a time, at least 1; unset, one on a CPU, and on CUDA as many as fit by the measure of the first run.

    Yields
    ------
    request : Request
        One of the runs.
    outcome : Outcome or Exception
        Its result, or what it raised.
    """
    where = checked_device(device)
    waiting = iter(requests)
    measuring = count is None and where.type == "cuda"
    if measuring:
        torch.cuda.reset_peak_memory_stats(where)
    free = lanes(where, count or 1)
    busy: list[tuple[Lane, Request, Generator[None, None, Outcome]]] = []
    with one_thread(where):
        while True:
            while free and (request := next(waiting, None)) is not None:
                lane = free.pop(0)
                busy.append((lane, request, _parts(request, lane)))
            if not busy:
                return
            for entry in list(busy):
                lane, request, parts = entry
                try:
                    with lane.current():
                        next(parts)
                    continue
                except StopIteration as end:
                    found: Outcome | Exception = end.value
                except Exception as error:
                    clear_frames(error.__traceback__)  # whose tensors would take the place of the next run's
                    found = error
                busy.remove(entry)
                free.append(lane)
                if measuring and not isinstance(found, Exception):
                    measuring, free = False, lanes(where, room(where))
                yield request, found


def _parts(request: Request, lane: Lane) -> Generator[None, None, Outcome]:
    started = time.perf_counter()
    loop = loop_of(
        request.encoder, request.task, request.recipe, request.stabilizers, request.seeds, lane.device, lane=lane
    )
    return (yield from loop.parts(started, request.observer, request.keep_weights))
