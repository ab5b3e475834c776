"""Doing the missing runs of a study."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.argument_checks import choice, flag, number, text, whole
from stabilitybench.errors import Argument, EnvironmentFailure, UserError
from stabilitybench.stabilizers import build, load_file, loaded_files
from stabilitybench.statuses import FINISHED
from stabilitybench.storage.pool import Progress, check_jobs, cores, do_all
from stabilitybench.storage.writing import storage_failure
from stabilitybench.studies.spec import RunSpec
from stabilitybench.studies.store import Store

if TYPE_CHECKING:
    from stabilitybench.finetuning import Evaluation, Outcome
    from stabilitybench.finetuning.side_by_side import Request


@dataclass(frozen=True)
class Options:
    """How runs are done; nothing here changes a number.

    Attributes
    ----------
    jobs : int or None, default None
        Worker processes, at least 1; None takes one per core, or one per accelerator.
    device : str, default "auto"
        "auto", "cpu", "cuda" or "cuda:K".
    timeout : float or None, default None
        Seconds after which a run is given up, looked at when it is evaluated before its end.
    save : str or None, default None
        Checkpoint whose weights are kept, too: "last" or "best".
    retry : bool, default False
        Whether crashed and timed-out runs are done again.
    side_by_side : int or None, default None
        Runs that a worker has under way at a time, at least 1; None takes one on a CPU, where they could only take
        turns, and on an accelerator as many as its memory holds by the measure of the first run, at most
        `stabilitybench.finetuning.lanes.MOST`.

    Raises
    ------
    UserError
        Where a value is not allowed, or the machine lacks the device.
    """

    jobs: int | None = None
    device: str = "auto"
    timeout: float | None = None
    save: str | None = None
    retry: bool = False
    side_by_side: int | None = None

    def __post_init__(self) -> None:
        check_jobs(self.jobs)
        devices(self.device)
        if self.timeout is not None:
            number("timeout", self.timeout, "must be a positive number of seconds", lambda seconds: seconds > 0)
        if self.save is not None:
            choice("save", self.save, ("last", "best"))
        flag("retry", self.retry)
        if self.side_by_side is not None:
            whole("side_by_side", self.side_by_side, "must be at least 1", lambda n: n >= 1)


def devices(name: str) -> list[str]:
    """Return the devices that a name stands for.

    Parameters
    ----------
    name : str
        "auto" (CUDA where there is one, else the CPU), "cpu", "cuda" (all of them) or "cuda:K".

    Returns
    -------
    list of str
        Each gets one worker at a time, a CPU one for each core.

    Raises
    ------
    UserError
        For another name, or a device that this machine lacks.
    """
    import torch

    allowed = "must be auto, cpu, cuda or cuda:K"
    text("device", name, allowed)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return ["cpu"]
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not (number.isdecimal() and number.isascii() and len(number) < 10)):
        raise UserError(Argument("device", name), f": {allowed}")
    count = torch.cuda.device_count()
    if count == 0:
        raise UserError(Argument("device", name), ": this machine has no usable CUDA device; use cpu")
    if number and int(number) >= count:
        raise UserError(Argument("device", name), f": this machine has {count} CUDA devices, numbered from 0")
    return [name] if number else [f"cuda:{k}" for k in range(count)]


def workers(options: Options) -> int:
    """Return the number of worker processes.

    Parameters
    ----------
    options : Options
        Their `jobs` where they have any, else as many as `device` can feed.
    """
    if options.jobs is not None:
        return options.jobs
    places = devices(options.device)
    return cores() if places == ["cpu"] else len(places)


def check_savable(specs: Iterable[RunSpec], options: Options) -> None:
    """Refuse to keep weights that no Hugging Face classifier can hold.

    Parameters
    ----------
    specs : iterable of RunSpec
        The runs.
    options : Options
        Of which `save` counts.

    Raises
    ------
    UserError
        Where a run trains a head on frozen features.
    """
    if options.save and any(spec.recipe.mode == "head" for spec in specs):
        raise UserError(
            Argument("save", options.save),
            ': a head on frozen features is no Hugging Face classifier; save only mode = "full"',
        )


def execute(specs: Sequence[RunSpec], store: Store, options: Options, progress: Progress) -> None:
    """Do every run of `specs` and store it; a crash is stored as such and the others go on.

    Parameters
    ----------
    specs : sequence of RunSpec
        The runs.
    store : Store
        Where their results go.
    options : Options
        How they are done.
    progress : Progress
        Who watches.

    Raises
    ------
    EnvironmentFailure
        Where the machine fails (disk full, workers killed); finished runs are kept.
    """
    places, count = devices(options.device), workers(options)
    if places == ["cpu"] and options.side_by_side in (None, 1):
        shares = [[spec] for spec in specs]  # whoever is free takes the next one
    else:
        shares = [list(specs[k::count]) for k in range(min(count, len(specs)))]  # a worker keeps what it has prepared
    pieces = [
        {spec.id: _Job.of(spec, store, places[k % len(places)], options) for spec in share}
        for k, share in enumerate(shares)
    ]

    def status(run_id: str) -> str | None:
        record = store.read(run_id)
        return record["status"] if record is not None and record["status"] in FINISHED else None

    do_all(pieces, _run, count, status, progress)


@dataclass(frozen=True)
class _Job:
    """A run as it travels to a worker: stabilizers by name, since a worker has not loaded a user's files yet."""

    run_id: str
    spec: RunSpec
    stabilizers: tuple[tuple[str, dict[str, Any]], ...]
    files: tuple[str, ...]
    store: Path
    device: str
    options: Options

    @classmethod
    def of(cls, spec: RunSpec, store: Store, device: str, options: Options) -> _Job:
        packed = tuple((s.name, s.parameters()) for s in spec.stabilizers)
        return cls(spec.id, spec.without_stabilizers(), packed, loaded_files(), store.folder, device, options)

    def unpack(self) -> RunSpec:
        for file in self.files:
            if file not in loaded_files():
                load_file(file)
        spec = self.spec.with_stabilizers(tuple(build(name, given) for name, given in self.stabilizers))
        if spec.id != self.run_id:
            raise UserError("a file of stabilizers was changed while its study was running; start the study again")
        return spec


