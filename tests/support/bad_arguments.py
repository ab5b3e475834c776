"""One good call of a function, and what becomes of it when one argument at a time is something else."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping

import numpy as np

from stabilitybench.errors import UserError

#: What no caller means; a few of them are good values of some argument.
BAD: dict[str, object] = {
    "None": None,
    "a text": "a",
    "True": True,
    "nan": math.nan,
    "inf": math.inf,
    "-1": -1,
    "1.5": 1.5,
    "a number beyond floats": 10**400,
    "a number that Python does not print": 10**5000,
    "the smallest number": 5e-324,
    "a huge number": 1e300,
    "a complex number": 1 + 2j,
    "an empty list": [],
    "a ragged list": [[1.0, 2.0], [3.0]],
    "texts": ["a", "b"],
    "huge numbers": [10**5000, 2],
    "a text of numpy": np.array("x"),
    "an array": np.array([1.0, 2.0]),
    "a mapping": {},
    "an object": object(),
}


def mistakes(
    call: Callable[..., object], good: Mapping[str, object], also: Mapping[str, str] | None = None
) -> list[str]:
    """Return what is wrong with the answers of `call` where one argument is bad; its good call must work.

    Parameters
    ----------
    call : callable
        Takes the arguments by name.
    good : mapping of str to object
        A good call; a `Fresh` value is made anew each time.
    also : mapping of str to str, optional
        Words by which messages may name an argument, beside its name.
    """

    def made() -> dict[str, object]:
        return {name: value() if isinstance(value, Fresh) else value for name, value in good.items()}

    call(**made())
    found = []
    for name in good:
        for what, bad in BAD.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    result = call(**{**made(), name: bad})
            except UserError as error:
                said = str(error)
                if len(said) > 300 or not any(
                    word in said for word in (name.split("_")[0], (also or {}).get(name, name))
                ):
                    found.append(f"{name} is {what}: says {said[:300]!r}")
            except Exception as error:
                found.append(f"{name} is {what}: {type(error).__name__}: {str(error)[:80]}")
            else:
                number = getattr(result, "value", result)
                if isinstance(number, float) and math.isnan(number):
                    found.append(f"{name} is {what}: gives nan")
    return found


class Fresh:
    """A value that a call uses up, such as a random generator."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make

    def __call__(self) -> object:
        return self.make()
