"""Kept tables: what the claims need of finished studies and suites, small enough to be kept with the project."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stabilitybench.claims.evidence import MissingEvidence
from stabilitybench.documents.comma_separated import comma_separated
from stabilitybench.statuses import FINISHED
from stabilitybench.storage.writing import write_atomically

if TYPE_CHECKING:
    from stabilitybench.studies import Study
    from stabilitybench.studies.results import PlannedRun

#: Suites that the claims read, and how many datasets of each value of the factor.
SUITES = (
    "head-n", "head-steps", "head-steps-gaussian", "head-margin", "head-radius", "head-rate", "head-rate-large",
    "head-heads", "full-n", "full-noise", "full-start-early", "full-start-converged", "full-steps", "full-rate-early",
    "limit-n", "published-without-interpolation", "shared-n", "shared-start", "head-start",
)  # fmt: skip
DATASETS = 10
#: Digits kept of what a replay does not compare.
DIGITS = 6


def runs_table(
    studies: Iterable[Study], *, predictions: Sequence[str] = ("methods",), partial: bool = False
) -> pd.DataFrame:
    """Return one row per run of finished studies, with all that the claims read.

    Parameters
    ----------
    studies : iterable of Study
        Studies whose runs are in their stores.
    predictions : sequence of str, default ("methods",)
        Studies whose predicted classes on the test split are kept, as one digit per row.
    partial : bool, default False
        Whether arms that are not complete on a task are left out of it, rather than refused.

    Returns
    -------
    DataFrame
        Columns: study, task, arm, seed, the seeds of the streams, run_id, weights (a hash of the final ones), score and
        validation of the last checkpoint, no_skill, failed; and per evaluation k = 1, 2, ...: validation_k,
        validation_loss_k, train_loss_k and gradient_k, the logarithm (base 10) of the gradient norm of the lowest layer
        over that of the head; distance_lower, distance_upper: how far the two halves of the encoder moved in all.

    Raises
    ------
    MissingEvidence
        Where a study is not complete, unless `partial`.
    """
    rows = []
    for study in studies:
        found = study.results()
        lacking = [r for r in found.runs if found.records.get(r.spec.id, {}).get("status") not in FINISHED]
        if lacking and not partial:
            raise MissingEvidence(f"study {study.file.name}: {len(lacking)} of {len(found.runs)} runs are not finished")
        left_out = {(r.task, r.arm) for r in lacking}
        for run in found.runs:
            if (run.task, run.arm) in left_out:
                continue
            row = _run_row(study.file.name, run, found.records[run.spec.id])
            if study.file.name in predictions:
                row["predicted"] = _predicted(study, run)
            rows.append(row)
    return pd.DataFrame(rows)


def _run_row(study: str, run: PlannedRun, record: dict[str, Any]) -> dict[str, Any]:
    """Return the row of one finished run."""
    metric = run.spec.task.metrics[0]
    seeds = run.spec.seeds
    row: dict[str, Any] = {
        "study": study, "task": _short_task(run.task), "arm": run.arm, "seed": run.seed, "seed_init": seeds.init,
        "seed_order": seeds.order, "seed_subset": seeds.subset, "run_id": run.spec.id,
        "weights": record["weights"][:16], "score": record["scores"]["last"]["test"][metric],
        "validation": record["scores"]["last"]["validation"][metric], "no_skill": record["no_skill"]["test"],
        "failed": record["failed"],
    }  # fmt: skip
    for k, e in enumerate(record["evaluations"], start=1):
        row[f"validation_{k}"] = _short(e["validation"][metric])
        row[f"validation_loss_{k}"] = _short(e["validation_loss"])
        row[f"train_loss_{k}"] = _short(e["train_loss"])
        norms = e.get("gradient_norm") or {}
        if norms.get("layer.0") and norms.get("head"):
            row[f"gradient_{k}"] = _short(math.log10(norms["layer.0"] / norms["head"]))
    moved = record["evaluations"][-1].get("distance") or {}
    layout = run.spec.encoder.layout
    lower = ["embeddings", *layout.bottom(layout.depth // 2)]
    if moved and run.spec.recipe.mode == "full":  # what is frozen has no entry: it has not moved
        row["distance_lower"] = _short(math.hypot(*(moved.get(p, 0.0) for p in lower)))
        upper = layout.top(layout.depth - layout.depth // 2)
        row["distance_upper"] = _short(math.hypot(*(moved.get(p, 0.0) for p in upper)))
    return row


def _short_task(label: str) -> str:
    """Return the label of a task without the folders of its files.

    >>> _short_task("file:/data/glue/CoLA (n=500)"), _short_task("pocket/sentiment")
    ('CoLA (n=500)', 'pocket/sentiment')
    """
    return Path(label.removeprefix("file:")).name if label.startswith("file:") else label


def suites_table(store: str | Path, *, datasets: int = DATASETS, jobs: int | None = None) -> pd.DataFrame:
    """Measure what `store` lacks of the suites that the claims read, and return their table.

    Parameters
    ----------
    store : str or Path
        Folder of finished measurements.
    datasets : int, default 10
        Datasets of each value of a suite's factor.
    jobs : int, optional
        Worker processes; unset, one for each core.

    Returns
    -------
    DataFrame
        One row per measured quantity or bound; columns: suite, value, seed, kind, item, amount, measured, checks,
        violations, published.
    """
    from stabilitybench.suites.suite import open_suites, run_suites

    suites = open_suites(SUITES, [f"datasets={datasets}"], store)
    run_suites(suites, jobs=jobs)
    frames = [suite.results().to_frame() for suite in suites]
    columns = [
        "suite", "value", "seed", "kind", "item", "amount", "measured", "checks", "violations", "published",
    ]  # fmt: skip
    table = pd.concat([f[columns].astype(object) for f in frames], ignore_index=True)
    for name in ("amount", "measured"):
        table[name] = [_short(float(v)) if v is not None and v == v else None for v in table[name]]
    return table


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a kept table as CSV, every number so that it is read back as it is.

    Parameters
    ----------
    table : DataFrame
        As `runs_table`, `suites_table` or `forms_table` makes it.
    path : str or Path
        The file.

    Raises
    ------
    EnvironmentFailure
        Where it cannot be written.
    """
    write_atomically(Path(path), comma_separated(table))


