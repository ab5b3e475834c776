"""What a study costs: its runs, and hours from runs that were timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.documents.formats import counted
from stabilitybench.planning.pilot import Cell, Pilot
from stabilitybench.statuses import FINISHED

if TYPE_CHECKING:
    from stabilitybench.studies import Study
    from stabilitybench.studies.results import Results


@dataclass(frozen=True)
class Cost:
    """Runs and time.

    Attributes
    ----------
    per_seed : int
        Runs that one more seed per arm means.
    runs, stored : int
        Runs of the study as planned, tuning included, and those of them in the store.
    hours_to_do : float or None
        Time of what is not in the store, on one worker; None without timings.
    hours_per_seed : float or None
        Time of one more seed per arm, on one worker; None without timings.
    timed : str
        What the times come from, or why there are none.
    """

    per_seed: int
    runs: int
    stored: int
    hours_to_do: float | None
    hours_per_seed: float | None
    timed: str


def cost_of(study: Study, results: Results, pilot: Pilot | None) -> Cost:
    """Return what a study costs, timed by its own runs in the store, else by those of a pilot.

    Parameters
    ----------
    study : Study
        As planned.
    results : Results
        What the store holds of it.
    pilot : Pilot or None
        Runs done before.
    """
    file = study.file
    cells: dict[Cell, list[str]] = {}
    for run in results.runs:
        cells.setdefault((run.encoder, run.task, run.arm), []).append(run.spec.id)
    own: dict[Cell, list[float]] = {}
    for cell, ids in cells.items():
        found = [results.records[i]["seconds"] for i in ids if results.records.get(i, {}).get("status") in FINISHED]
        if found:
            own[cell] = found
    known = {**(pilot.seconds if pilot else {}), **{cell: sum(s) / len(s) for cell, s in own.items()}}
    seconds = {cell: _seconds_of(cell, known) for cell in cells}
    to_do = {cell: sum(i not in results.records for i in ids) for cell, ids in cells.items()}
    tuning, tuned = study.tuning_progress()
    total = sum(map(len, cells.values())) + tuning
    stored = total - sum(to_do.values()) - (tuning - tuned)
    unknown = [cell for cell, value in seconds.items() if value is None]
    if unknown:
        timed = (
            f"no hours: no run of {', '.join(filter(None, unknown[0]))} was timed; do one seed of each under another "
            f'name (seeds = 1, name = "{file.name}-timing"), or give a results folder as the pilot'
        )
        return Cost(len(cells), total, stored, None, None, timed)
    each = {cell: value for cell, value in seconds.items() if value is not None}
    todo_hours = sum(each[cell] * n for cell, n in to_do.items()) / 3600
    todo_hours += (tuning - tuned) * sum(each.values()) / len(each) / 3600
    sources = ([f"{counted(sum(map(len, own.values())), 'run')} in the store"] if own else []) + (
        [pilot.source] if pilot and pilot.seconds and set(own) != set(cells) else []
    )
    return Cost(
        len(cells), total, stored, todo_hours, sum(each.values()) / 3600,
        f"timed by {' and '.join(sources)}",
    )  # fmt: skip


def _seconds_of(cell: Cell, known: Mapping[Cell, float]) -> float | None:
    """Return the time of a run of `cell`: its own, or the mean over other arms, or of a file that names no task."""
    if cell in known:
        return known[cell]
    for near in ({cell[:2]}, {("", cell[1]), ("", "")}):
        times = [value for other, value in known.items() if other[:2] in near]
        if times:
            return sum(times) / len(times)
    return None
