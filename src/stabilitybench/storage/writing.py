"""Files that are whole or not there: written under another name, flushed, and renamed once."""

from __future__ import annotations

import os
from pathlib import Path

from stabilitybench.errors import EnvironmentFailure


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content`, text as UTF-8, to `path`; an older file stays as it was until the new one is complete.

    Raises EnvironmentFailure when the folder cannot be made or written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentFailure(f'cannot write the report to "{path}": {reason}; finished runs are kept') from error
