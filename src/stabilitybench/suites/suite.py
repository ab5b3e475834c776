"""Suites from their files to their results: plan, do what is missing, collect."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.argument_checks import of_kind
from stabilitybench.errors import EnvironmentFailure
from stabilitybench.storage.pool import Progress, Silent, check_jobs, cores, do_all
from stabilitybench.storage.records import Records, content_id, versions
from stabilitybench.storage.writing import storage_failure
from stabilitybench.suites.file import SuiteFile, find_suites
from stabilitybench.suites.measurements import Settings, check, measure
from stabilitybench.suites.record_form import well_formed
from stabilitybench.synthetic import Dataset, generate
from stabilitybench.threads import one_thread

if TYPE_CHECKING:
    import pandas as pd

#: Part of every dataset's identity: raised when generators or measurements change a number.
FORMAT = 1
PACKAGES = ("stabilitybench", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset and how it is measured: the unit of work, storage and resume.

    Attributes
    ----------
    generator : str
        Its name.
    parameters : tuple of (str, number)
        All of the generator's, defaults filled in.
    seed : int
        Of the generator.
    settings : Settings
        How the dataset is measured.
    """

    generator: str
    parameters: tuple[tuple[str, int | float], ...]
    seed: int
    settings: Settings

    def identity(self) -> dict[str, Any]:
        """Return what determines the numbers, as plain data; settings that have their default are left out."""
        kept = self.settings.model_dump(exclude_defaults=True)
        return {
            "format": FORMAT,
            "generator": self.generator,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "measure": {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()},
        }

    def draw(self) -> Dataset:
        """Return the dataset itself."""
        return generate(self.generator, seed=self.seed, **dict(self.parameters))

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of the hash of the identity."""
        return content_id(self.identity())


class Datasets(Records):
    """The measured datasets of a store, ``datasets/<id>/record.json``.

    Parameters
    ----------
    folder : str or Path
        The store.

    Examples
    --------
    >>> import tempfile
    >>> Datasets(tempfile.mkdtemp()).read("0123456789abcdef") is None
    True
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, "datasets", "record.json")

    def whole(self, record_id: str, record: dict[str, Any]) -> bool:
        """Tell whether a record has its measurements, or the reason why it has none.

        Parameters
        ----------
        record_id : str
            The dataset's id.
        record : dict of str to object
            What is stored of it.
        """
        return well_formed(record)

    def done(self, record_id: str) -> str | None:
        """Return "ok" if a dataset is measured, else None.

        Parameters
        ----------
        record_id : str
            The dataset's id.
        """
        record = self.read(record_id)
        return "ok" if record is not None and record["status"] == "ok" else None


@dataclass(frozen=True)
class PlannedDataset:
    """A dataset and its place in its suite.

    Attributes
    ----------
    value : number
        Of the factor.
    seed : int
        Number of the dataset at that value, 0, 1, ...
    spec : DatasetSpec
        The dataset itself.
    """

    value: int | float
    seed: int
    spec: DatasetSpec


@dataclass(frozen=True)
class Suite:
    """A declared suite and the store that it works in.

    Attributes
    ----------
    file : SuiteFile
        What is measured.
    store : Datasets, default Datasets("store")
        Where the measurements are kept.

    Examples
    --------
    >>> from stabilitybench.suites.file import parse_suite
    >>> suite = Suite(parse_suite({
    ...     "name": "tiny", "title": "Samples", "factor": "n", "about": "More samples.", "generator": "separable-ball",
    ...     "datasets": 2, "parameters": {"d": 3}, "vary": {"n": [8, 16]}, "measure": {"kind": "max-margin"},
    ... }))
    >>> len(suite.plan())
    4
    """

    file: SuiteFile
    store: Datasets = field(default_factory=lambda: Datasets("store"))

    def __post_init__(self) -> None:
        of_kind("file", self.file, "a SuiteFile, as parse_suite gives it", SuiteFile)
        of_kind("store", self.store, "a Datasets", Datasets)

    def plan(self) -> list[PlannedDataset]:
        """Return every dataset of the suite."""
        planned = []
        for place, value in enumerate(self.file.values):
            parameters = tuple(self.file.parameters_at(place).items())
            settings = self.file.settings_at(place)
            for seed in range(self.file.datasets):
                planned.append(
                    PlannedDataset(value, seed, DatasetSpec(self.file.generator, parameters, seed, settings))
                )
        return planned

    def results(self) -> SuiteResults:
        """Return what the store holds of this suite, complete or not."""
        planned = tuple(self.plan())
        records = {p.spec.id: record for p in planned if (record := self.store.read(p.spec.id)) is not None}
        return SuiteResults(self.file, planned, records)


