"""The study file: what may stand in it, and one clear sentence for everything that may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator, model_validator

from stabilitybench.errors import UserError, plain, shown, suggest
from stabilitybench.printing import printable
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import STREAMS, TUNING_OFFSET
from stabilitybench.stabilizers import Stabilizer, build, compose
from stabilitybench.storage.toml import Name, TomlTable, read_toml, refusal
from stabilitybench.studies.looks import LooksEntry

#: Runs that one study may have, those that choose settings counted apart.
MAX_RUNS = 1_000_000
Reference = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class EncoderEntry(TomlTable):
    """An encoder of a study.

    Attributes
    ----------
    name : str
        A hub id, a directory, or ``pocket/...``.
    revision : str or None, default None
        Commit, tag or branch on the hub.
    """

    name: Reference
    revision: Reference | None = None

    @property
    def label(self) -> str:
        """What the encoder is called in tables."""
        return printable(self.name if self.revision is None else f"{self.name}@{self.revision}")


class TaskEntry(TomlTable):
    """A task of a study.

    Attributes
    ----------
    name : str
        ``glue/...``, ``superglue/...``, ``pocket/...`` or ``file:`` and a folder.
    n : int or None, default None
        Training rows, at least 2, drawn by the subset stream; None takes all.
    metric : str or None, default None
        The headline metric; None takes the task's own.
    revision : str or None, default None
        Commit, tag or branch on the hub.
    """

    name: Reference
    n: int | None = Field(None, ge=2)
    metric: Reference | None = None
    revision: Reference | None = None

    @property
    def label(self) -> str:
        """What the task is called in tables: entries that differ in anything have different labels."""
        said = {"n": self.n, "metric": self.metric, "revision": self.revision}
        details = ", ".join(f"{key}={value}" for key, value in said.items() if value is not None)
        return printable(f"{self.name} ({details})" if details else self.name)


class ArmEntry(TomlTable):
    """An arm: stabilizers on the study's recipe.

    Attributes
    ----------
    stabilizers : list
        Each a name, or a table of one name and its parameters.
    recipe : dict of str to object
        Recipe fields of its own, over the study's.
    """

    stabilizers: list[Any] = Field(default_factory=list)
    recipe: dict[str, Any] = Field(default_factory=dict)


class TuneEntry(TomlTable):
    """A grid of recipe fields, searched on seeds of its own (10,000 and up) by mean validation score.

    Attributes
    ----------
    seeds : int, default 3
        Runs for each point of the grid, in [1, 1000].
    grid : dict of str to list
        Values to try, by recipe field; every combination is trained.
    scope : str, default "arm"
        "arm" chooses for every arm; "baseline" chooses with the baseline arm and gives its choice to all.
    """

    seeds: int = Field(3, ge=1, le=1000)
    grid: dict[str, list[Any]] = Field(min_length=1)
    scope: Literal["arm", "baseline"] = "arm"


class StudyFile(TomlTable):
    """A study: encoders x tasks x arms x seeds.

    Attributes
    ----------
    name : str
        Name of the study, and of its folder of reports.
    encoders : list of EncoderEntry
        At least one.
    tasks : list of TaskEntry
        At least one.
    seeds : int or dict of str to int
        A number (init, order, dropout and prepare vary together) or a table of streams to cross.
    baseline : str
        The arm that the others are compared with.
    arms : dict of str to ArmEntry
        The arms by name.
    recipe : dict of str to object
        Recipe fields that all arms share.
    tune : TuneEntry or None, default None
        Settings to choose before the study runs.
    looks : LooksEntry or None, default None
        The numbers of seeds at which one looks, of which `seeds` is one; no run depends on them.
    """

    name: Name
    encoders: list[EncoderEntry] = Field(min_length=1)
    tasks: list[TaskEntry] = Field(min_length=1)
    seeds: int | dict[str, int]
    baseline: str
    arms: dict[Name, ArmEntry] = Field(min_length=1)
    recipe: dict[str, Any] = Field(default_factory=dict)
    tune: TuneEntry | None = None
    looks: LooksEntry | None = None

    @field_validator("encoders", "tasks", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [{"name": item} if isinstance(item, str) else item for item in value]
        return value

    @field_validator("arms", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: {"stabilizers": item} if isinstance(item, list) else item for key, item in value.items()}
        return value

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for stream, count in value.items():
                if stream not in STREAMS:
                    raise ValueError(f"{stream}: must be one of {', '.join(STREAMS)}{suggest(stream, list(STREAMS))}")
                if not _is_count(count):
                    raise ValueError(f"{stream} = {shown(count)}: must be a whole number in [1, {TUNING_OFFSET}]")
            if not value:
                raise ValueError("must name at least one stream, such as { init = 5 }")
            if prod(value.values()) > TUNING_OFFSET:
                raise ValueError(f"crosses to {prod(value.values())} seeds; must be at most {TUNING_OFFSET}")
        elif not _is_count(value):
            raise ValueError(
                f"must be a whole number in [1, {TUNING_OFFSET}], or a table such as {{ init = 5, order = 5 }}"
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        arms = list(self.arms)
        if self.baseline not in arms:
            raise ValueError(f'baseline = "{self.baseline}": must be one of the arms {", ".join(arms)}')
        lists: dict[str, Sequence[EncoderEntry | TaskEntry]] = {"encoders": self.encoders, "tasks": self.tasks}
        for kind, entries in lists.items():
            seen: set[Any] = set()
            for i, entry in enumerate(entries):
                if entry in seen:
                    raise ValueError(f'{kind}[{i}] = "{entry.name}": stands twice')
                seen.add(entry)
        for where, fields in self._recipes():
            _recipe(where, fields)
        for arm in arms:
            self.stabilizers(arm)
        if self.looks is not None and self.seeds not in self.looks.sizes:
            sizes = ", ".join(map(str, self.looks.sizes))
            raise ValueError(f"seeds = {shown(self.seeds)}: must be one of the declared looks, looks.sizes: {sizes}")
        self._check_number_of_runs()
        if self.tune is not None:
            for key, values in self.tune.grid.items():
                if not values:
                    raise ValueError(f"tune.grid.{key}: must list at least one value")
                for value in values:
                    _recipe("tune.grid", {**self.recipe, key: value})
        return self

    def _check_number_of_runs(self) -> None:
        """Refuse a plan that would not fit the memory: it is made in full before anything is done."""
        seeds = self.seeds if isinstance(self.seeds, int) else prod(self.seeds.values())
        cells = len(self.encoders) * len(self.tasks) * len(self.arms)
        if cells * seeds > MAX_RUNS:
            raise ValueError(f"seeds = {shown(self.seeds)}: makes {cells * seeds} runs; must be at most {MAX_RUNS}")
        if self.tune is not None:
            points = prod(len(values) for values in self.tune.grid.values())
            if cells * points * self.tune.seeds > MAX_RUNS:
                raise ValueError(
                    f"tune.grid: has {points} points, which makes {cells * points * self.tune.seeds} runs; "
                    f"must be at most {MAX_RUNS}"
                )

    def _recipes(self) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "recipe", self.recipe
        for name, arm in self.arms.items():
            # A field of the arm's own is at fault only if the study's recipe was not.
            yield f"arms.{name}.recipe", {**self.recipe, **arm.recipe}

    def arm_recipe(self, arm: str, **chosen: Any) -> Recipe:
        """Return the recipe of an arm.

        Parameters
        ----------
        arm : str
            Name of the arm.
        **chosen : object
            Fields from tuning, which go before the study's and behind the arm's own.
        """
        return Recipe(**{**self.recipe, **chosen, **self.arms[arm].recipe})

    def stabilizers(self, arm: str) -> tuple[Stabilizer, ...]:
        """Return the stabilizers of an arm, built, checked and in the order they act.

        Parameters
        ----------
        arm : str
            Name of the arm.

        Raises
        ------
        UserError
            For an unknown stabilizer or a parameter that it cannot have, with the place in the file.
        """
        built = []
        for i, entry in enumerate(self.arms[arm].stabilizers):
            where = f"arms.{arm}[{i}]"
            if isinstance(entry, str):
                built.append(build(entry, where=where))
            elif isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict):
                name, parameters = next(iter(entry.items()))
                built.append(build(name, parameters, where=where))
            else:
                raise UserError(
                    f"{where} = {shown(entry)}: must be a name, or a table such as {{ reinit = {{ layers = 5 }} }}"
                )
        return compose(built, where=f"arms.{arm}")

    def plain(self) -> dict[str, Any]:
        """Return the resolved study as plain data, defaults left out, in the form a file has."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        data["encoders"] = [e["name"] if set(e) == {"name"} else e for e in data["encoders"]]
        data["tasks"] = [t["name"] if set(t) == {"name"} else t for t in data["tasks"]]
        data["arms"] = {
            name: arm.stabilizers if not arm.recipe else {"stabilizers": arm.stabilizers, "recipe": arm.recipe}
            for name, arm in self.arms.items()
        }
        return data


