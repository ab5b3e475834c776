"""What the record of a finished run must look like to be used: the keys that are read, and their types.

A record of another form was not written by this program, or was damaged later: it is set aside and its run done again.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Norms = dict[str, Annotated[Number, Field(ge=0)] | None]
Scores = Annotated[dict[str, Number], Field(min_length=1)]
_KEPT = ConfigDict(strict=True, extra="ignore")


@with_config(_KEPT)
class _Splits(TypedDict):
    validation: Scores
    test: Scores


@with_config(_KEPT)
class _Skills(TypedDict):
    validation: Number
    test: Number


@with_config(_KEPT)
class _Checkpoints(TypedDict):
    last: _Splits
    best: _Splits


@with_config(_KEPT)
class _Evaluation(TypedDict):
    step: int
    progress: Number
    learning_rate: Number
    train_loss: Number | None
    validation_loss: Number | None
    validation: Scores
    gradient_norm: Norms
    distance: Norms
    measures: NotRequired[dict[str, Number | None]]


@with_config(_KEPT)
class _Labels(TypedDict):
    encoder: str
    revision: str | None
    task: str
    classes: list[str]
    stabilizers: list[str]
    seeds: dict[str, int]
    recipe: dict[str, Any]


@with_config(_KEPT)
class _Facts(TypedDict):
    stages: NotRequired[list[dict[str, Any]]]


@with_config(_KEPT)
class _Header(TypedDict):
    labels: _Labels
    versions: dict[str, str]
    machine: str


@with_config(_KEPT)
class _Missing(_Header):
    status: Literal["crashed", "timeout"]
    reason: str


@with_config(_KEPT)
class _Finished(_Header):
    status: Literal["ok", "failed", "diverged"]
    scores: _Checkpoints
    no_skill: _Skills
    failed: bool
    constant: bool
    diverged: bool
    near_no_skill: bool
    total_steps: int
    best_step: int
    evaluations: Annotated[list[_Evaluation], Field(min_length=1)]
    drawn: list[str]
    frozen: list[str]
    fresh: list[str]
    weights: str
    seconds: Number
    device: str
    warnings: list[str]
    facts: _Facts


@cache
def _form(finished: bool) -> TypeAdapter[Any]:
    return TypeAdapter(_Finished if finished else _Missing)


def well_formed(record: dict[str, Any], *, finished: bool) -> bool:
    """Tell whether a record can be read by all that reads records.

    Parameters
    ----------
    record : dict
        What JSON held.
    finished : bool
        Whether it says to be that of a run with a result.

    Examples
    --------
    >>> well_formed({"status": "crashed", "reason": "out of memory"}, finished=False)
    False
    """
    try:
        _form(finished).validate_python(record)
    except ValidationError:
        return False
    if not finished:
        return True
    # Every evaluation and checkpoint has the same metrics, places and measures; diverged runs say where they did.
    metrics = record["scores"]["last"]["test"].keys()
    tables = [record["scores"][c][s] for c in ("last", "best") for s in ("validation", "test")]
    tables += [e["validation"] for e in record["evaluations"]]
    first = record["evaluations"][0]
    alike = all(
        e.get(key, {}).keys() == first.get(key, {}).keys()
        for e in record["evaluations"]
        for key in ("gradient_norm", "distance", "measures")
    )
    lost = any(e["train_loss"] is None or e["validation_loss"] is None for e in record["evaluations"])
    return alike and all(table.keys() == metrics for table in tables) and lost == record["diverged"]
