"""A study from its file to its results: plan, tune, do what is missing, collect."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from stabilitybench import argument_checks
from stabilitybench.encoders import Encoder, load_encoder, pocket_encoders
from stabilitybench.errors import Argument, UserError
from stabilitybench.seeds import Seeds, grid
from stabilitybench.statuses import FINISHED
from stabilitybench.storage.pool import Progress, Silent
from stabilitybench.storage.writing import check_writable, saving, write_atomically
from stabilitybench.studies import file as study_file
from stabilitybench.studies.execution import Options, check_savable, devices, execute, workers
from stabilitybench.studies.file import StudyFile
from stabilitybench.studies.looks import price_of_looks
from stabilitybench.studies.results import PlannedRun, Results
from stabilitybench.studies.shard import Shard
from stabilitybench.studies.spec import RunSpec
from stabilitybench.studies.store import Store
from stabilitybench.studies.study_json import STUDY_JSON, differences, read_known, set_aside, short
from stabilitybench.studies.tuning import Cell, TuningRun, choose, tuning_runs
from stabilitybench.tasks import Task, load_task

T = TypeVar("T")


@dataclass
class Study:
    """A declared study and the folders it works in.

    Attributes
    ----------
    file : StudyFile
        What is run.
    store : Store, default Store("store")
        The runs of all studies.
    results_folder : Path, default "results"
        Holds ``<name>/study.json`` and the reports.
    source : str, default "study"
        What messages call it.

    Examples
    --------
    >>> study = Study.from_dict({
    ...     "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 2,
    ...     "baseline": "plain", "recipe": {"steps": 2, "evaluations": 1}, "arms": {"plain": []},
    ... })
    >>> len(study.plan())
    2
    """

    file: StudyFile
    store: Store = field(default_factory=lambda: Store("store"))
    results_folder: Path = Path("results")
    source: str = "study"

    def __post_init__(self) -> None:
        argument_checks.of_kind("file", self.file, "a StudyFile; take Study.from_file or from_dict", StudyFile)
        argument_checks.of_kind("store", self.store, "a Store", Store)

    @classmethod
    def from_file(
        cls, path: str | Path, overrides: Iterable[str] = (), *, store: str | Path = "store",
        results: str | Path = "results",
    ) -> Study:  # fmt: skip
        """Read a study file.

        Parameters
        ----------
        path : str or Path
            A TOML file.
        overrides : iterable of str, default ()
            ``key=value`` texts that replace what the file says, such as ``recipe.epochs=5``.
        store : str or Path, default "store"
            Folder of the runs of all studies.
        results : str or Path, default "results"
            Folder of the reports.

        Raises
        ------
        UserError
            With the file, the key, the value and what is allowed.
        """
        changes = argument_checks.several("overrides", overrides, "texts such as recipe.epochs=5", str)
        return cls(study_file.read(argument_checks.path("path", path), changes), *_folders(store, results), str(path))

    @classmethod
    def from_dict(
        cls, raw: Mapping[str, Any], *, store: str | Path = "store", results: str | Path = "results"
    ) -> Study:
        """Check plain data, in the form of a study file.

        Parameters
        ----------
        raw : mapping of str to object
            In the form of a study file.
        store : str or Path, default "store"
            Folder of the runs of all studies.
        results : str or Path, default "results"
            Folder of the reports.

        Raises
        ------
        UserError
            With the key, the value and what is allowed.
        """
        return cls(study_file.parse(raw), *_folders(store, results))

    @property
    def folder(self) -> Path:
        """Where the reports of this study stand."""
        return self.results_folder / self.file.name

    @property
    def headline(self) -> str:
        """What the study is, in one line."""
        file, seeds = self.file, len(grid(self.file.seeds))
        counts = [
            *([_count(len(file.encoders), "encoder")] if len(file.encoders) > 1 else []),
            _count(len(file.arms), "arm"), _count(len(file.tasks), "task"), _count(seeds, "seed"),
        ]  # fmt: skip
        total = len(file.encoders) * len(file.arms) * len(file.tasks) * seeds
        embedded = pocket_encoders()
        names = [f"{e.label} (embedded)" if e.name in embedded else e.label for e in file.encoders]
        return f"Study  {file.name}: {' x '.join(counts)} = {_count(total, 'run')} on {', '.join(names)}"

    def plan(self, tuned: Mapping[Cell, Mapping[str, Any]] | None = None) -> list[PlannedRun]:
        """Return every run of the study, encoders and tasks loaded and every arm checked against them.

        Parameters
        ----------
        tuned : mapping of (str, str, str) to mapping, or None, default None
            Recipe fields chosen for each (encoder, task, arm).

        Raises
        ------
        UserError
            Where an encoder or task cannot be had, an arm does not fit them, or two arms are the same run.
        """
        if tuned is not None:
            argument_checks.mapping("tuned", tuned, "(encoder, task, arm) to recipe fields")
        points = grid(self.file.seeds)
        planned = []
        for (encoder_label, encoder), (task_label, task, n) in itertools.product(self._encoders, self._tasks):
            for arm in self.file.arms:
                chosen = (tuned or {}).get((encoder_label, task_label, arm), {})
                for i, seeds in enumerate(points):
                    spec = self._spec(encoder, task, n, arm, seeds, chosen)
                    planned.append(PlannedRun(encoder_label, task_label, arm, i, spec))
        if not tuned:  # two arms may well be tuned to the same settings
            self._refuse_twins(planned)
        return planned

    def _refuse_twins(self, planned: list[PlannedRun]) -> None:
        """Refuse runs that are the same training: they would count as two observations."""
        seen: dict[str, PlannedRun] = {}
        for run in planned:
            twin = seen.setdefault(run.spec.id, run)
            if twin is not run:
                first, second = (f"{r.encoder}, {r.task}, arms.{r.arm}, seed {r.seed}" for r in (twin, run))
                hint = "; crossing subset needs n = ... of the task" if twin.arm == run.arm and first != second else ""
                raise UserError(f"{self.source}: two runs are the same training: ({first}) and ({second}){hint}")

    def run(
        self, *, jobs: int | None = None, device: str = "auto", timeout: float | None = None, save: str | None = None,
        retry: bool = False, shard: str | None = None, side_by_side: int | None = None,
        progress: Progress | None = None,
    ) -> Results:  # fmt: skip
        """Do exactly the runs that the store lacks and return the results.

        Parameters
        ----------
        jobs : int or None, default None
            Worker processes, at least 1; None takes one per core, or one per accelerator.
        device : str, default "auto"
            "auto", "cpu", "cuda" or "cuda:K".
        timeout : float or None, default None
            Seconds after which a run is given up.
        save : str or None, default None
            Checkpoint whose weights are kept, too: "last" or "best".
        retry : bool, default False
            Whether crashed and timed-out runs are done again.
        shard : str or None, default None
            "3/16" does only the third of sixteen parts; None does all.
        side_by_side : int or None, default None
            Runs that a worker has under way at a time; None takes one on a CPU, and what fits on an accelerator.
        progress : Progress or None, default None
            Who watches.

        Raises
        ------
        UserError
            For options or a study that cannot be run, before the first training.
        EnvironmentFailure
            Where the machine fails; finished runs are kept.
        """
        options = Options(jobs, device, timeout, save, retry, side_by_side)
        watcher = Silent() if progress is None else progress
        if not all(callable(getattr(watcher, does, None)) for does in ("start", "finished", "message")):
            raise UserError(Argument("progress", progress), ": must have the methods start, finished and message")
        part = None if shard is None else Shard.parse(shard)
        tuning = self._tuning_runs()
        planned = self.plan()  # every check comes before the first training
        check_savable((run.spec for run in planned), options)
        self._prepare_folders()
        notes = [*set_aside(self.folder), *self.claim_name()]
        self._record(None, notes)  # at once, so that a name stands for one study even if this one is interrupted
        if part and not all(self._finished(run.spec.id, retry) for run in tuning):
            raise UserError(Argument("shard", shard), ": the tuning runs of this study come first; run it once without")
        if tuning:
            notes += self._do([run.spec for run in tuning], replace(options, save=None), watcher, None)
            planned = self.plan(choose(self.file, tuning, self.store))
        notes += self._do([run.spec for run in planned], options, watcher, part)
        self._record(planned, notes)
        return self.results()

    def check(
        self, *, jobs: int | None = None, device: str = "auto", timeout: float | None = None, save: str | None = None,
        retry: bool = False, shard: str | None = None, side_by_side: int | None = None,
    ) -> None:  # fmt: skip
        """Raise what `run` would raise with these options before its first training; nothing is written.

        Parameters
        ----------
        jobs, device, timeout, save, retry, shard, side_by_side : object
            As in `run`.

        Raises
        ------
        UserError
            For options or a study that cannot be run.
        """
        options = Options(jobs, device, timeout, save, retry, side_by_side)
        devices(options.device)
        if shard is not None:
            Shard.parse(shard)
        self._tuning_runs()
        check_savable((run.spec for run in self.plan()), options)
        self.claim_name()

    def _finished(self, run_id: str, retry: bool) -> bool:
        record = self.store.read(run_id)
        return record is not None and (record["status"] in FINISHED or not retry)

    def _do(self, specs: list[RunSpec], options: Options, watcher: Progress, part: Shard | None) -> list[str]:
        notes = []
        unique = {spec.id: spec for spec in specs if part is None or part.holds(spec.id)}
        for run_id in unique:
            if self.store.damaged(run_id):
                aside = self.store.set_aside(run_id)
                notes.append(f"run {run_id} was damaged; it was moved to {aside} and done again")
                watcher.message(notes[-1])
        missing = [spec for run_id, spec in unique.items() if not self._finished(run_id, options.retry)]
        bare = [
            i for i in unique if options.save and self._finished(i, options.retry) and not self.store.keeps_model(i)
        ]
        if bare:
            kept = "1 run is" if len(bare) == 1 else f"{len(bare)} runs are"
            watcher.message(
                f"{kept} in the store without weights and not done again; to keep theirs, use another store"
            )
        watcher.start(len(unique), len(unique) - len(missing), min(workers(options), max(1, len(missing))))
        try:
            if missing:
                execute(missing, self.store, options, watcher)
        finally:
            watcher.end()
        return notes

    def results(self) -> Results:
        """Return what the store holds of this study, complete or not."""
        tuned = choose(self.file, self._tuning_runs(), self.store)
        planned = tuple(self.plan(tuned))
        records = {run.spec.id: record for run in planned if (record := self.store.read(run.spec.id)) is not None}
        return Results(self.file, planned, records, tuned, tuple(read_known(self.folder).get("notes", ())))

    def tuning_progress(self) -> tuple[int, int]:
        """Return how many runs choose settings, and how many of these the store has."""
        ids = {run.spec.id for run in self._tuning_runs()}
        return len(ids), sum(self.store.read(run_id) is not None for run_id in ids)

    def _tuning_runs(self) -> list[TuningRun]:
        encoders = dict(self._encoders)
        tasks = {label: (task, n) for label, task, n in self._tasks}
        return tuning_runs(
            self.file, list(encoders), list(tasks),
            lambda e, t, arm, seeds, point: self._spec(encoders[e], *tasks[t], arm, seeds, point),
        )  # fmt: skip

    # -- loading -----------------------------------------------------------------------------------------------

    @cached_property
    def _encoders(self) -> list[tuple[str, Encoder]]:
        """Every encoder with its label."""
        return [(e.label, self._say(partial(load_encoder, e.name, e.revision))) for e in self.file.encoders]

    @cached_property
    def _tasks(self) -> list[tuple[str, Task, int | None]]:
        """Every task with its label and the number of training rows drawn from it (None: all)."""
        loaded = []
        for entry in self.file.tasks:
            task = self._say(partial(load_task, entry.name, metric=entry.metric, revision=entry.revision))
            if entry.n is not None:
                self._say(partial(task.subsample, entry.n, Seeds().generator("subset")))
            loaded.append((entry.label, task, entry.n))
        return loaded

    def _spec(
        self, encoder: Encoder, task: Task, n: int | None, arm: str, seeds: Seeds, chosen: Mapping[str, Any]
    ) -> RunSpec:
        spec = RunSpec(encoder, task, n, self.file.arm_recipe(arm, **chosen), self.file.stabilizers(arm), seeds)
        self._say(lambda: spec.id, f"arms.{arm}")  # asks every stabilizer whether it can work here
        return spec

    def _say(self, load: Callable[[], T], where: str = "") -> T:
        try:
            return load()
        except UserError as error:
            raise error.within(f"{self.source}: {where}" if where else self.source) from None

    # -- the results folder ------------------------------------------------------------------------------------

    def _prepare_folders(self) -> None:
        self.store.prepare()
        with saving(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        check_writable(self.folder)

    def claim_name(self) -> list[str]:
        """Refuse another study under the same name; more seeds of the same study are welcome.

        Returns the notes a report must carry: those known, and that seeds were raised after results were seen.
        """
        known, spec = read_known(self.folder), self.file.plain()
        notes: list[str] = list(known.get("notes", []))
        old = known.get("spec")
        if old is None or old == spec:
            return notes
        changes = list(differences(old, spec))
        grown = isinstance(old.get("seeds"), int) and isinstance(spec["seeds"], int) and old["seeds"] < spec["seeds"]
        if grown and [key for key, _, _ in changes] == ["seeds"]:
            if self.file.looks is not None:  # both numbers are declared looks
                return notes
            day = datetime.now(UTC).date().isoformat()
            raised = f"seeds were raised from {old['seeds']} to {spec['seeds']} after results were seen ({day})"
            price = price_of_looks([*known.get("looked_at", []), old["seeds"], spec["seeds"]])
            return [*notes, f"{raised}; {price}" if price else raised]
        shown = "; ".join(f"{key}: {short(a)} -> {short(b)}" for key, a, b in changes[:5])
        raise UserError(
            f'{self.source}: a different study named "{self.file.name}" stands in {self.folder} ({shown}). '
            "Change it back, or give it another name (name = ...); runs they share are not done twice."
        )

    def _record(self, planned: list[PlannedRun] | None, notes: list[str]) -> None:
        known = read_known(self.folder)
        before = known.get("runs", [])
        runs = before if planned is None else [run.spec.id for run in planned]
        gone = len(set(before) - set(runs))
        if gone:
            notes = [*notes, f"{gone} earlier runs no longer belong to this study: its task, encoder or tuning changed"]
        spec = self.file.plain()
        looked_at = known.get("looked_at", [])  # the numbers of seeds that this study had before
        if (seeds := known.get("spec", spec)["seeds"]) != spec["seeds"]:
            looked_at = [*looked_at, seeds]
        content = {"spec": spec, "runs": runs, "notes": list(dict.fromkeys(notes)), "looked_at": looked_at}
        write_atomically(self.folder / STUDY_JSON, json.dumps(content, indent=1) + "\n")


def _folders(store: str | Path, results: str | Path) -> tuple[Store, Path]:
    return Store(argument_checks.path("store", store)), argument_checks.path("results", results)


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
