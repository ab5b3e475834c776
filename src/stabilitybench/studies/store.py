"""The run store: one folder for each finished run, complete or absent, shared by all studies.

``runs/<id>/run.json`` holds the identity, the scores and the diagnostics, ``runs/<id>/predictions.parquet`` the
logits of every validation and test row.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.statuses import FINISHED
from stabilitybench.storage import records
from stabilitybench.storage.records import DIGITS, Records
from stabilitybench.storage.writing import flush
from stabilitybench.studies.predictions_file import looks_whole, read_predictions
from stabilitybench.studies.record_form import well_formed
from stabilitybench.studies.spec import RunSpec
from stabilitybench.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.finetuning import Outcome

SaveModel = Callable[[Encoder, Task, dict[str, Any], Path], None]
PREDICTIONS = "predictions.parquet"
PACKAGES = ("stabilitybench", "torch", "transformers", "tokenizers", "numpy", "scipy")


class Store(Records):
    """A folder of runs.

    Parameters
    ----------
    folder : str or Path
        Made when the first run is stored.

    Examples
    --------
    >>> import tempfile
    >>> Store(tempfile.mkdtemp()).read("0123456789abcdef") is None
    True
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, "runs", "run.json")
        self.runs = self.folder / "runs"

    def whole(self, record_id: str, record: dict[str, Any]) -> bool:
        """Tell whether a record has its form, and a finished run its predictions.

        Parameters
        ----------
        record_id : str
            The run's id.
        record : dict of str to object
            What is stored of it.
        """
        finished = record.get("status") in FINISHED
        if not well_formed(record, finished=finished):
            return False
        return not finished or looks_whole(self.path(record_id) / PREDICTIONS, _outputs(record))

    def find(self, prefix: str) -> dict[str, Any]:
        """Return the record of the one run whose id starts with `prefix`.

        Parameters
        ----------
        prefix : str
            First hexadecimal digits of the id, enough to tell it from others.

        Raises
        ------
        UserError
            Where no run or several have this prefix, or the record is damaged.
        """
        if not prefix or not set(prefix) <= DIGITS:
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
        """Return what a run predicted.

        Parameters
        ----------
        run_id : str
            Id of a finished run.

        Returns
        -------
        DataFrame
            One row per split, checkpoint and text: row id, label, and the logits ``logit_0``, ``logit_1``, ...

        Raises
        ------
        UserError
            Where the file cannot be read.
        """
        folder, record = self.path(run_id), self.read(run_id)
        try:
            if record is None:
                raise ValueError("no record")
            return read_predictions(folder / PREDICTIONS, _outputs(record))
        except (OSError, ValueError):
            raise UserError(
                f'run "{run_id}": its predictions cannot be read; remove {folder} and start its study again'
            ) from None

    def keeps_model(self, run_id: str) -> bool:
        """Tell whether the weights of a run were kept.

        Parameters
        ----------
        run_id : str
            Id of a run.
        """
        return (self.path(run_id) / "model").is_dir()

    def write(self, spec: RunSpec, outcome: Outcome, save_model: SaveModel | None = None) -> None:
        """Store a finished run; a run that is already there stays.

        Parameters
        ----------
        spec : RunSpec
            What was run.
        outcome : Outcome
            What came of it.
        save_model : callable or None, default None
            Writes the kept weights to the folder it is given (``runs/<id>/model``).
        """

        def fill(folder: Path) -> None:
            _predictions(spec, outcome).to_parquet(folder / PREDICTIONS, index=False)
            flush(folder / PREDICTIONS)
            if save_model is not None and outcome.final_weights is not None:
                save_model(spec.encoder, spec.task, outcome.final_weights, folder / "model")

        self.publish({**_header(spec, outcome.status), **_body(outcome)}, fill)

    def write_missing(self, spec: RunSpec, status: str, reason: str) -> None:
        """Store why a run has no result.

        Parameters
        ----------
        spec : RunSpec
            What was run.
        status : str
            "crashed" or "timeout".
        reason : str
            One sentence.
        """
        self.publish({**_header(spec, status), "reason": reason})


def _outputs(record: dict[str, Any]) -> int:
    """Return the width of a run's head: the number of classes, or 1 under regression."""
    return len(record["labels"]["classes"]) or 1


def _header(spec: RunSpec, status: str) -> dict[str, Any]:
    return {
        "id": spec.id,
        "status": status,
        "identity": spec.identity(),
        "labels": spec.labels(),
        "versions": versions(),
        "machine": f"{platform.machine()} {platform.system()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number."""
    return records.versions(PACKAGES)


#: What stored records have always called these.
_RECORDED = {"reinitialized": "drawn", "newly_initialized": "fresh"}


def _body(outcome: Outcome) -> dict[str, Any]:
    skip = ("predictions", "final_weights", "evaluations", "status")
    body = {_RECORDED.get(key, key): value for key, value in vars(outcome).items() if key not in skip}
    return {**body, "evaluations": [asdict(e) for e in outcome.evaluations]}


def _predictions(spec: RunSpec, outcome: Outcome) -> pd.DataFrame:
    import pandas as pd

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
