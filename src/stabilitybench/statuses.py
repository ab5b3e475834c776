"""What can become of a run: the statuses that records, tables and files of scores hold."""

from __future__ import annotations

from stabilitybench.storage.records import NO_RESULT

#: A run that came to an end and has scores; one that failed or diverged has, too.
FINISHED = ("ok", "failed", "diverged")
#: A run that has none: it stopped on the way, or was never started.
UNFINISHED = (*NO_RESULT, "missing")
