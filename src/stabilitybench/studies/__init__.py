"""Studies: the file that declares one, the store of its runs, their execution and results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.lazy import lazy_names

if TYPE_CHECKING:
    from stabilitybench.studies.results import Results
    from stabilitybench.studies.store import Store
    from stabilitybench.studies.study import Study

__all__ = ["Results", "Store", "Study"]

__getattr__ = lazy_names(__name__, {"Results": "results", "Store": "store", "Study": "study"})
