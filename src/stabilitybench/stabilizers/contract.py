"""What a class must look like to be registered: mistakes of spelling and form are refused before they train."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, Field
from types import FunctionType
from typing import Any

from stabilitybench.errors import UserError, suggest
from stabilitybench.stabilizers.base import Stabilizer


def check_contract(name: str, cls: type[Stabilizer]) -> None:
    """Refuse a class that breaks the form of a stabilizer.

    Parameters
    ----------
    name : str
        The name it is registered under, for the message.
    cls : type
        A class derived from `Stabilizer`.

    Raises
    ------
    UserError
        In one sentence: what is wrong, and what the contract asks for.
    """
    for sentence in _broken(cls):
        raise UserError(f'stabilizer "{name}": {sentence}')


def _broken(cls: type[Stabilizer]) -> Iterator[str]:
    decorated = vars(cls).get("__dataclass_params__")
    if decorated is None or not decorated.frozen:
        yield f"{cls.__name__} must be decorated with @dataclass(frozen=True) below @register"
        return
    for field in cls.__dataclass_fields__.values():  # type: ignore[attr-defined]  # class variables among them
        yield from _broken_field(field)
    if type(cls.version) is not int or cls.version < 1:
        yield f"version = {cls.version!r}: must be a whole number, at least 1"
    for owner in cls.__mro__[: cls.__mro__.index(Stabilizer)]:
        for attribute, value in vars(owner).items():
            yield from _broken_attribute(cls, attribute, value)


def _broken_field(field: Field[Any]) -> Iterator[str]:
    if field._field_type.name != "_FIELD":  # type: ignore[attr-defined]  # a class variable or an init-only one
        if field._field_type.name == "_FIELD_INITVAR":  # type: ignore[attr-defined]
            yield f"{field.name} must be an ordinary field: an InitVar is no part of what identifies a run"
        return
    if field.name in _CONTRACT:
        yield (
            f"the field {field.name} has the name of a part of the contract: give the parameter another name, or "
            "write the part without a type"
        )
    elif not field.init:
        yield f"the field {field.name} must be a parameter: leave init=False out"
    elif field.default_factory is not MISSING:  # reports and ids name the parameters that differ from a default value
        yield f"the default of {field.name} must be a value, such as a number or a tuple, and no default_factory"


def _broken_attribute(cls: type[Stabilizer], attribute: str, value: Any) -> Iterator[str]:
    """Check one attribute of the class body: a part of the contract in its form, or nothing that looks like one."""
    if attribute.startswith("_") or attribute.isupper() or attribute in cls.__dataclass_fields__:  # type: ignore[attr-defined]
        if attribute in _CONTRACT and attribute != "name":  # a ClassVar
            yield from _broken_part(attribute, value)
        return
    if attribute in _CONTRACT:
        yield from _broken_part(attribute, value)
    elif not isinstance(value, type):
        yield (
            f"{attribute} is no part of the contract{suggest(attribute, sorted(_CONTRACT))}; begin the name of a "
            "helper with an underscore, and write constants in capitals"
        )


def _broken_part(attribute: str, value: Any) -> Iterator[str]:
    model = inspect.getattr_static(Stabilizer, attribute, None)
    if isinstance(model, (property, classmethod)):
        if not isinstance(value, type(model)):
            yield f"{attribute} must be a {type(model).__name__}, as in the contract"
    elif isinstance(model, FunctionType):
        yield from _broken_hook(attribute, value, model)
    elif model is not None and not isinstance(value, type(model)):
        yield f"{attribute} = {value!r}: must be of the type {type(model).__name__}"


def _broken_hook(hook: str, value: Any, model: FunctionType) -> Iterator[str]:
    if not isinstance(value, FunctionType):
        yield f"{hook} is a {type(value).__name__}: it must be a method, {_call(hook, model)}"
        return
    if inspect.iscoroutinefunction(value) or inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        yield f"{hook} must return its value: neither async nor yield"
        return
    try:
        inspect.signature(value).bind(*inspect.signature(model).parameters)
    except TypeError:
        yield f"{_call(hook, value)} must be {_call(hook, model)}"


def _call(hook: str, function: FunctionType) -> str:
    return f"{hook}({', '.join(inspect.signature(function).parameters)})"


#: Names of the contract: hooks and what else a class may say of itself.
_CONTRACT = {n for n in (*dir(Stabilizer), *Stabilizer.__annotations__) if not n.startswith("_")}
