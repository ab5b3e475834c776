"""Records: one folder for each finished piece of work, complete or absent, whatever happens to process or disk.

``<kind>/<id>/`` holds one JSON record and what belongs to it.  The id is the hash of all that determines the numbers.
A record is written to a temporary folder, flushed, and renamed once.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from stabilitybench.argument_checks import home
from stabilitybench.errors import UserError
from stabilitybench.storage.foreign import read_json
from stabilitybench.storage.writing import check_writable, draft_name, flush, owner_lives, saving

#: Statuses of work that has no result; it can be done again.
NO_RESULT = ("crashed", "timeout")
DIGITS = set("0123456789abcdef")


def _canonical(value: Any) -> str:
    """Return JSON with sorted keys and no blanks: equal values give equal text.

    >>> _canonical({"b": 1, "a": [1.0, None]})
    '{"a":[1.0,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def content_id(identity: Any) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the canonical `identity`.

    Parameters
    ----------
    identity : Any
        All that determines the numbers, as JSON can hold it.

    Examples
    --------
    >>> content_id({"n": 60}) == content_id({"n": 60}) != content_id({"n": 61})
    True
    """
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:16]


class Records:
    """The records of one kind in a store; `whole` says what a record must hold to be used.

    Parameters
    ----------
    folder : str or Path
        The store; ``~`` is the user's home.
    kind : str
        Folder of these records inside the store.
    file : str
        Name of the JSON record in each of its folders.
    """

    def __init__(self, folder: str | Path, kind: str, file: str) -> None:
        self.folder = home("folder", folder).absolute()
        self._kind, self._file = self.folder / kind, file
        self._drafts = self.folder / "drafts"

    def whole(self, record_id: str, record: dict[str, Any]) -> bool:
        """Tell whether a readable record, of work with a result or without one, has the form that its readers expect.

        Parameters
        ----------
        record_id : str
            Its id, for what stands beside the JSON record in its folder.
        record : dict
            The JSON record.
        """
        raise NotImplementedError

    def prepare(self) -> None:
        """Create the folders, check that they can be written, and clear what killed processes left behind.

        Raises
        ------
        EnvironmentFailure
            Where the store cannot be written.
        """
        with saving(self.folder):
            self._kind.mkdir(parents=True, exist_ok=True)
            self._drafts.mkdir(exist_ok=True)
        check_writable(self._drafts)
        for draft in self._drafts.iterdir():
            if not owner_lives(draft.name):
                shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)

    def path(self, record_id: str) -> Path:
        """Return the folder of a record.

        Parameters
        ----------
        record_id : str
            One that `content_id` can give.

        Raises
        ------
        UserError
            Where the id is not 16 hexadecimal digits.
        """
        if len(record_id) != 16 or not set(record_id) <= DIGITS:
            raise UserError(f'run id "{record_id}": must be 16 hexadecimal digits')
        return self._kind / record_id

    def read(self, record_id: str) -> dict[str, Any] | None:
        """Return a record, or None where it is absent or damaged.

        Parameters
        ----------
        record_id : str
            Its id.
        """
        file = self.path(record_id) / self._file
        try:
            record = read_json(file)
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict) or record.get("id") != record_id or record.get("complete") is not True:
            return None
        if content_id(record.get("identity")) != record_id:  # what determined its numbers is not what its id says
            return None
        return record if self.whole(record_id, record) else None

    def damaged(self, record_id: str) -> bool:
        """Tell whether a folder of this record exists that cannot be read.

        Parameters
        ----------
        record_id : str
            Its id.
        """
        return self.path(record_id).exists() and self.read(record_id) is None

    def set_aside(self, record_id: str) -> Path:
        """Move a damaged record out of the way, so that it can be done again; return where it went.

        Parameters
        ----------
        record_id : str
            The id of a record whose folder exists.
        """
        with saving(self.folder):
            aside = self.folder / "damaged" / f"{record_id}-{uuid4().hex[:8]}"
            aside.parent.mkdir(exist_ok=True)
            self.path(record_id).rename(aside)
        return aside

    def publish(self, record: dict[str, Any], fill: Callable[[Path], None] = lambda _: None) -> None:
        """Store a complete record; one that is already there stays.

        Parameters
        ----------
        record : dict
            What JSON can hold, with an ``id`` and a ``status``; numbers that are not finite are stored as null.
        fill : callable, optional
            Writes what belongs to the record into the folder it is given; unset, there is nothing else.

        Raises
        ------
        EnvironmentFailure
            Where the store cannot be written.
        """
        record_id = str(record["id"])
        draft, target = self._drafts / draft_name(record_id), self.path(record_id)
        with saving(self.folder):
            try:
                draft.mkdir(parents=True)
                fill(draft)
                text = json.dumps(_plain({**record, "complete": True}), indent=1, allow_nan=False)
                (draft / self._file).write_text(text + "\n", "utf-8")
                flush(draft / self._file)
                flush(draft)
                self._make_room(record_id)
                _rename_once(draft, target)
                flush(self._kind)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _make_room(self, record_id: str) -> None:
        """Clear what stands in the way of a new result: a damaged record, or the trace of a crash."""
        old = self.read(record_id)
        if old is None and self.path(record_id).exists():
            self.set_aside(record_id)
        elif old is not None and old["status"] in NO_RESULT:
            shutil.rmtree(self.path(record_id))


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of packages that can change a number, and of Python.

    Parameters
    ----------
    packages : tuple of str
        Names of installed distributions.
    """
    return {name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()}


def _rename_once(draft: Path, target: Path) -> None:
    """Publish a draft; where another process published the same record first, theirs stays: it is the same."""
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
