"""Studies: the file that declares one, the store of its runs, and their execution."""

from stabilitybench.studies.results import Results
from stabilitybench.studies.store import Store
from stabilitybench.studies.study import Study

__all__ = ["Results", "Store", "Study"]
