"""Generators by name: their parameters are declared in their signatures and checked before anything is drawn."""

from __future__ import annotations

import inspect
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

import numpy as np

from stabilitybench.errors import UserError, shown, suggest
from stabilitybench.seeds import ROOT
from stabilitybench.synthetic.dataset import Dataset

#: Entries of x; 1.6 GB in float64.
LARGEST = 200_000_000


@dataclass(frozen=True)
class Range:
    """Values a parameter may take: low <= value <= high, the ends left out where `open` says so.

    Attributes
    ----------
    low, high : float
        The ends; no upper one by default.
    open : bool
        Whether the ends themselves are left out.

    Examples
    --------
    >>> 0.0 in Range(0, 1), 0.0 in Range(0, 1, open=True), str(Range(0, open=True))
    (True, False, 'must be above 0')
    """

    low: float
    high: float = math.inf
    open: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low < value < self.high if self.open else self.low <= value <= self.high

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"must be {'above' if self.open else 'at least'} {self.low:g}"
        left, right = ("(", ")") if self.open else ("[", "]")
        return f"must lie in {left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True)
class Parameter:
    """One declared parameter of a generator.

    Attributes
    ----------
    name : str
        As it stands in the generator's signature.
    kind : type
        int or float.
    allowed : Range
        Its values.
    default : int, float or None
        None where a value must be given.
    """

    name: str
    kind: type
    allowed: Range
    default: int | float | None

    def read(self, owner: str, value: object) -> int | float:
        """Return a value as this parameter's kind.

        Parameters
        ----------
        owner : str
            Generator that an error names.
        value : object
            What was handed in: a number of Python or numpy.

        Returns
        -------
        int or float
            The number, which `allowed` holds.

        Raises
        ------
        UserError
            For what is no finite number, no whole one where `kind` is int, or not allowed.
        """
        where = f"{owner}: {self.name} = {shown(value)}"
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise UserError(f"{where}: must be a {'whole number' if self.kind is int else 'number'}")
        number = float(value)
        if not math.isfinite(number):
            raise UserError(f"{where}: must be finite")
        if self.kind is int and not number.is_integer():
            raise UserError(f"{where}: must be a whole number")
        if number not in self.allowed:
            raise UserError(f"{where}: {self.allowed}")
        return int(number) if self.kind is int else number


@dataclass(frozen=True)
class Generator:
    """A registered generator.

    Attributes
    ----------
    name : str
        By which `generate` finds it.
    about : str
        The first sentence of its docstring.
    parameters : tuple of Parameter
        In the order of its signature.
    draw : callable
        ``draw(rng, **parameters)``, which returns a `Dataset`.
    """

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    draw: Callable[..., Dataset]


#: Every registered generator by name.
GENERATORS: dict[str, Generator] = {}


def generator(name: str) -> Callable[[Callable[..., Dataset]], Callable[..., Dataset]]:
    """Register a function ``(rng, *, parameters...) -> Dataset`` whose annotations carry each parameter's `Range`.

    Parameters
    ----------
    name : str
        Under which `generate` finds it.

    Returns
    -------
    callable
        The decorator; it leaves the function as it is.

    Examples
    --------
    >>> from typing import Annotated
    >>> @generator("zeros")
    ... def zeros(rng, *, n: Annotated[int, Range(2)], d: Annotated[int, Range(1)]):
    ...     'All samples are zero.'
    ...     return Dataset("zeros", "regression", np.zeros((n, d)), np.zeros(n), {}, {}, 0)
    >>> generate("zeros", n=2, d=3).x.shape, GENERATORS.pop("zeros").about
    ((2, 3), 'All samples are zero.')
    """

    def register(draw: Callable[..., Dataset]) -> Callable[..., Dataset]:
        hints = get_type_hints(draw, include_extras=True)
        parameters = tuple(
            Parameter(
                p.name,
                hints[p.name].__origin__,
                hints[p.name].__metadata__[0],
                None if p.default is inspect.Parameter.empty else p.default,
            )
            for p in inspect.signature(draw).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        )
        about = (draw.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        GENERATORS[name] = Generator(name, about, parameters, draw)
        return draw

    return register


def generate(name: str, *, seed: int = 0, **parameters: Any) -> Dataset:
    """Draw the dataset that `name`, `seed` and the parameters determine, float64.

    The same arguments give the same numbers; two settings of one generator with equal seeds share their random
    stream, so that a sweep over one parameter compares like with like.

    Parameters
    ----------
    name : str
        One of `GENERATORS`.
    seed : int, default 0
        A whole number, at least 0.
    **parameters : int or float
        Those of the generator: n and d always, the others have defaults.

    Returns
    -------
    Dataset
        The data and its constants.

    Raises
    ------
    UserError
        For an unknown name, an unknown, missing or forbidden parameter, a seed that is not a whole number >= 0, or more
        than 2e8 entries of x.

    Examples
    --------
    >>> data = generate("separable-ball", n=20, d=3, margin=0.2, seed=1)
    >>> data.x.shape, bool(data.constants["margin"] >= 0.2), bool(data.constants["radius"] <= 1)
    ((20, 3), True, True)
    """
    if name not in GENERATORS:
        known = sorted(GENERATORS)
        raise UserError(f"unknown generator {shown(name)}{suggest(str(name), known)} (known: {', '.join(known)})")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UserError(f"{name}: seed = {shown(seed)}: must be a whole number >= 0")
    chosen = GENERATORS[name]
    declared = {p.name: p for p in chosen.parameters}
    for key in parameters:
        if key not in declared:
            raise UserError(
                f"{name}: unknown parameter {shown(key)}{suggest(key, list(declared))} (known: {', '.join(declared)})"
            )
    values: dict[str, int | float] = {}
    for key, parameter in declared.items():
        if key in parameters:
            values[key] = parameter.read(name, parameters[key])
        elif parameter.default is None:
            raise UserError(f"{name}: {key} is missing: {parameter.allowed}")
        else:
            values[key] = parameter.default
    if values["n"] * values["d"] > LARGEST:
        raise UserError(f"{name}: n = {values['n']} and d = {values['d']}: n d must be at most {LARGEST}")
    key_of_name = zlib.crc32(name.encode())
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(ROOT, spawn_key=(key_of_name, int(seed)))))
    return replace(chosen.draw(rng, **values), name=name, parameters=values, seed=int(seed))
