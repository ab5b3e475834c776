"""The results of a study as tidy tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from stabilitybench.statuses import FINISHED
from stabilitybench.studies.file import StudyFile
from stabilitybench.studies.spec import RunSpec
from stabilitybench.studies.versions import code_versions, mixed_versions

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.statistics.looks import DeclaredLook


@dataclass(frozen=True)
class PlannedRun:
    """A run and the place it has in its study.

    Attributes
    ----------
    encoder, task, arm : str
        Labels of its cell.
    seed : int
        Position of its seeds in the study's list.
    spec : RunSpec
        The run itself.
    """

    encoder: str
    task: str
    arm: str
    seed: int
    spec: RunSpec


@dataclass(frozen=True)
class Results:
    """What the store holds of a study.

    Attributes
    ----------
    study : StudyFile
        What was declared.
    runs : tuple of PlannedRun
        Every run of it.
    records : dict of str to dict
        The stored record of each run by its id; absent where the run is missing.
    tuned : dict of (str, str, str) to dict
        The recipe fields chosen for each (encoder, task, arm).
    notes : tuple of str
        What a reader must know (seeds added later, damaged runs, ...).
    """

    study: StudyFile = field(repr=False)
    runs: tuple[PlannedRun, ...] = field(repr=False)
    records: dict[str, dict[str, Any]] = field(repr=False)
    tuned: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def look(self) -> DeclaredLook | None:
        """The declared look that this is; None where the study file declares none."""
        from stabilitybench.statistics.looks import DeclaredLook  # numerics that no other result needs

        looks = self.study.looks
        if looks is None or not isinstance(self.study.seeds, int):
            return None
        return DeclaredLook(tuple(looks.sizes), looks.sizes.index(self.study.seeds) + 1, looks.bounds)

    @property
    def complete(self) -> bool:
        """Tell whether every run has finished."""
        return all(self._finished(run) for run in self.runs)

    def _finished(self, run: PlannedRun) -> bool:
        record = self.records.get(run.spec.id)
        return record is not None and record["status"] in FINISHED

    def to_frame(self) -> pd.DataFrame:
        """Return one row per planned run, finished or not.

        Returns
        -------
        DataFrame
            With the run's cell, seeds and status beside its scores: fractions (correlations in [-1, 1]) of the headline
            `metric`, `score` and `score_best` on the test split for the last and the best-validation checkpoint,
            `validation` and `validation_best` likewise.  Numbers of runs that have not finished are NaN.
        """
        import pandas as pd

        return pd.DataFrame([self._row(run) for run in self.runs])

    def _row(self, run: PlannedRun) -> dict[str, Any]:
        spec = run.spec
        metric = spec.task.metrics[0]
        row: dict[str, Any] = {
            "run_id": spec.id,
            "encoder": run.encoder,
            "task": run.task,
            "arm": run.arm,
            "seed": run.seed,
            **{f"seed_{stream}": value for stream, value in asdict(spec.seeds).items()},
            "n_train": spec.n_train or len(spec.task.train),
            "metric": metric,
        }
        record = self.records.get(spec.id)
        numbers = ("score", "score_best", "validation", "validation_best", "no_skill", "train_loss", "seconds")
        if record is None or record["status"] not in FINISHED:
            status = "missing" if record is None else record["status"]
            flags = {"failed": False, "near_no_skill": False, "constant": False, "device": "", "versions": ""}
            return {**row, "status": status, **dict.fromkeys(numbers, float("nan")), **flags}
        scores, evaluations = record["scores"], record["evaluations"]
        return {
            **row,
            "status": record["status"],
            "score": scores["last"]["test"][metric],
            "score_best": scores["best"]["test"][metric],
            "validation": scores["last"]["validation"][metric],
            "validation_best": scores["best"]["validation"][metric],
            "no_skill": record["no_skill"]["test"],
            "train_loss": _number(evaluations[-1]["train_loss"]),
            "seconds": record["seconds"],
            "failed": record["failed"],
            "near_no_skill": record["near_no_skill"],
            "constant": record["constant"],
            "device": record["device"],
            "versions": code_versions(record["versions"]),
        }

    def curves(self) -> pd.DataFrame:
        """Return one row per finished run and evaluation.

        Returns
        -------
        DataFrame
            With the run's cell and seed, step, progress in (0, 1], training loss, and validation score.
        """
        import pandas as pd

        rows = []
        for run in self.runs:
            if not self._finished(run):
                continue
            spec = run.spec
            for e in self.records[spec.id]["evaluations"]:
                rows.append(
                    {
                        "run_id": spec.id,
                        "encoder": run.encoder,
                        "task": run.task,
                        "arm": run.arm,
                        "seed": run.seed,
                        "step": e["step"],
                        "progress": e["progress"],
                        "train_loss": _number(e["train_loss"]),
                        "validation": _number(e["validation"][spec.task.metrics[0]]),
                    }
                )
        columns = ["run_id", "encoder", "task", "arm", "seed", "step", "progress", "train_loss", "validation"]
        return pd.DataFrame(rows, columns=columns)

    def warnings(self) -> list[str]:
        """Return what a reader of the numbers must know, one sentence each."""
        out = list(self.notes)
        texts: dict[tuple[str, str], None] = {}
        for run in self.runs:
            for text in (*run.spec.task.notes, *self.records.get(run.spec.id, {}).get("warnings", ())):
                texts.setdefault((run.task, text))
        out += [f"{task}: {text}" for task, text in texts]
        return out + self.mixed_versions() + self.audit()

    def mixed_versions(self) -> list[str]:
        """Say where finished runs come from different versions of the code, torch or transformers."""
        finished = {run.spec.id: run for run in self.runs if self._finished(run)}
        return mixed_versions(code_versions(self.records[run_id]["versions"]) for run_id in finished)

    def audit(self) -> list[str]:
        """Check that runs with different seeds ended with different weights; return what is suspicious."""
        groups: dict[tuple[str, str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for run in self.runs:
            record = self.records.get(run.spec.id)
            if record is not None and record["status"] in ("ok", "failed"):
                cell = (run.encoder, run.task, run.arm)
                groups[cell][record["weights"]].append(run.spec.id)
        return [
            f"{', '.join(cell)}: {len(set(ids))} runs with different seeds ended with the same weights "
            f"({', '.join(sorted(set(ids))[:3])}): their seeds changed nothing"
            for cell, by_weights in groups.items()
            for ids in by_weights.values()
            if len(set(ids)) > 1
        ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
