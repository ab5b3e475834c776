"""Choosing settings: every point of a grid trained with seeds of its own, and the best one kept for each cell."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stabilitybench.seeds import TUNING_OFFSET, Seeds, grid
from stabilitybench.statuses import FINISHED
from stabilitybench.studies.file import StudyFile
from stabilitybench.studies.spec import RunSpec
from stabilitybench.studies.store import Store

#: Labels of encoder, task and arm.
Cell = tuple[str, str, str]
#: Makes the run of an arm on an encoder and a task (by their labels), with seeds and a point of the grid.
MakeRun = Callable[[str, str, str, Seeds, Mapping[str, Any]], RunSpec]


@dataclass(frozen=True)
class TuningRun:
    """A run that helps to choose the settings of a cell.

    Attributes
    ----------
    cell : tuple of str
        Labels of encoder, task and arm.
    point : dict of str to object
        The point of the grid that it was made with.
    spec : RunSpec
        The run itself.
    """

    cell: Cell
    point: dict[str, Any]
    spec: RunSpec


def tuning_runs(file: StudyFile, encoders: Sequence[str], tasks: Sequence[str], make: MakeRun) -> list[TuningRun]:
    """Return a run for each point of the grid, cell and tuning seed; none where the study file tunes nothing.

    Parameters
    ----------
    file : StudyFile
        The study file.
    encoders, tasks : sequence of str
        Their labels.
    make : callable
        Makes the run of an arm on an encoder and a task (by their labels), with seeds and a point of the grid.
    """
    tune = file.tune
    if tune is None:
        return []
    arms = list(file.arms) if tune.scope == "arm" else [file.baseline]
    points = [dict(zip(tune.grid, values, strict=True)) for values in itertools.product(*tune.grid.values())]
    seeds = grid(tune.seeds, first=TUNING_OFFSET)
    return [
        TuningRun((encoder, task, arm), point, make(encoder, task, arm, s, point))
        for encoder, task, arm in itertools.product(encoders, tasks, arms)
        for point in points
        for s in seeds
    ]


def choose(file: StudyFile, runs: Sequence[TuningRun], store: Store) -> dict[Cell, dict[str, Any]]:
    """Return the grid point with the best mean validation score of each cell; the first of ties.

    Parameters
    ----------
    file : StudyFile
        The study file.
    runs : sequence of TuningRun
        What `tuning_runs` returns for it.
    store : Store
        Where their records are.

    Returns
    -------
    dict of (str, str, str) to dict
        By the labels of encoder, task and arm; cells whose tuning runs are not all finished are left out.
    """
    scores: dict[Cell, dict[str, list[float]]] = {}
    points: dict[str, dict[str, Any]] = {}
    unfinished = set()
    for run in runs:
        record = store.read(run.spec.id)
        if record is None or record["status"] not in FINISHED:
            unfinished.add(run.cell)
            continue
        key = json.dumps(run.point, sort_keys=True)
        points[key] = run.point
        value = record["scores"]["last"]["validation"][run.spec.task.metrics[0]]
        scores.setdefault(run.cell, {}).setdefault(key, []).append(value)
    chosen = {}
    for cell, by_point in scores.items():
        if cell not in unfinished:
            means = {key: sum(values) / len(values) for key, values in by_point.items()}
            chosen[cell] = points[max(means, key=lambda key: means[key])]
    if file.tune is not None and file.tune.scope == "baseline":
        return {(encoder, task, arm): point for (encoder, task, _), point in chosen.items() for arm in file.arms}
    return chosen