@dataclass(frozen=True)
class SuiteResults:
    """What the store holds of a suite.

    Attributes
    ----------
    file : SuiteFile
        The suite.
    planned : tuple of PlannedDataset
        Every dataset of it.
    records : dict of str to dict
        What is stored, by id; absent where a dataset is missing.
    """

    file: SuiteFile
    planned: tuple[PlannedDataset, ...]
    records: dict[str, dict[str, Any]]

    @property
    def measured(self) -> int:
        """The number of datasets that are measured."""
        return sum(record["status"] == "ok" for record in self.records.values())

    @property
    def crashed(self) -> dict[str, str]:
        """Why datasets have no result, by id."""
        return {key: record["reason"] for key, record in self.records.items() if record["status"] != "ok"}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per measured dataset and quantity or bound.

        Returns
        -------
        DataFrame
            With suite, factor, axis, value, seed and dataset to tell where a row stands; `kind`, "measured" or "bound";
            `item`, its name; and `amount`, the measured quantity or the bound's value.  Bounds alone have measured,
            tightness, checks, violations, scope, published, trivial and refused.
        """
        import pandas as pd

        columns = ["measured", "tightness", "checks", "violations", "scope", "published", "trivial", "refused"]
        rows = []
        for p in self.planned:
            record = self.records.get(p.spec.id)
            if record is None or record["status"] != "ok":
                continue
            place = {
                "suite": self.file.name, "factor": self.file.factor, "axis": self.file.axis, "value": p.value,
                "seed": p.seed, "dataset": p.spec.id,
            }  # fmt: skip
            for name, amount in record["measured"].items():
                rows.append({**place, "kind": "measured", "item": name, "amount": amount})
            for name, held in record["bounds"].items():
                told = {column: held.get(column) for column in columns}
                rows.append({**place, "kind": "bound", "item": name, "amount": held.get("value"), **told})
        first = ["suite", "factor", "axis", "value", "seed", "dataset", "kind", "item", "amount"]
        frame = pd.DataFrame(rows, columns=[*first, *columns])
        numbers = ["value", "amount", "measured", "tightness", "checks", "violations", "trivial"]
        return frame.astype(dict.fromkeys(numbers, float))


def open_suites(names: Iterable[str], overrides: Iterable[str], store: str | Path) -> list[Suite]:
    """Return the suites that names stand for, in one store.

    Parameters
    ----------
    names : iterable of str
        Names of shipped suites, ``all`` of these, or files; see `find_suites`.
    overrides : iterable of str
        ``key=value`` texts that replace what each file says.
    store : str or Path
        Folder of the measured datasets.

    Raises
    ------
    UserError
        For an unknown name, or a file that is no suite.
    """
    datasets = Datasets(store)
    return [Suite(file, datasets) for file in find_suites(names, overrides)]


def run_suites(
    suites: Sequence[Suite], *, jobs: int | None = None, retry: bool = False, progress: Progress | None = None
) -> None:
    """Measure exactly the datasets of the suites that the store lacks.

    Parameters
    ----------
    suites : sequence of Suite
        At least one, all of one store.
    jobs : int or None, default None
        Worker processes; None takes one for each core.
    retry : bool, default False
        Whether crashed ones are measured again, too.
    progress : Progress or None, default None
        Who watches.

    Raises
    ------
    UserError
        For settings that no dataset can have, before anything is done.
    EnvironmentFailure
        Where the machine fails; what is measured is kept.
    """
    check_jobs(jobs)
    store, watcher = suites[0].store, progress or Silent()
    unique = {p.spec.id: p.spec for suite in suites for p in suite.plan()}
    store.prepare()
    for record_id in unique:
        if store.damaged(record_id):
            aside = store.set_aside(record_id)
            watcher.message(f"dataset {record_id} was damaged; it was moved to {aside} and is done again")
    missing = {}
    for record_id, spec in unique.items():
        record = store.read(record_id)
        if record is None or (record["status"] != "ok" and retry):
            missing[record_id] = _Job(spec, store.folder)
    for job in missing.values():
        if job.spec.seed == 0:
            check(job.spec.draw(), job.spec.settings)
    count = min(jobs or cores(), max(1, len(missing)))
    watcher.start(len(unique), len(unique) - len(missing), count)
    try:
        if missing:
            do_all([{i: job} for i, job in missing.items()], _run_all, count, store.done, watcher)
    finally:
        watcher.end()


@dataclass(frozen=True)
class _Job:
    """A dataset as it travels to a worker."""

    spec: DatasetSpec
    store: Path


def _run_all(jobs: list[_Job]) -> Iterator[tuple[str, str]]:
    return map(_run, jobs)


def _run(job: _Job) -> tuple[str, str]:
    store, spec = Datasets(job.store), job.spec
    header = {
        "id": spec.id,
        "status": "ok",
        "identity": spec.identity(),
        "versions": versions(PACKAGES),
        "machine": f"{platform.machine()} {platform.system()}",
    }
    began = time.perf_counter()
    try:
        with one_thread():
            found = measure(spec.draw(), spec.settings)
        store.publish({**header, **found, "seconds": time.perf_counter() - began})
        return spec.id, "ok"
    except (EnvironmentFailure, KeyboardInterrupt):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise storage_failure(store.folder, error) from error
        store.publish({**header, "status": "crashed", "reason": f"{type(error).__name__}: {error}"})
        return spec.id, "crashed"
