"""Studies and suites: the files that declare them, the store of their results, and their execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.lazy import lazy_names

if TYPE_CHECKING:
    from stabilitybench.studies.results import Results
    from stabilitybench.studies.store import Store
    from stabilitybench.studies.study import Study
    from stabilitybench.studies.suite import Suite

__all__ = ["Results", "Store", "Study", "Suite"]

__getattr__ = lazy_names(__name__, {"Results": "results", "Store": "store", "Study": "study", "Suite": "suite"})