def read(path: str | Path, overrides: Iterable[str] = ()) -> StudyFile:
    """Read and check a study file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    overrides : iterable of str, default ()
        ``key=value`` texts that replace what the file says, such as ``recipe.epochs=5``.

    Raises
    ------
    UserError
        With the file, the key, the value and what is allowed.
    """
    raw = read_toml(path, overrides, "a study file", "`stabilitybench new study` writes a commented example")
    return parse(raw, source=str(path), folder=Path(path).parent)


def parse(raw: Mapping[str, Any], *, source: str = "study", folder: Path | None = None) -> StudyFile:
    """Check plain data as a study.

    Parameters
    ----------
    raw : mapping of str to object
        In the form of a study file.
    source : str, default "study"
        What messages call it.
    folder : Path or None, default None
        Where relative ``file:`` tasks and directories count from; None leaves them as they are.

    Raises
    ------
    UserError
        With the key, the value and what is allowed.
    """
    try:
        study = StudyFile.model_validate(plain(raw))
    except ValidationError as error:
        raise refusal(error, _model_at, _TABLES).within(source) from None
    except OverflowError:  # where a real number is asked for, which no float can hold
        raise UserError(f"{source}: holds a whole number beyond 1e308; every number must be smaller") from None
    return study if folder is None else _anchor(study, folder)


