"""Studies: the file that declares one, the store of its runs, their execution and results."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stabilitybench.studies.results import Results
    from stabilitybench.studies.store import Store
    from stabilitybench.studies.study import Study

#: Where each name stands; imported when first asked for, since reading results needs no transformers and running does.
_NAMES = {"Results": "results", "Store": "store", "Study": "study"}

__all__ = ["Results", "Store", "Study"]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
