"""Single arguments as a caller hands them in: read as Python's own kind, or refused in one sentence that names them."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stabilitybench.errors import Argument, UserError, plain, suggest

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T", bound=str)
K = TypeVar("K")
#: What file systems take as the name of one file or folder, in bytes.
LONGEST_NAME = 255
#: Floats tell whole numbers apart up to this one.
MOST = 2**53


def whole(name: str, value: object, allowed: str, holds: Callable[[int], bool]) -> int:
    """Return a whole number.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in; whole numbers of numpy are read, too, truth values are not.
    allowed : str
        What it must be, such as "must be at least 1".
    holds : callable
        Tells whether a number is so.

    Raises
    ------
    UserError
        Where the value is no whole number, or not an allowed one.

    Examples
    --------
    >>> whole("jobs", 2, "must be at least 1", lambda n: n >= 1)
    2
    """
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, int):
        raise UserError(Argument(name, value), ": must be a whole number")
    if not holds(given):
        raise UserError(Argument(name, value), ": ", allowed)
    return operator.index(given)


def number(name: str, value: object, allowed: str, holds: Callable[[float], bool]) -> float:
    """Return a finite number.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in; numbers of numpy are read, too, truth values are not.
    allowed : str
        What it must be, such as "must lie in (0, 1]".
    holds : callable
        Tells whether a number is so.

    Raises
    ------
    UserError
        Where the value is no number, not finite, or not an allowed one.

    Examples
    --------
    >>> number("level", 1, "must lie in (0, 1]", lambda level: 0 < level <= 1)
    1.0
    """
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise UserError(Argument(name, value), ": must be a number")
    try:
        read = float(given)
    except OverflowError:
        read = math.inf
    if not (math.isfinite(read) and holds(read)):
        raise UserError(Argument(name, value), ": ", allowed)
    return read


def count(name: str, value: object, least: int = 1, most: int = MOST) -> int:
    """Return a whole number between two limits, which may be reached.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in, as `whole` reads it.
    least : int, default 1
        The smallest allowed.
    most : int, default 2**53
        The largest allowed; unless given, floats hold it exactly.

    Raises
    ------
    UserError
        As `whole`.

    Examples
    --------
    >>> count("jobs", 2)
    2
    """
    read = whole(name, value, f"must be at least {least}", lambda n: n >= least)
    return whole(name, read, f"must be at most {most}", lambda n: n <= most)


def inside(name: str, value: object, low: float, high: float, example: str = "") -> float:
    """Return a number that lies between two limits, which it may not reach.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in, as `number` reads it.
    low, high : float
        The limits.
    example : str, default ""
        A number to take, where one is usual.

    Raises
    ------
    UserError
        As `number`.
    """
    hint = f", for example {example}" if example else ""
    return number(name, value, f"must lie between {low:g} and {high:g}{hint}", lambda x: low < x < high)


def flag(name: str, value: object) -> bool:
    """Return a truth value.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in; numbers are none.

    Raises
    ------
    UserError
        Where it is neither True nor False.
    """
    given = plain(value)
    if not isinstance(given, bool):
        raise UserError(Argument(name, value), ": must be True or False")
    return given


def text(name: str, value: object, allowed: str = "must be a text") -> str:
    """Return a text.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in.
    allowed : str, default "must be a text"
        What it must be.

    Raises
    ------
    UserError
        Where it is no text.
    """
    if not isinstance(value, str):
        raise UserError(Argument(name, value), ": ", allowed)
    return value


def path(name: str, value: object) -> Path:
    """Return the name of a file or folder as a path.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in: text, or a path object.

    Raises
    ------
    UserError
        For anything else.

    Examples
    --------
    >>> path("store", "runs").name
    'runs'
    """
    if not isinstance(value, (str, PathLike)):
        raise UserError(Argument(name, value), ": must be the name of a file or folder")
    try:
        read = Path(value)
        written = os.fsencode(read)
        read.expanduser()
    except RuntimeError:
        raise UserError(Argument(name, value), ": there is no such user, whose home it could be") from None
    except (TypeError, UnicodeError):
        written = b"\0"
    if b"\0" in written or any(len(part) > LONGEST_NAME for part in written.split(os.fsencode(os.sep))):
        allowed = f"must be a name that can be written, each part of at most {LONGEST_NAME} bytes"
        raise UserError(Argument(name, value), f": {allowed}")
    return read


def home(name: str, value: object) -> Path:
    """Return the name of a file or folder as a path, with ``~`` as the home of a user.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in, as `path` reads it.

    Raises
    ------
    UserError
        As `path`, and for a user that there is not.
    """
    try:
        return path(name, value).expanduser()
    except RuntimeError:
        raise UserError(Argument(name, value), ": must be in the home of a user that there is") from None


def generator(name: str, value: object) -> np.random.Generator:
    """Return a random generator of numpy.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in.

    Raises
    ------
    UserError
        For anything else, seeds included.
    """
    import numpy as np

    return of_kind(name, value, "a random generator, as numpy.random.default_rng(seed) gives", np.random.Generator)


def several(name: str, value: object, what: str, kind: type[K] | tuple[type[K], ...]) -> tuple[K, ...]:
    """Return the items of a list, each of one kind.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in: any iterable but text and mappings.
    what : str
        What the items are, in the plural, such as "seeds".
    kind : type or tuple of type
        Classes that an item may have.

    Raises
    ------
    UserError
        Where the value is no list, or an item, named with its place, is of another class.

    Examples
    --------
    >>> several("seeds", [1, 2], "seeds", int)
    (1, 2)
    """
    items = listed(name, value, what)
    return tuple(of_kind(f"{name}[{i}]", item, f"one of the {what}", kind) for i, item in enumerate(items))


def listed(name: str, value: object, what: str) -> tuple[Any, ...]:
    """Return the items of a list, of whatever kind.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in: any iterable but text and mappings.
    what : str
        What the items are, in the plural, such as "arms".

    Raises
    ------
    UserError
        Where the value is no list.

    Examples
    --------
    >>> listed("arms", iter([1, "x"]), "arms")
    (1, 'x')
    """
    if not isinstance(value, (str, bytes, Mapping)) and isinstance(value, Iterable):
        try:
            return tuple(value)
        except TypeError:  # arrays without an axis
            pass
    raise UserError(Argument(name, value), f": must be a list of {what}")


def mapping(name: str, value: object, what: str) -> Mapping[Any, Any]:
    """Return `value` where it is a mapping.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in.
    what : str
        From what to what it leads, such as "names to scores".

    Raises
    ------
    UserError
        Where it is none.
    """
    return of_kind(name, value, f"a mapping of {what}, such as a dict", Mapping)


def of_kind(name: str, value: object, what: str, kind: type[K] | tuple[type[K], ...]) -> K:
    """Return `value` where it is of a class.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in.
    what : str
        What it must be, in words, such as "a task".
    kind : type or tuple of type
        Classes that it may have.

    Raises
    ------
    UserError
        Where it is of another class.

    Examples
    --------
    >>> of_kind("n", 3, "a whole number", int)
    3
    """
    if not isinstance(value, kind):
        raise UserError(Argument(name, value), f": must be {what}")
    return value


def choice(name: str, value: object, known: Sequence[T]) -> T:
    """Return one of the `known` texts.

    Parameters
    ----------
    name : str
        The argument's name, for the error message.
    value : object
        What was handed in.
    known : sequence of str
        The texts allowed, at least one.

    Raises
    ------
    UserError
        Where the value is none of them; the message suggests the nearest.

    Examples
    --------
    >>> choice("save", "best", ("last", "best"))
    'best'
    """
    for one in known:
        if isinstance(value, str) and one == value:
            return one
    *most, last = known
    said = f"{', '.join(most)} or {last}" if most else last
    raise UserError(Argument(name, value), f": must be {said}", suggest(value, [*known]))
