"""Doing pieces of work: in this process, or in a pool of single-threaded workers through joblib.

A worker writes its result to the store itself, so a pool may die without loss; the same call is what
``joblib.parallel_config`` hands to a Dask or Ray cluster.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Event, Lock, Thread
from typing import Generic, Protocol, TypeVar

from stabilitybench.argument_checks import whole
from stabilitybench.errors import EnvironmentFailure

#: A pool whose workers are killed this often in a row without finishing a run is given up.
MAX_LOST_POOLS = 3
#: Seconds between two looks at the store while workers are at work on pieces of several jobs.
LOOK_EVERY = 1.0

Job = TypeVar("Job")


class Progress(Protocol):
    """Who watches an execution; every method may do nothing."""

    def start(self, total: int, done: int, workers: int) -> None:
        """`done` of `total` runs are in the store already.

        Parameters
        ----------
        total : int
            Runs in all.
        done : int
            Those of them that need not be done any more.
        workers : int
            Processes that do the others.
        """

    def finished(self, run_id: str, status: str) -> None:
        """Take note that a run has ended.

        Parameters
        ----------
        run_id : str
            Its id in the store.
        status : str
            What became of it, see `stabilitybench.statuses`.
        """

    def message(self, text: str) -> None:
        """Something worth a line happened.

        Parameters
        ----------
        text : str
            The line.
        """

    def end(self) -> None:
        """Nothing more will come."""


class Silent:
    """A watcher that does nothing."""

    def start(self, total: int, done: int, workers: int) -> None:
        """Do nothing."""

    def finished(self, run_id: str, status: str) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_jobs(jobs: int | None) -> None:
    """Raise UserError unless `jobs` is a number of workers, or None.

    Parameters
    ----------
    jobs : int or None
        Worker processes, at least 1; None leaves the number to the machine.
    """
    if jobs is not None:
        whole("jobs", jobs, "must be at least 1", lambda n: n >= 1)


def do_all(
    pieces: Sequence[Mapping[str, Job]],
    work: Callable[[list[Job]], Iterable[tuple[str, str]]],
    count: int,
    status: Callable[[str], str | None],
    progress: Progress,
) -> None:
    """Do every job, at most `count` pieces at a time, and tell `progress` of each.

    Parameters
    ----------
    pieces : sequence of mapping of str to Job
        The jobs by id; those of a piece are done by one worker.
    work : callable
        Does the jobs of a piece, stores each result itself and yields id and status as they end; it travels to a
        worker process.
    count : int
        Worker processes; with one, or a single piece, the work is done in this process.
    status : callable
        What became of an id according to the store; None where it has to be done.
    progress : Progress
        Who watches.

    Raises
    ------
    EnvironmentFailure
        Where workers are killed again and again; what is finished is kept.
    """
    left = _Left(pieces, status, progress)
    if min(count, len(pieces)) <= 1:
        for jobs in left.pieces():
            for ended in work(jobs):
                left.ended(*ended)
        return
    lost = 0
    while len(left):
        before = len(left)
        try:
            # a worker gives back what it did at the end of its piece, and the store knows of it at once
            with _recycling_workers(), left.looked_at() if max(map(len, pieces)) > 1 else nullcontext():
                for done in _pool(left.pieces(), partial(_listed, work), min(count, len(pieces))):
                    for ended in done:
                        left.ended(*ended)
        except _worker_death() as error:
            left.look()  # the pool is gone, the store is not: what it holds by now is done
            lost = lost + 1 if len(left) == before else 0
            progress.message("a worker process was killed; the runs it had not finished are started again")
            if lost >= MAX_LOST_POOLS:
                raise EnvironmentFailure(
                    f"worker processes are killed again and again (out of memory?); {len(left)} runs are missing. "
                    "Finished runs are kept; try fewer jobs and start the same command again."
                ) from error


class _Left(Generic[Job]):
    """What is still to be done; a job that has ended is told once, whoever sees it first."""

    def __init__(
        self, pieces: Sequence[Mapping[str, Job]], status: Callable[[str], str | None], progress: Progress
    ) -> None:
        self._pieces = [list(piece) for piece in pieces]
        self._jobs = {job_id: job for piece in pieces for job_id, job in piece.items()}
        self._status, self._progress, self._lock = status, progress, Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    def pieces(self) -> list[list[Job]]:
        left = [[self._jobs[i] for i in piece if i in self._jobs] for piece in self._pieces]
        return [piece for piece in left if piece]

    def ended(self, job_id: str, status: str) -> None:
        with self._lock:
            if self._jobs.pop(job_id, None) is not None:
                self._progress.finished(job_id, status)

    def look(self) -> None:
        """Ask the store what has ended."""
        for job_id in list(self._jobs):
            if (status := self._status(job_id)) is not None:
                self.ended(job_id, status)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Look now and then, in a thread of its own."""
        stop = Event()

        def watch() -> None:
            while not stop.wait(LOOK_EVERY):
                self.look()

        thread = Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _listed(work: Callable[[list[Job]], Iterable[tuple[str, str]]], jobs: list[Job]) -> list[tuple[str, str]]:
    return list(work(jobs))


@contextmanager
def _recycling_workers() -> Iterator[None]:
    """Keep quiet about a worker that is replaced: loky does so once its memory has grown, and no run is lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
        yield


def _worker_death() -> type[BaseException]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    return BrokenProcessPool  # type: ignore[no-any-return]


def _pool(
    pieces: list[list[Job]], work: Callable[[list[Job]], list[tuple[str, str]]], count: int
) -> Iterator[list[tuple[str, str]]]:
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
    yield from pool(delayed(work)(piece) for piece in pieces)
