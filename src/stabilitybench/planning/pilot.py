"""What a pilot tells a plan: how long a run takes, how often runs fail, and which shape the scores have."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stabilitybench import argument_checks
from stabilitybench.comparison.score_files import read_scores
from stabilitybench.comparison.score_table import finished
from stabilitybench.equality import EqualByContent
from stabilitybench.errors import Argument, UserError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

Cell = tuple[str, str, str]  # encoder, task and arm, empty where the file does not name them
#: Fewer scores than this are too few to stand for a shape.
ENOUGH_SCORES = 10


@dataclass(frozen=True, eq=False)
class Pilot(EqualByContent):
    """Runs done before.

    Attributes
    ----------
    source : str
        Where they come from, for messages.
    scores : ndarray, shape (n,)
        Scores of the runs that did not fail, pooled: each cell of 3 or more centred on its median, divided by its SD;
        empty where there are none.
    failures : dict of (encoder, task, arm) to (int, int)
        Failed runs and runs of each cell, where the file knows them.
    seconds : dict of (encoder, task, arm) to float
        Mean time of a run of each cell, where the file has it.
    """

    source: str
    scores: npt.NDArray[np.float64]
    failures: dict[Cell, tuple[int, int]] = field(default_factory=dict)
    seconds: dict[Cell, float] = field(default_factory=dict)

    def failure_rate(self, arm: str) -> float | None:
        """Return the share of failed runs of an arm over all tasks.

        Parameters
        ----------
        arm : str
            Name of the arm.

        Returns
        -------
        float or None
            Between 0 and 1; None without runs of which it is known whether they failed.
        """
        counts = [count for cell, count in self.failures.items() if cell[2] == arm]
        total = sum(n for _, n in counts)
        return sum(failed for failed, _ in counts) / total if total else None


def read_pilot(path: Path, *, points: bool = False) -> Pilot:
    """Read the runs that a plan rests on.

    Parameters
    ----------
    path : Path
        A results folder (its scores.csv), or a CSV file with a column ``score``, one row per run. Used where present:
        ``encoder``, ``task``, ``arm``, ``status``, ``failed``, ``no_skill``, ``seconds``.
    points : bool, default False
        Whether the scores of a file made elsewhere are times 100.

    Returns
    -------
    Pilot
        Finished runs only.

    Raises
    ------
    UserError
        For a file that is not such a table.
    """
    try:
        file = read_scores(argument_checks.path("path", path), str(path), points=points)
    except UserError as error:
        raise UserError(Argument("pilot"), " ", *error.args) from None
    return _pilot_of(finished(file.scores), str(file.path), file.knows_failures)


def _pilot_of(runs: pd.DataFrame, source: str, knows_failures: bool) -> Pilot:
    """Return what a table of finished runs tells; `source` names it in messages."""
    pooled, failures, seconds = [], {}, {}
    for (encoder, task, arm), part in runs.groupby(["encoder", "task", "arm"], sort=False):
        cell = (str(encoder), str(task), str(arm))
        kept = part.loc[~part["failed"].astype(bool), "score"].to_numpy(dtype=np.float64)
        if len(kept) >= 3 and np.ptp(kept) > 0:
            pooled.append((kept - np.median(kept)) / np.std(kept, ddof=1))
        if knows_failures:
            failures[cell] = (int(part["failed"].sum()), len(part))
        times = part["seconds"].dropna()
        if (times < 0).any():
            wrong = times[times < 0].iloc[0]
            raise UserError(Argument("pilot"), f" {source}: seconds = {wrong:g}: must be at least 0")
        if len(times):
            seconds[cell] = float(times.mean())
    return Pilot(source, np.concatenate(pooled) if pooled else np.empty(0), failures, seconds)
