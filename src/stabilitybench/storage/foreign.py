"""Files that nobody has vouched for: opened only where they are files of bearable size, and parsed with limits.

A pipe would wait for ever, a device never ends, and data that are nested deeply enough end Python's stack.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

from stabilitybench.errors import UserError

#: Tables inside tables that a file may hold; ours have seven.
MAX_DEPTH = 64
MAX_MEGABYTES = 256
#: Bytes of a file that is read into memory.
MAX_BYTES = MAX_MEGABYTES * 10**6


def open_foreign(path: Path, most: int | None = MAX_BYTES) -> BufferedReader:
    """Open a file for reading; it is never waited for.

    Parameters
    ----------
    path : Path
        The file; links are followed.
    most : int or None, default MAX_BYTES
        Largest size, in bytes; None for files that are read piece by piece.

    Raises
    ------
    UserError
        For what is no regular file, a larger file, and a name that no file can have.
    OSError
        Where there is no such file, or it may not be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError:  # a NUL byte
        raise UserError(f"{path}: is no name of a file") from None
    try:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path}: is a pipe or a device; must be a regular file")
        if most is not None and about.st_size > most:
            raise UserError(f"{path}: has {about.st_size} bytes; at most {most} are allowed")
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_foreign(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return what a file holds.

    Parameters
    ----------
    path : Path
        The file; links are followed.
    most : int, default MAX_BYTES
        Largest size, in bytes.

    Raises
    ------
    UserError, OSError
        As `open_foreign`.
    """
    with open_foreign(path, most) as stream:
        found = stream.read(most + 1)
    if len(found) > most:  # files of the system tell no size
        raise UserError(f"{path}: has more than {most} bytes, which is the most allowed")
    return found


def parsed(read: Callable[[str], Any], text: str) -> Any:
    """Return what a parser of nested data makes of a text.

    Parameters
    ----------
    read : callable
        Such as ``json.loads``.
    text : str
        What it reads.

    Raises
    ------
    ValueError
        What the parser raises, and for data nested more than `MAX_DEPTH` deep.

    Examples
    --------
    >>> parsed(json.loads, "[" * 100_000)
    Traceback (most recent call last):
    ValueError: nested more than 64 deep
    """
    try:
        found = read(text)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    check_depth(found)
    return found


def check_depth(found: Any) -> None:
    """Raise ValueError where plain data are nested more than `MAX_DEPTH` deep.

    Parameters
    ----------
    found : Any
        Tables, lists, texts and numbers.
    """
    layer = [found]
    for _ in range(MAX_DEPTH + 1):
        inner = [item for item in layer if isinstance(item, (dict, list))]
        layer = [child for item in inner for child in (item.values() if isinstance(item, dict) else item)]
        if not layer:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Parameters
    ----------
    path : Path
        The file, in UTF-8.

    Raises
    ------
    ValueError
        Where it is no such file (a UserError, see `open_foreign`), no JSON, or nested too deeply.
    OSError
        Where there is no such file, or it may not be read.
    """
    return parsed(json.loads, read_foreign(path).decode("utf-8"))
