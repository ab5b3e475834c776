"""The two ways in which stabilitybench stops: the user can fix it, or the machine must."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import Any

from stabilitybench.printing import one_line, printable


@dataclass(frozen=True)
class Argument:
    """An argument of a function, as it is named in a message; the command line puts its option in its place.

    Attributes
    ----------
    name : str
        As the function spells it.
    value : object, optional
        What was given; left out where the argument is only named.
    python : str, default ""
        What Python users do instead, where it is no argument for them.

    Examples
    --------
    >>> str(Argument("jobs", 0)), str(Argument("points", True)), str(Argument("column"))
    ('jobs = 0', 'points = True', 'column')
    """

    name: str
    value: object = ...
    python: str = ""

    @property
    def said(self) -> str:
        """The value in words; empty where there is none."""
        if self.value is ...:
            return ""
        given = plain(self.value)
        if isinstance(given, float):
            return repr(given).removesuffix(".0")
        if isinstance(given, PurePath):
            return printable(str(given))
        return str(given) if isinstance(given, bool) else shown(given)

    def __str__(self) -> str:
        return self.python or (f"{self.name} = {self.said}" if self.said else self.name)


class UserError(ValueError):
    """Bad input: one sentence that names the thing, the value and what is allowed (exit code 2).

    The sentence is the parts joined; parts that are an `Argument` can be told in other words, as options are.

    Examples
    --------
    >>> str(UserError(Argument("jobs", 0), ": must be at least 1"))
    'jobs = 0: must be at least 1'
    """

    exit_code = 2

    def __str__(self) -> str:
        return self.told(str)

    def told(self, words: Callable[[Argument], str]) -> str:
        """Return the sentence with every argument in these words.

        Parameters
        ----------
        words : callable
            Takes an `Argument` and returns what stands for it in the sentence.
        """
        said = "".join(words(part) if isinstance(part, Argument) else str(part) for part in self.args)
        return one_line(said)  # whatever a name holds

    def within(self, where: object) -> UserError:
        """Return this with `where` it happened in front.

        Parameters
        ----------
        where : object
            A file, a table or an `Argument`; a colon follows it.
        """
        return UserError(where, ": ", *self.args)


class EnvironmentFailure(Exception):
    """The machine failed (disk full, folder not writable): finished runs are kept (exit code 1)."""

    exit_code = 1


def suggest(unknown: object, known: list[str]) -> str:
    """Return ``'; did you mean "x"?'`` for the closest known name, or an empty string.

    Parameters
    ----------
    unknown : object
        What was given; only a text resembles anything.
    known : list of str
        The names allowed; initials stand for a name, too.

    Examples
    --------
    >>> suggest("mixuot", ["mixout", "reinit"])
    '; did you mean "mixout"?'
    >>> suggest("lr", ["learning_rate"])
    '; did you mean "learning_rate"?'
    >>> suggest("zzz", ["mixout", "reinit"])
    ''
    """
    import difflib

    if not isinstance(unknown, str):
        return ""
    initials = [name for name in known if unknown == "".join(word[:1] for word in re.split("[-_]", name))]
    near = difflib.get_close_matches(unknown, known, n=1) or initials
    return f'; did you mean "{near[0]}"?' if near else ""


def plain(value: Any) -> Any:
    """Return `value` with numbers of numpy as Python's own, inside lists and tables too.

    Parameters
    ----------
    value : Any
        Whatever a caller handed in; other kinds of values are returned as they are.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"layers": np.int64(2), "rates": (np.float64(0.5),)})
    {'layers': 2, 'rates': (0.5,)}
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def shown(value: object, width: int = 80) -> str:
    """Write `value` as a study file would, shortened; whatever it is, this does not fail.

    Parameters
    ----------
    value : object
        What is told in a message.
    width : int, default 80
        Characters at most; a longer text ends in ``...``.

    Examples
    --------
    >>> shown(True), shown("x"), shown({"layers": 1}), shown(float("nan")), shown(10**400)
    ('true', '"x"', '{ layers = 1 }', 'nan', 'a whole number of 1329 bits')
    """
    try:
        text = _written(value, width)
    except Exception:  # what cannot be written is told by its kind
        text = f"something of the type {type(value).__name__}"
    return text if len(text) <= width else text[: width - 3] + "..."


def _written(value: object, width: int) -> str:
    if isinstance(value, dict):
        told = ", ".join(f"{_key(key)} = {shown(item)}" for key, item in islice(value.items(), width))
        return f"{{ {told} }}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(item) for item in islice(value, width)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{printable(value[:width])}"'
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"  # Python prints none of more than 4300 digits
    return printable(" ".join(str(value).split()))


def _key(key: object) -> str:
    return printable(key) if isinstance(key, str) else shown(key)


def requirement(message: str) -> str:
    """Put what pydantic says of a value into this project's words.

    Parameters
    ----------
    message : str
        The ``msg`` of one of its errors.

    Returns
    -------
    str
        What must hold, without the value: "must be ...".

    Examples
    --------
    >>> requirement("Input should be a valid integer"), requirement("Input should be greater than or equal to 1")
    ('must be a whole number', 'must be at least 1')
    """
    message = re.sub(r"^.*? should (be|have)", r"must \1", message, count=1)
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return re.sub(r"( after validation)?, not \d+$", "", message)


_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a finite number": "a finite number",
    "a valid string": "a text",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "a valid array": "a list",
    "an object": "a table",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
}
