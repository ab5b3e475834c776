"""Files that are whole or not there: written under another name, flushed, and renamed once."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from stabilitybench.errors import EnvironmentFailure


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content`, text as UTF-8, to `path`; an older file stays as it was until the new one is complete.

    Parameters
    ----------
    path : Path
        The file; its folder is made where it is missing.
    content : str or bytes
        What it holds; text is written as UTF-8, its line ends as they are.

    Raises
    ------
    EnvironmentFailure
        Where the folder cannot be made or written, or the disk is full.
    """
    draft = path.with_name(f".{draft_name(path.name)}")
    with saving(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(content.encode() if isinstance(content, str) else content)
            flush(draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Write into a folder and clean up; processes that do so at once do not meet.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    EnvironmentFailure
        Where nothing can be written there.
    """
    probe = folder / f".{draft_name('probe')}"
    with saving(folder):
        try:
            probe.write_text("x")
        finally:
            probe.unlink(missing_ok=True)


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Turn what a disk can do to us into one sentence.

    Parameters
    ----------
    folder : Path
        What the block writes to, named in the message.

    Yields
    ------
    None
        The block runs.

    Raises
    ------
    EnvironmentFailure
        Where the block raises OSError.
    """
    try:
        yield
    except OSError as error:
        raise storage_failure(folder, error) from error


def storage_failure(folder: Path, error: OSError) -> EnvironmentFailure:
    """Return the failure that tells what is wrong with `folder`.

    Parameters
    ----------
    folder : Path
        Where something could not be written.
    error : OSError
        What the system said.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFailure(
            f"{folder}: the disk is full. Finished runs are kept; free some space and start the same command again."
        )
    reason = error.strerror or str(error)
    return EnvironmentFailure(f"{folder}: cannot be written ({reason}). Choose a folder you may write to.")


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk.

    Parameters
    ----------
    path : Path
        An existing file or folder; of a folder, its list of names.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def draft_name(stem: str) -> str:
    """Return a name for an unfinished file or folder that no other process gives.

    Parameters
    ----------
    stem : str
        What it will be; the name starts with it.
    """
    # Host and process say later whether the writer still lives.
    return f"{stem}@{socket.gethostname()}@{os.getpid()}@{uuid4().hex[:8]}"


def owner_lives(name: str) -> bool:
    """Tell whether the process that writes this draft may still be running.

    Parameters
    ----------
    name : str
        As `draft_name` gives it; for another machine's draft, or any other name, the answer is yes.
    """
    parts = name.split("@")
    if len(parts) != 4 or parts[1] != socket.gethostname() or not parts[2].isdigit():
        return True  # another machine's, or not ours: leave it
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