class _Timeout(Exception):
    """The run was given up."""


def _run(jobs: list[_Job]) -> Iterator[tuple[str, str]]:
    """Do the runs of a piece, store each as it ends, and yield its id and status."""
    from stabilitybench.finetuning.side_by_side import finetune_side_by_side

    asked: dict[Request, tuple[_Job, RunSpec]] = {}

    def requests() -> Iterator[Request]:
        for job in jobs:
            spec = job.unpack()
            request = _request(spec, job.options)
            asked[request] = job, spec
            yield request

    one = jobs[0]
    for request, found in finetune_side_by_side(requests(), device=one.device, count=one.options.side_by_side):
        job, spec = asked.pop(request)
        yield job.run_id, _kept(spec, found, Store(job.store), job.options)


def _request(spec: RunSpec, options: Options) -> Request:
    from stabilitybench.finetuning.side_by_side import Request

    deadline = time.monotonic() + options.timeout if options.timeout else None

    def watch(evaluation: Evaluation) -> None:
        # A run that has come to its end is kept, however late.
        if deadline is not None and evaluation.progress < 1 and time.monotonic() > deadline:
            raise _Timeout

    task = spec.task
    if spec.n_train is not None:
        task = task.subsample(spec.n_train, spec.seeds.generator("subset"))
    save = options.save
    return Request(spec.encoder, task, spec.recipe, spec.stabilizers, spec.seeds, watch, save)  # type: ignore[arg-type]


def _kept(spec: RunSpec, found: Outcome | Exception, store: Store, options: Options) -> str:
    """Store what became of a run and return its status."""
    from stabilitybench.finetuning.saving import save_model

    try:
        if isinstance(found, Exception):
            raise found
        store.write(spec, found, save_model if options.save else None)
        return found.status
    except (UserError, EnvironmentFailure):
        raise  # the next seed would end the same way
    except _Timeout:
        store.write_missing(spec, "timeout", f"gave up after {options.timeout} seconds")
        return "timeout"
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise storage_failure(store.folder, error) from error
        store.write_missing(spec, "crashed", f"{type(error).__name__}: {error}")
        return "crashed"
