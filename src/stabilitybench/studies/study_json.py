"""What stands in the results folder of a study: its spec, the ids of its runs, and notes for every report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from stabilitybench.storage.foreign import read_json
from stabilitybench.storage.writing import saving

STUDY_JSON = "study.json"
#: The lists of texts in it, beside the spec.
LISTS = ("runs", "notes")


def read_known(folder: Path) -> dict[str, Any]:
    """Return what is known of the study in a folder; nothing where the file is absent or damaged.

    Parameters
    ----------
    folder : Path
        Where the reports of the study stand.
    """
    try:
        known = read_json(folder / STUDY_JSON)
    except (OSError, ValueError):
        return {}
    whole = isinstance(known, dict) and isinstance(known.get("spec"), dict)
    lists = [known.get(key) for key in LISTS] if whole else [None]
    if not all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists):
        return {}
    looked_at = known.get("looked_at", [])
    if not isinstance(looked_at, list) or not all(type(seeds) is int and seeds > 0 for seeds in looked_at):
        return {}
    return dict(known)


def set_aside(folder: Path) -> list[str]:
    """Move a damaged file out of the way, and return the note that says so.

    Parameters
    ----------
    folder : Path
        Where the reports of the study stand.

    Raises
    ------
    EnvironmentFailure
        Where it cannot be moved.
    """
    file = folder / STUDY_JSON
    if read_known(folder) or not (file.exists() or file.is_symlink()):
        return []
    aside = folder / f"study-damaged-{uuid4().hex[:8]}.json"
    with saving(folder):
        file.rename(aside)
    return [f"{STUDY_JSON} was damaged; it was moved to {aside.name}, and notes that it held are not repeated here"]


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two specs differ: the dotted key, and what each of them has there.

    Parameters
    ----------
    old, new : Any
        Plain data; tables are compared key by key.
    key : str, default ""
        Where they stand.

    Examples
    --------
    >>> list(differences({"a": {"b": 1}}, {"a": {"b": 2}}))
    [('a.b', 1, 2)]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for part in dict.fromkeys((*old, *new)):
            yield from differences(old.get(part), new.get(part), f"{key}.{part}".lstrip("."))
    elif old != new:
        yield key, old, new


def short(value: Any) -> str:
    """Return a value of a spec in a few words.

    Parameters
    ----------
    value : Any
        Plain data; None says that there is nothing.
    """
    text = "(absent)" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
