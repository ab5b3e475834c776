"""The parameters of a stabilizer: read and refused alike, whether Python or a study file gives them."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from dataclasses import fields
from functools import cache, wraps
from typing import Any, get_type_hints

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from stabilitybench.errors import UserError, plain, requirement, shown, suggest


def checks_parameters(name: str, cls: type) -> Callable[..., None]:
    """Return the `__init__` of a dataclass, made to read its arguments by their annotations, strictly.

    Parameters
    ----------
    name : str
        What messages call the class.
    cls : type
        A dataclass.

    Returns
    -------
    callable
        A new `__init__`.  It raises UserError for an unknown parameter, and for a value of another type or outside of
        the range that `__post_init__` allows.
    """
    make: Callable[..., None] = vars(cls)["__init__"]
    if hasattr(make, "__wrapped__"):  # registered before
        return make
    signature = inspect.signature(make)
    keys = [f.name for f in fields(cls) if f.init]

    @wraps(make)
    def init(self: Any, *args: Any, **given: Any) -> None:
        for key in given:
            if key not in signature.parameters:
                options = ", ".join(keys) or "none: it takes no parameters"
                raise UserError(f"{name}.{key} is unknown: must be one of {options}{suggest(key, keys)}")
        try:
            bound = signature.bind(self, *args, **given)
        except TypeError as error:
            raise UserError(f"{name}: {error}") from None
        for key in keys:
            if key in bound.arguments:
                bound.arguments[key] = _read(name, cls, key, bound.arguments[key])
        try:
            make(*bound.args, **bound.kwargs)
        except UserError:
            raise
        except (ValueError, TypeError) as error:  # a range that __post_init__ refuses
            raise UserError(f"{name}.{error}") from None

    return init


def _read(name: str, cls: type, key: str, given: object) -> object:
    adapter = _adapter(cls, key)
    if adapter is None:
        return given
    value = plain(given)
    try:
        # Through JSON, because a study file is text too: strict, except that an array may fill a tuple.
        read = adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reason = requirement(error.errors(include_url=False)[0]["msg"])
        raise UserError(f"{name}.{key} = {shown(value)}: {reason}") from None
    except (TypeError, ValueError, RecursionError):
        reason = "must be a number, a text, or a list of them"
        raise UserError(f"{name}.{key} = {shown(value)}: {reason}") from None
    if isinstance(read, float) and not math.isfinite(read):
        raise UserError(f"{name}.{key} = {shown(value)}: must be a finite number")
    return read


@cache
def _adapter(cls: type, key: str) -> TypeAdapter[Any] | None:
    """Return what reads a field; None where its annotation says nothing that can be checked."""
    try:
        return TypeAdapter(get_type_hints(cls)[key])
    except (NameError, PydanticSchemaGenerationError, PydanticUserError):  # a name known to type checkers alone, ...
        return None
