"""The suite file: many datasets of one generator, one factor varied, and what is predicted of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from stabilitybench.data_files import shipped
from stabilitybench.errors import UserError, plain, shown, suggest
from stabilitybench.storage.toml import Name, TomlTable, read_toml, refusal
from stabilitybench.suites.measurements import KINDS, QUANTITIES, VARIED, Settings, bound_names
from stabilitybench.synthetic import GENERATORS

Number = Annotated[int | float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Direction = Literal["falls", "rises", "stays"]
FACTORS = (
    "n", "t", "gamma", "B", "L", "learning rate", "distance", "heads", "label noise", "dimension", "convexity",
)  # fmt: skip
#: What a suite may hold: a plan is checked in memory before anything is done.
MAX_DATASETS = 100_000


class MeasureTable(Settings):
    """The table ``[measure]``: settings whose kind and bounds there are."""

    @field_validator("kind")
    @classmethod
    def _kind(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(f"must be one of {', '.join(KINDS)}{suggest(value, list(KINDS))}")
        return value

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        known = bound_names(self.kind)
        for name in self.bounds:
            if name not in known:
                raise ValueError(
                    f'bounds: {shown(name)}: with kind = "{self.kind}" must be one of '
                    f"{', '.join(known)}{suggest(name, list(known))}"
                )
        return self


class Prediction(TomlTable):
    """What somebody's bound or reading says of a quantity as the factor goes through its values.

    Attributes
    ----------
    quantity : str
        A measured quantity, one of `QUANTITIES`.
    direction : str
        "falls", "rises" or "stays".
    by : str
        Whose prediction it is.
    """

    quantity: str
    direction: Direction
    by: Text

    @field_validator("quantity")
    @classmethod
    def _quantity(cls, value: str) -> str:
        if value not in QUANTITIES:
            raise ValueError(f"must be one of {', '.join(QUANTITIES)}{suggest(value, list(QUANTITIES))}")
        return value


class SuiteFile(TomlTable):
    """A suite: for each value of a factor, `datasets` datasets with the seeds 0, 1, ...

    Attributes
    ----------
    name : str
        Name of the suite, and of its report's folder.
    title : str
        One line for lists and figures.
    factor : str
        What is varied, in words; one of `FACTORS`.
    about : str
        What the suite asks.
    generator : str
        Name of a generator of `stabilitybench.synthetic`.
    datasets : int
        Datasets at each value, in [1, 10000].
    parameters : dict of str to number
        Parameters of the generator that stay; the others have their defaults.
    vary : dict of str to list of number
        Lists of equal length; the first is the factor, others move along with it.  Each key is a parameter of the
        generator or a setting of the measurement.
    measure : MeasureTable
        How each dataset is measured.
    predictions : list of Prediction
        What is expected of the quantities.
    """

    name: Name
    title: Text
    factor: str
    about: Text
    generator: str
    datasets: int = Field(ge=1, le=10_000)
    parameters: dict[str, Number] = Field(default_factory=dict)
    vary: dict[str, list[Number]] = Field(min_length=1)
    measure: MeasureTable
    predictions: list[Prediction] = Field(default_factory=list)

    @field_validator("factor")
    @classmethod
    def _factor(cls, value: str) -> str:
        if value not in FACTORS:
            raise ValueError(f"must be one of {', '.join(FACTORS)}{suggest(value, list(FACTORS))}")
        return value

    @field_validator("generator")
    @classmethod
    def _generator(cls, value: str) -> str:
        if value not in GENERATORS:
            raise ValueError(f"must be one of {', '.join(sorted(GENERATORS))}{suggest(value, list(GENERATORS))}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        lengths = {key: len(values) for key, values in self.vary.items()}
        for key, length in lengths.items():
            if length == 0:
                raise ValueError(f"vary.{key}: must list at least one value")
            if length != self.count:
                raise ValueError(f"vary.{key}: lists {length} values, vary.{self.axis} {self.count}: must be as many")
        if len(set(self.vary[self.axis])) < self.count:
            raise ValueError(f"vary.{self.axis} = {shown(self.vary[self.axis])}: names a value twice")
        if self.count * self.datasets > MAX_DATASETS:
            raise ValueError(f"datasets = {self.datasets}: makes {self.count * self.datasets}; at most {MAX_DATASETS}")
        for place in range(self.count):
            self.parameters_at(place)
            self.settings_at(place)
        return self

    @property
    def axis(self) -> str:
        """The name of what is varied: the first key of `vary`."""
        return next(iter(self.vary))

    @property
    def values(self) -> list[int | float]:
        """The values of the factor, in the order in which predictions read them."""
        return self.vary[self.axis]

    @property
    def count(self) -> int:
        """The number of values."""
        return len(self.values)

    def parameters_at(self, place: int) -> dict[str, int | float]:
        """Return all parameters of the generator at a value, defaults filled in and every one checked.

        Parameters
        ----------
        place : int
            Index of the value among the factor's values.

        Raises
        ------
        ValueError
            For a key that the generator lacks, or a value out of its range.
        """
        declared = {p.name: p for p in GENERATORS[self.generator].parameters}
        moved = {key: values[place] for key, values in self.vary.items() if key not in VARIED or key in declared}
        for key in {**self.parameters, **moved}:
            if key not in declared:
                known = [*declared, *VARIED] if key in moved else list(declared)
                where = "vary" if key in moved else "parameters"
                raise ValueError(f"{where}.{key}: unknown key; must be one of {', '.join(known)}{suggest(key, known)}")
        given = {**self.parameters, **moved}
        out: dict[str, int | float] = {}
        for key, parameter in declared.items():
            if key in given:
                out[key] = parameter.read(self.generator, given[key])
            elif parameter.default is None:
                raise ValueError(f"parameters.{key}: is missing; {parameter.allowed}")
            else:
                out[key] = parameter.default
        return out

    def settings_at(self, place: int) -> Settings:
        """Return how datasets are measured at a value.

        Parameters
        ----------
        place : int
            Index of the value among the factor's values.

        Raises
        ------
        UserError
            Where the varied setting has a value out of its range.
        """
        declared = {p.name for p in GENERATORS[self.generator].parameters}
        moved = {key: values[place] for key, values in self.vary.items() if key in VARIED and key not in declared}
        if not moved:
            return self.measure
        try:
            return MeasureTable.model_validate({**self.measure.model_dump(), **moved})
        except ValidationError as error:
            raise refusal(error, lambda _: MeasureTable, within="vary") from None


def read_suite(path: str | Path, overrides: Iterable[str] = ()) -> SuiteFile:
    """Read and check a suite file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    overrides : iterable of str, default ()
        ``key=value`` texts that replace what the file says, such as ``datasets=2``.

    Raises
    ------
    UserError
        With the file, the key, the value and what is allowed.
    """
    raw = read_toml(path, overrides, "a suite file", "`stabilitybench suite list` names the shipped ones")
    return parse_suite(raw, source=str(path))


def parse_suite(raw: Mapping[str, Any], *, source: str = "suite") -> SuiteFile:
    """Check plain data as a suite.

    Parameters
    ----------
    raw : mapping of str to object
        In the form of a suite file.
    source : str, default "suite"
        What messages call it.

    Raises
    ------
    UserError
        With the key, the value and what is allowed.
    """
    try:
        return SuiteFile.model_validate(plain(raw))
    except ValidationError as error:
        raise refusal(error, _model_at).within(source) from None
    except OverflowError:  # where a real number is asked for, which no float can hold
        raise UserError(f"{source}: holds a whole number beyond 1e308; every number must be smaller") from None


def shipped_suites() -> dict[str, Path]:
    """Return the files of the suites that come with the package, by name.

    Examples
    --------
    >>> "head-n" in shipped_suites()
    True
    """
    return {path.stem: path for path in sorted(shipped("synthetic").glob("*.toml"))}


def find_suites(names: Iterable[str], overrides: Iterable[str] = ()) -> list[SuiteFile]:
    """Return the suites that names stand for.

    Parameters
    ----------
    names : iterable of str
        For each a shipped suite's name, ``all`` of these, or a file of the user's own.
    overrides : iterable of str, default ()
        ``key=value`` texts that replace what the file says, such as ``datasets=2``.

    Returns
    -------
    list of SuiteFile
        In the order of the names.

    Raises
    ------
    UserError
        For an unknown name, or a file that is no suite.
    """
    known = shipped_suites()
    files: list[SuiteFile] = []
    for name in names:
        if name == "all":
            files += [read_suite(path, overrides) for path in known.values()]
        elif name in known:
            files.append(read_suite(known[name], overrides))
        elif name.endswith(".toml") or "/" in name:
            files.append(read_suite(name, overrides))
        else:
            raise UserError(
                f'suite "{name}": must be all, the path of a .toml file, or one of {", ".join(known)}'
                f"{suggest(name, ['all', *known])}"
            )
    unique: dict[str, SuiteFile] = {}
    for file in files:
        if unique.setdefault(file.name, file) != file:
            raise UserError(f'two different suites are named "{file.name}": give one of them another name')
    return list(unique.values())


def _model_at(loc: list[Any]) -> type[BaseModel]:
    tables: dict[Any, type[BaseModel]] = {"measure": MeasureTable, "predictions": Prediction}
    return tables.get(loc[0], SuiteFile) if len(loc) > 1 else SuiteFile
