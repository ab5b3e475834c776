"""What the record of a dataset must look like to be used: the keys that are read, and their types."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_KEPT = ConfigDict(strict=True, extra="ignore")


@with_config(_KEPT)
class _Bound(TypedDict, total=False):
    value: Number | None
    measured: Number | None
    tightness: Number | None
    checks: int
    violations: int
    scope: str
    published: bool
    trivial: Number | None
    refused: str


@with_config(_KEPT)
class _Measured(TypedDict):
    status: Literal["ok"]
    measured: dict[str, Number | None]
    bounds: dict[str, _Bound]
    constants: dict[str, Any]
    seconds: Number


@with_config(_KEPT)
class _Missing(TypedDict):
    status: Literal["crashed", "timeout"]
    reason: str


@cache
def _form() -> TypeAdapter[Any]:
    return TypeAdapter(_Measured | _Missing)


def well_formed(record: dict[str, Any]) -> bool:
    """Tell whether a record can be read by all that reads records of datasets.

    Parameters
    ----------
    record : dict
        What JSON held.

    Examples
    --------
    >>> well_formed({"status": "crashed", "reason": "no margin"}), well_formed({"status": "ok"})
    (True, False)
    """
    try:
        _form().validate_python(record)
    except ValidationError:
        return False
    return True
