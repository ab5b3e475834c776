"""Studies and suites: the files that declare them, the store of their results, and their execution."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stabilitybench.studies.results import Results
    from stabilitybench.studies.store import Store
    from stabilitybench.studies.study import Study
    from stabilitybench.studies.suite import Suite

#: Where each name stands; imported when first asked for, since a suite needs no transformers and a study does.
_NAMES = {"Results": "results", "Store": "store", "Study": "study", "Suite": "suite"}

__all__ = ["Results", "Store", "Study", "Suite"]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
