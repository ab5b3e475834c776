"""Finding stabilizers by name: shipped ones, entry points of other packages, and files of the user's own."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from stabilitybench.argument_checks import home, of_kind, text
from stabilitybench.errors import Argument, UserError, shown, suggest
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.contract import check_contract
from stabilitybench.stabilizers.parameters import checks_parameters

ENTRY_POINTS = "stabilitybench.stabilizers"
_REGISTRY: dict[str, type[Stabilizer]] = {}
_FILES: dict[str, None] = {}
#: SHA-256 of what was executed for each module of a user's file, which may have been edited since.
_SOURCES: dict[str, str] = {}
S = TypeVar("S", bound=type[Stabilizer])


def register(name: str) -> Callable[[S], S]:
    """Register a frozen dataclass derived from `Stabilizer`; a decorator.

    Loading the same file again replaces its own class.

    Parameters
    ----------
    name : str
        Lower case, words joined by hyphens.

    Returns
    -------
    callable
        Takes the class and returns it, its `name` set and its parameters checked.

    Raises
    ------
    UserError
        Where the decorated class is no stabilizer in form, or another one has the name.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @register("Two Words")
    ... @dataclass(frozen=True)
    ... class TwoWords(Stabilizer):
    ...     pass
    Traceback (most recent call last):
    stabilitybench.errors.UserError: stabilizer name "Two Words": must be lower-case words joined by hyphens
    """

    def add(cls: S) -> S:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise UserError(f"stabilizer name {shown(name)}: must be lower-case words joined by hyphens")
        if not _is_stabilizer(cls):
            raise UserError(f'stabilizer "{name}": must be a class derived from stabilitybench.Stabilizer')
        check_contract(name, cls)
        taken = _REGISTRY.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise UserError(f'stabilizer "{name}" is already registered by {taken.__module__}.{taken.__qualname__}')
        cls.name = name
        cls.__init__ = checks_parameters(name, cls)  # type: ignore[method-assign]
        _REGISTRY[name] = cls
        return cls

    return add


def _is_stabilizer(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Stabilizer)


@cache
def _load_entry_points() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f'entry point "{entry.name}" ({entry.value}) cannot be loaded: {error}') from error


def catalogue() -> Mapping[str, type[Stabilizer]]:
    """Return every registered stabilizer by name, those of installed packages included.

    Examples
    --------
    >>> catalogue()["l2-sp"].__name__
    'L2SP'
    """
    _load_entry_points()
    return dict(sorted(_REGISTRY.items()))


def load_file(path: str | Path) -> list[str]:
    """Run a Python file of the user's own that registers stabilizers; return the names it registered.

    Parameters
    ----------
    path : str or Path
        A ``.py`` file; ``~`` is the user's home.

    Raises
    ------
    UserError
        Where there is no such file, or it fails on import or registers nothing; then nothing of it stays behind.

    Examples
    --------
    >>> load_file("absent.py")
    Traceback (most recent call last):
    stabilitybench.errors.UserError: absent.py: must be an existing Python file that registers stabilizers
    """
    _load_entry_points()
    given = home("path", path)
    try:
        file = given.resolve()
        there = file.is_file()
    except (OSError, RuntimeError, ValueError):  # a name too long, links in a circle, a NUL byte
        there = False
    if not there or file.suffix != ".py":
        raise UserError(f"{path}: must be an existing Python file that registers stabilizers")
    # The module is named by its place, so that worker processes and a second load agree on it.
    name = f"stabilitybench_user_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    before = dict(_REGISTRY)
    for key, cls in before.items():
        if cls.__module__ == name:  # an earlier version of this file
            del _REGISTRY[key]
    sys.modules[name] = module
    try:
        source = file.read_bytes()
        exec(compile(source, str(file), "exec"), module.__dict__)  # noqa: S102 - a file of the user's own, named by them
        added = [key for key, cls in _REGISTRY.items() if cls.__module__ == name]
        if not added:
            raise UserError(f"{path}: registers no stabilizer; decorate a class with @stabilitybench.register(name)")
    except BaseException as error:
        # Nothing of a broken file stays behind.
        del sys.modules[name]
        _REGISTRY.clear()
        _REGISTRY.update(before)
        if isinstance(error, (UserError, KeyboardInterrupt)):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: fails on import: {reason}") from error
    _FILES[str(file)] = None
    _SOURCES[name] = hashlib.sha256(source).hexdigest()
    return added


def loaded_files() -> tuple[str, ...]:
    """Return the files loaded by `load_file`, so that a worker process can load them too."""
    return tuple(_FILES)


def build(name: str, parameters: Mapping[str, Any] | None = None, *, where: str = "") -> Stabilizer:
    """Return the stabilizer `name` with `parameters`, checked.

    Parameters
    ----------
    name : str
        A name in `catalogue`.
    parameters : mapping of str to Any, optional
        Values of its fields; the others have their defaults.
    where : str, default ""
        How the caller calls this entry, put before every message (for example ``arms.reinit[0]``).

    Raises
    ------
    UserError
        Where the name or a parameter is unknown, or a value is of another type or out of range.

    Examples
    --------
    >>> build("reinit", {"layers": 5}).describe()
    'reinit(layers=5)'
    """
    known = catalogue()
    prefix = f"{where}: " if text("where", where) else ""
    if not isinstance(name, str) or name not in known:
        names = list(known)
        raise UserError(
            f'{prefix}stabilizer {shown(name)} is unknown: must be one of {", ".join(names)}, or registered by a file '
            "that is loaded with ", Argument("files", python="load_file"), suggest(name, names),
        )  # fmt: skip
    if parameters is not None and not isinstance(parameters, Mapping):
        raise UserError(f"{prefix}{name} = {shown(parameters)}: must be a table of parameters, such as {{ p = 0.5 }}")
    try:
        return known[name](**dict(parameters or {}))
    except UserError as error:
        raise error.within(where) if prefix else error from None


def source_fingerprint(stabilizer: Stabilizer) -> str | None:
    """Return the SHA-256 of the source of a stabilizer that is not shipped, as it was loaded; None for ours.

    Parameters
    ----------
    stabilizer : Stabilizer
        An instance.

    Examples
    --------
    >>> source_fingerprint(build("reinit")) is None
    True
    """
    cls = type(of_kind("stabilizer", stabilizer, "an instance, as build gives it", Stabilizer))
    if cls.__module__.startswith("stabilitybench.stabilizers."):
        return None
    if cls.__module__ in _SOURCES:
        return _SOURCES[cls.__module__]
    return hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()
