"""TOML files that users write: read with limits, overridden from the command line, refused in one sentence."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from stabilitybench.errors import Argument, UserError, requirement, shown, suggest
from stabilitybench.storage.foreign import MAX_DEPTH, parsed, read_foreign

MAX_BYTES = 1_000_000
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
NAMES = "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'"


class TomlTable(BaseModel):
    """A table of such a file: no unknown keys, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_toml(path: str | Path, overrides: Iterable[str], what: str, hint: str) -> dict[str, Any]:
    """Return the content of a file as plain data, ``key=value`` overrides applied.

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8.
    overrides : iterable of str
        Texts ``key=value`` with a dotted key; a value that is no TOML is taken as a text.
    what : str
        What the file should be, such as "a study file".
    hint : str
        Where to get one from.

    Raises
    ------
    UserError
        Where the file cannot be read, is empty or larger than `MAX_BYTES`, or an override cannot be applied.
    """
    file = Path(path)
    kind = what.removeprefix("a ")
    try:
        raw: dict[str, Any] = parsed(tomllib.loads, _text(file))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such {kind}; {hint}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not {what}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not a text file in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path}: is not valid TOML: {error}") from None
    if not raw:
        raise UserError(f"{path}: is empty; {hint}")
    for text in overrides:
        _override(raw, text)
    return raw


def _text(file: Path) -> str:
    return read_foreign(file, MAX_BYTES).decode("utf-8-sig").replace("\r\n", "\n")


def _override(raw: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(parts) or len(parts) > MAX_DEPTH or "\n" in text:
        raise UserError(Argument("overrides", text), ": must look like key=value, for example recipe.epochs=5")
    try:
        given = parsed(tomllib.loads, f"value = {value}")["value"]
    except ValueError:
        given = value.strip()
    table = raw
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UserError(Argument("overrides", text), f": {part} is not a table")
    table[parts[-1]] = given


def refusal(
    error: ValidationError, model_at: Callable[[list[Any]], type[BaseModel]], tables: dict[str, str] | None = None,
    *, within: str = "",
) -> UserError:  # fmt: skip
    """Return what pydantic found first as an error of ours; one that a validator raised is passed on as it is.

    Parameters
    ----------
    error : pydantic.ValidationError
        What pydantic found.
    model_at, tables
        As in `sentence`.
    within : str, default ""
        The table that was checked, where it is a part of another.
    """
    # A misspelt key is also a missing one: the spelling says more.
    first = min(error.errors(include_url=False), key=lambda e: e["type"] == "missing")
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, UserError) and not first["loc"]:
        return raised
    loc = (within, *first["loc"]) if within else first["loc"]
    return UserError(sentence({**first, "loc": loc}, model_at, tables))


def sentence(
    error: ErrorDetails, model_at: Callable[[list[Any]], type[BaseModel]], tables: dict[str, str] | None = None
) -> str:
    """Turn a validation error into ``key = value: what is allowed``.

    Parameters
    ----------
    error : pydantic_core.ErrorDetails
        One of the errors that pydantic found.
    model_at : callable
        Takes a location and returns the table in which its last key stands.
    tables : dict of str to str, optional
        What entries of a named table must be.
    """
    loc = [part for part in error["loc"] if part not in ("function-after", "int", "float", "constrained-int")]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    kind, reason = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return f"{key}: is missing; must be given"
    if loc[-1:] == ["[key]"]:
        return f"{'.'.join(map(str, loc[:-2]))}: the name {shown(loc[-2])} {NAMES}"
    if kind == "extra_forbidden":
        keys = list(model_at(loc).model_fields)
        return f"{key}: unknown key; must be one of {', '.join(keys)}{suggest(str(loc[-1]), keys)}"
    if kind == "value_error":
        # Sentences of our own name their key; those of a field's validator lack the key's path.
        if not key:
            return reason
        if re.match(r"[\w.]+( = .*)?: ", reason):
            return f"{key}.{reason}"
        return f"{key} = {shown(error['input'])}: {reason}"
    if kind == "string_pattern_mismatch":
        reason = NAMES
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        reason = (tables or {}).get(str(loc[0]), "must be a table") if len(loc) == 2 else "must be a table"
    named = f"{key} = " if key else ""
    return f"{named}{shown(error['input'])}: {requirement(reason)}"
