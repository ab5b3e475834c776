"""What a pilot tells a plan: how long a run takes, how often runs fail, and which shape the scores have."""

from __future__ import annotations

import math
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
class CellRuns(EqualByContent):
    """The finished runs of an arm on a task.

    Attributes
    ----------
    seeds, scores, failed : ndarray, shape (n,)
        Of each run.
    known : bool
        Whether the file says which runs failed.
    """

    seeds: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    failed: npt.NDArray[np.bool_]
    known: bool

    @property
    def kept(self) -> npt.NDArray[np.float64]:
        """Scores of the runs that did not fail."""
        return self.scores[~self.failed]


@dataclass(frozen=True)
class BaselineRuns:
    """What a pilot tells of a baseline.

    Attributes
    ----------
    sd : float or None
        Pooled SD of its runs that did not fail, in points; None without two of a cell that differ.
    failure_rate : float or None
        Share of failed runs; None where it is not known.
    drop : float or None
        How far failed runs score below the mean of the others, in points; None without failed runs.
    correlation : float or None
        Of its runs with those of equal seeds in other arms, neither failed: mean over arms on Fisher's scale; None
        without four such pairs.
    """

    sd: float | None
    failure_rate: float | None
    drop: float | None
    correlation: float | None


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
    runs : dict of (encoder, task, arm) to CellRuns
        The runs of each cell.
    seconds : dict of (encoder, task, arm) to float
        Mean time of a run of each cell, where the file has it.
    """

    source: str
    scores: npt.NDArray[np.float64]
    runs: dict[Cell, CellRuns] = field(default_factory=dict)
    seconds: dict[Cell, float] = field(default_factory=dict)

    def of_baseline(self, arm: str | None) -> BaselineRuns | None:
        """Return what the runs of a baseline tell over all tasks.

        Parameters
        ----------
        arm : str or None
            Name of the baseline; None takes the first arm.

        Returns
        -------
        BaselineRuns or None
            None without runs of that arm.
        """
        name = next(iter(self.runs))[2] if arm is None else arm
        own = {cell[:2]: runs for cell, runs in self.runs.items() if cell[2] == name}
        if not own:
            return None
        kept = [scores for runs in own.values() if len(scores := runs.kept) > 1]
        spread = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in kept)
        df = sum(len(scores) - 1 for scores in kept)
        known = [runs for runs in own.values() if runs.known]
        total, failed = sum(len(runs.scores) for runs in known), sum(int(runs.failed.sum()) for runs in known)
        drops = [runs.kept.mean() - runs.scores[runs.failed] for runs in known if runs.failed.any() and len(runs.kept)]
        drop = float(np.concatenate(drops).mean()) if drops else 0.0
        others = [(own[cell[:2]], runs) for cell, runs in self.runs.items() if cell[2] != name and cell[:2] in own]
        return BaselineRuns(
            sd=100 * math.sqrt(spread / df) if spread > 0 else None,
            failure_rate=failed / total if total else None,
            drop=100 * drop if drop > 0 else None,
            correlation=_correlation(others),
        )


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
    pooled, cells, seconds = [], {}, {}
    for (encoder, task, arm), part in runs.groupby(["encoder", "task", "arm"], sort=False):
        cell = (str(encoder), str(task), str(arm))
        cells[cell] = CellRuns(
            part["seed"].to_numpy(dtype=np.int64), part["score"].to_numpy(dtype=np.float64),
            part["failed"].to_numpy(dtype=np.bool_), knows_failures,
        )  # fmt: skip
        kept = cells[cell].kept
        if len(kept) >= 3 and np.ptp(kept) > 0:
            pooled.append((kept - np.median(kept)) / np.std(kept, ddof=1))
        times = part["seconds"].dropna()
        if (times < 0).any():
            wrong = times[times < 0].iloc[0]
            raise UserError(Argument("pilot"), f" {source}: seconds = {wrong:g}: must be at least 0")
        if len(times):
            seconds[cell] = float(times.mean())
    return Pilot(source, np.concatenate(pooled) if pooled else np.empty(0), cells, seconds)


def _correlation(pairs: list[tuple[CellRuns, CellRuns]]) -> float | None:
    """Return the mean correlation, on Fisher's scale, each weighted by its pairs less three."""
    total = weight = 0.0
    for first, second in pairs:
        scores = [dict(zip(runs.seeds[~runs.failed], runs.kept, strict=True)) for runs in (first, second)]
        shared = [seed for seed in scores[0] if seed in scores[1]]
        a, b = (np.array([of[seed] for seed in shared]) for of in scores)
        if len(shared) > 3 and np.ptp(a) > 0 and np.ptp(b) > 0:
            r = min(max(float(np.corrcoef(a, b)[0, 1]), -0.99), 0.99)
            total, weight = total + (len(shared) - 3) * math.atanh(r), weight + len(shared) - 3
    return math.tanh(total / weight) if weight else None
