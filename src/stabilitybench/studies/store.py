"""The run store: one folder for each finished run, complete or absent, shared by all studies.

``runs/<id>/run.json`` holds the identity, the scores and the diagnostics, ``runs/<id>/predictions.parquet`` the
logits of every validation and test row.  A run is written to a temporary folder, flushed, and renamed once.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from stabilitybench.encoders import Encoder
from stabilitybench.errors import EnvironmentFailure, UserError
from stabilitybench.finetuning import Outcome
from stabilitybench.studies.spec import RunSpec
from stabilitybench.tasks import Task

FINISHED = ("ok", "failed", "diverged")
MISSING = ("crashed", "timeout")
SaveModel = Callable[[Encoder, Task, dict[str, Any], Path], None]
#: What the record of a finished run must hold to be used.
KEYS = {"scores", "no_skill", "failed", "constant", "near_baseline", "evaluations", "weights", "seconds", "device"}
PACKAGES = ("stabilitybench", "torch", "transformers", "tokenizers", "numpy", "scipy")


class Store:
    """A folder of runs.

    >>> import tempfile
    >>> Store(tempfile.mkdtemp()).read("0123456789abcdef") is None
    True
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.runs = self.folder / "runs"
        self._drafts = self.folder / "drafts"

    def prepare(self) -> None:
        """Create the folders, check that they can be written, and clear what killed processes left behind."""
        with saving(self.folder):
            self.runs.mkdir(parents=True, exist_ok=True)
            self._drafts.mkdir(exist_ok=True)
            probe = self._drafts / _draft_name("probe")
            probe.write_text("x")
            probe.unlink()
        for draft in self._drafts.iterdir():
            if not _owner_lives(draft.name):
                shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)

    def path(self, run_id: str) -> Path:
        """Return the folder of a run; the id must be one that `RunSpec.id` can give."""
        if len(run_id) != 16 or not set(run_id) <= set("0123456789abcdef"):
            raise UserError(f'run id "{run_id}": must be 16 hexadecimal digits')
        return self.runs / run_id

    def read(self, run_id: str) -> dict[str, Any] | None:
        """Return the record of a run, or None where it is absent or damaged."""
        try:
            record = json.loads((self.path(run_id) / "run.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict) or record.get("id") != run_id or record.get("complete") is not True:
            return None
        if record.get("status") in FINISHED:
            whole = record.keys() >= KEYS and _is_parquet(self.path(run_id) / "predictions.parquet")
            return record if whole else None
        return record if record.get("status") in MISSING and "reason" in record else None

    def damaged(self, run_id: str) -> bool:
        """Tell whether a folder of this run exists whose record cannot be read."""
        return self.path(run_id).exists() and self.read(run_id) is None

    def set_aside(self, run_id: str) -> Path:
        """Move a damaged run out of the way, so that it can be done again; return where it went."""
        with saving(self.folder):
            aside = self.folder / "damaged" / f"{run_id}-{uuid4().hex[:8]}"
            aside.parent.mkdir(exist_ok=True)
            self.path(run_id).rename(aside)
        return aside

    def find(self, prefix: str) -> dict[str, Any]:
        """Return the record of the one run whose id starts with `prefix`."""
        if not prefix or not set(prefix) <= set("0123456789abcdef"):
            raise UserError(f'run id "{prefix}": must be hexadecimal digits, as `stabilitybench status` lists them')
        ids = sorted(p.name for p in self.runs.glob(f"{prefix}*")) if self.runs.is_dir() else []
        if not ids:
            raise UserError(f'run "{prefix}": no run in {self.folder} starts with these digits')
        if len(ids) > 1:
            raise UserError(f'run "{prefix}": {len(ids)} runs start with these digits: {", ".join(ids[:5])}; give more')
        record = self.read(ids[0])
        if record is None:
            raise UserError(f'run "{ids[0]}": its record is damaged; start its study again to redo it')
        return record

    def predictions(self, run_id: str) -> pd.DataFrame:
        """Return one row per split, checkpoint and text: row id, label, and the logits ``logit_0``, ``logit_1``, ..."""
        try:
            return pd.read_parquet(self.path(run_id) / "predictions.parquet")
        except (OSError, ValueError):
            raise UserError(
                f'run "{run_id}": its predictions cannot be read; remove {self.path(run_id)} and start its study again'
            ) from None

    def write(self, spec: RunSpec, outcome: Outcome, save_model: SaveModel | None = None) -> None:
        """Store a finished run; a run that is already there stays.

        save_model : writes the kept weights to the folder it is given (``runs/<id>/model``).
        """

        def fill(folder: Path) -> None:
            _predictions(spec, outcome).to_parquet(folder / "predictions.parquet", index=False)
            _flush(folder / "predictions.parquet")
            if save_model is not None and outcome.final_weights is not None:
                save_model(spec.encoder, spec.task, outcome.final_weights, folder / "model")

        self._publish(spec.id, {**_header(spec, outcome.status), **_body(outcome)}, fill)

    def write_missing(self, spec: RunSpec, status: str, reason: str) -> None:
        """Store why a run has no result."""
        self._publish(spec.id, {**_header(spec, status), "reason": reason}, lambda _: None)

    def _publish(self, run_id: str, record: dict[str, Any], fill: Callable[[Path], None]) -> None:
        draft = self._drafts / _draft_name(run_id)
        target = self.path(run_id)
        with saving(self.folder):
            try:
                draft.mkdir(parents=True)
                fill(draft)
                (draft / "run.json").write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n", "utf-8")
                _flush(draft / "run.json")
                _flush(draft)
                self._make_room(run_id)
                _rename_once(draft, target)
                _flush(self.runs)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _make_room(self, run_id: str) -> None:
        """Clear what stands in the way of a new result: a damaged record, or the trace of a crash."""
        old = self.read(run_id)
        if old is None and self.path(run_id).exists():
            self.set_aside(run_id)
        elif old is not None and old["status"] in MISSING:
            shutil.rmtree(self.path(run_id))


def _rename_once(draft: Path, target: Path) -> None:
    """Publish a draft; where another process published the same run first, theirs stays: it is the same."""
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Turn what a disk can do to us into one sentence."""
    try:
        yield
    except OSError as error:
        raise storage_failure(folder, error) from error


def storage_failure(folder: Path, error: OSError) -> EnvironmentFailure:
    """Return the failure that tells what is wrong with `folder`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFailure(
            f"{folder}: the disk is full. Finished runs are kept; free some space and start the same command again."
        )
    reason = error.strerror or str(error)
    return EnvironmentFailure(f"{folder}: cannot be written ({reason}). Choose a folder you may write to.")


def write_text(path: Path, text: str) -> None:
    """Write a file so that no partial one is ever visible."""
    draft = path.with_name(f".{_draft_name(path.name)}")
    with saving(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, "utf-8")
            _flush(draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def _draft_name(stem: str) -> str:
    # Host and process say later whether the writer still lives.
    return f"{stem}@{socket.gethostname()}@{os.getpid()}@{uuid4().hex[:8]}"


def _owner_lives(name: str) -> bool:
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


def _is_parquet(path: Path) -> bool:
    """Tell whether a file begins and ends as Parquet does: a cheap look that finds a cut or emptied one."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
            stream.seek(-4, os.SEEK_END)
            return head == stream.read(4) == b"PAR1"
    except OSError:
        return False


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _header(spec: RunSpec, status: str) -> dict[str, Any]:
    return {
        "id": spec.id,
        "complete": True,
        "status": status,
        "identity": spec.identity(),
        "labels": spec.labels(),
        "versions": versions(),
        "machine": f"{platform.machine()} {platform.system()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number."""
    return {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}


def _body(outcome: Outcome) -> dict[str, Any]:
    skip = ("predictions", "final_weights", "evaluations", "status")
    body = {key: value for key, value in vars(outcome).items() if key not in skip}
    return {**body, "evaluations": [asdict(e) for e in outcome.evaluations]}


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


def _predictions(spec: RunSpec, outcome: Outcome) -> pd.DataFrame:
    frames = []
    for p in outcome.predictions:
        split = getattr(spec.task, p.split)
        logits = {f"logit_{k}": p.logits[:, k] for k in range(p.logits.shape[1])}
        frames.append(
            pd.DataFrame(
                {"split": p.split, "checkpoint": p.checkpoint, "row": split.ids, "label": split.labels, **logits}
            )
        )
    return pd.concat(frames, ignore_index=True)
