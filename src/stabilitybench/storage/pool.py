"""Doing pieces of work: in this process, or in a pool of single-threaded workers through joblib.

A worker writes its result to the store itself, so a pool may die without loss; the same call is what
``joblib.parallel_config`` hands to a Dask or Ray cluster.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

from stabilitybench.argument_checks import whole
from stabilitybench.errors import EnvironmentFailure

#: A pool whose workers are killed this often in a row without finishing a run is given up.
MAX_LOST_POOLS = 3

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
    jobs: Mapping[str, Job],
    work: Callable[[Job], tuple[str, str]],
    count: int,
    is_done: Callable[[str], bool],
    progress: Progress,
) -> None:
    """Do every job, at most `count` at a time, and tell `progress` of each.

    Parameters
    ----------
    jobs : mapping of str to Job
        The jobs by id.
    work : callable
        Does one job, stores the result itself and returns id and status; it travels to a worker process.
    count : int
        Worker processes; with one, or a single job, the work is done in this process.
    is_done : callable
        Whether the store has the result of an id, asked when a worker was killed.
    progress : Progress
        Who watches.

    Raises
    ------
    EnvironmentFailure
        Where workers are killed again and again; what is finished is kept.
    """
    count = max(1, min(count, len(jobs)))
    if count == 1:
        for job in jobs.values():
            progress.finished(*work(job))
        return
    remaining = dict(jobs)
    lost = 0
    while remaining:
        before = len(remaining)
        try:
            with _recycling_workers():
                for job_id, status in _pool(list(remaining.values()), work, count):
                    remaining.pop(job_id, None)
                    progress.finished(job_id, status)
        except _worker_death() as error:
            # The pool is gone, the store is not: what it holds by now is done.
            for job_id in [r for r in remaining if is_done(r)]:
                progress.finished(job_id, "ok")
                del remaining[job_id]
            lost = lost + 1 if len(remaining) == before else 0
            progress.message("a worker process was killed; the runs it had not finished are started again")
            if lost >= MAX_LOST_POOLS:
                raise EnvironmentFailure(
                    f"worker processes are killed again and again (out of memory?); {len(remaining)} runs are missing. "
                    "Finished runs are kept; try fewer jobs and start the same command again."
                ) from error


@contextmanager
def _recycling_workers() -> Iterator[None]:
    """Keep quiet about a worker that is replaced: loky does so once its memory has grown, and no run is lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
        yield


def _worker_death() -> type[BaseException]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    return BrokenProcessPool  # type: ignore[no-any-return]


def _pool(jobs: list[Job], work: Callable[[Job], tuple[str, str]], count: int) -> Iterator[tuple[str, str]]:
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
    yield from pool(delayed(work)(job) for job in jobs)