def conditions() -> dict[str, str]:
    """Return what decides whether a run repeats to the last bit: machine, processor, instruction set, versions.

    Returns
    -------
    dict of str to str
        By name: ``machine``, ``processor``, ``cpu``, and one entry per package.
    """
    import platform

    import torch

    from stabilitybench.studies.store import versions

    said = {
        "machine": f"{platform.machine()} {platform.system()}", "processor": _processor(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }  # fmt: skip
    return said | {k: v for k, v in versions().items() if k not in ("stabilitybench", "scipy")}


def _processor() -> str:
    """Return maker and family of the processor: math libraries choose their kernels by these, too."""
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    said = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    return " ".join(said[key] for key in ("vendor_id", "cpu family") if key in said) or platform.processor()


def write_conditions(path: str | Path) -> None:
    """Write the conditions of this machine beside a kept table.

    Parameters
    ----------
    path : str or Path
        The JSON file.

    Raises
    ------
    EnvironmentFailure
        Where it cannot be written.
    """
    write_atomically(Path(path), json.dumps(conditions(), indent=1) + "\n")


def _predicted(study: Study, run: PlannedRun) -> str:
    frame = study.store.predictions(run.spec.id)
    part = frame[(frame["split"] == "test") & (frame["checkpoint"] == "last")]
    logits = part[[c for c in part.columns if c.startswith("logit_")]].to_numpy(np.float64)
    return "".join(map(str, logits.argmax(axis=1)))


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
