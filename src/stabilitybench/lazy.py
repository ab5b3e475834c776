"""Packages whose public names are imported when they are first asked for, so that opening one costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package: each of its names is imported from its module when first asked for.

    A name must not be that of a module of the package: once the module is imported, it hides the name.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    places : mapping of str to str
        The module of each name, relative to the package.

    Returns
    -------
    callable
        Takes a name and returns the object; raises AttributeError for a name without a place.

    Examples
    --------
    >>> lazy_names("stabilitybench", {"Seeds": "seeds"})("Seeds")
    <class 'stabilitybench.seeds.Seeds'>
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{places[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