def _anchor(study: StudyFile, folder: Path) -> StudyFile:
    """Make relative paths count from the folder of the study file, wherever the command is started."""

    def encoder(entry: EncoderEntry) -> EncoderEntry:
        beside = folder / entry.name
        if entry.name.startswith(("pocket/", "/", "~")) or not beside.is_dir() or folder == Path("."):
            return entry
        return entry.model_copy(update={"name": str(beside)})

    def task(entry: TaskEntry) -> TaskEntry:
        place = entry.name.removeprefix("file:")
        if place == entry.name or place.startswith(("/", "~")) or folder == Path("."):
            return entry
        beside = folder / place
        return entry.model_copy(update={"name": f"file:{beside}"}) if beside.exists() else entry

    def place_of(name: str) -> str:
        return task(TaskEntry(name=name)).name

    def stabilizer(entry: Any) -> Any:
        """Tasks that a stabilizer names, too."""
        if not isinstance(entry, dict):
            return entry
        return {
            name: {k: place_of(v) if isinstance(v, str) and v.startswith("file:") else v for k, v in given.items()}
            if isinstance(given, dict)
            else given
            for name, given in entry.items()
        }

    def arm(entry: ArmEntry) -> ArmEntry:
        return entry.model_copy(update={"stabilizers": [stabilizer(s) for s in entry.stabilizers]})

    return study.model_copy(
        update={
            "encoders": [encoder(e) for e in study.encoders],
            "tasks": [task(t) for t in study.tasks],
            "arms": {name: arm(entry) for name, entry in study.arms.items()},
        }
    )


def _recipe(where: str, fields: dict[str, Any]) -> None:
    try:
        Recipe(**fields)
    except UserError as error:
        raise UserError(where, ".", *error.args[1:]) from None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= TUNING_OFFSET


_TABLES = {
    "arms": "must be a list of stabilizers, or a table with stabilizers and recipe",
    "encoders": 'must be a text, or a table such as { name = "roberta-base", revision = "main" }',
    "tasks": 'must be a text, or a table such as { name = "glue/rte", n = 500 }',
}


def _model_at(loc: list[Any]) -> type[BaseModel]:
    tables: dict[Any, type[BaseModel]] = {
        "encoders": EncoderEntry,
        "tasks": TaskEntry,
        "arms": ArmEntry,
        "tune": TuneEntry,
        "looks": LooksEntry,
    }
    return tables.get(loc[0], StudyFile) if len(loc) > 1 else StudyFile
