"""Evidence: the kept tables, and what a rule takes out of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stabilitybench.equality import EqualByContent
from stabilitybench.errors import UserError
from stabilitybench.statistics.contrasts import Contrast, welch_contrast
from stabilitybench.statistics.decisions import ALPHA
from stabilitybench.statistics.one_sample import mean_excess

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

#: What every table of runs holds; further columns are quantities that a check may name.
RUN_COLUMNS = ("study", "task", "arm", "score", "failed")
#: What a table of published results holds, scores in fractions.
SUMMARY_COLUMNS = ("study", "task", "arm", "n", "mean", "sd")
#: What a table of measured suites holds.
SUITE_COLUMNS = ("suite", "value", "seed", "kind", "item", "amount", "checks", "violations", "published")


class MissingEvidence(UserError):
    """A check asks for runs that its table does not hold; that is an error, never a pass."""


@dataclass(frozen=True, eq=False)
class Sample(EqualByContent):
    """The runs of one arm on one task, or what a paper reports of them.

    Attributes
    ----------
    n : int
        Number of runs, at least 2.
    mean, sd : float
        Mean and sample SD (ddof = 1) of the quantity.
    values : ndarray, shape (n,) or (0,)
        The quantity of each run; empty where only a summary was published.
    failed : ndarray of bool, shape (n,) or (0,)
        Which of them failed; empty where that was not published.
    learned : bool, default True
        Whether the arm scores above a constant guess; taken for granted where that is not known.
    """

    n: int
    mean: float
    sd: float
    values: Floats
    failed: npt.NDArray[np.bool_]
    learned: bool = True

    @classmethod
    def of(
        cls, values: npt.ArrayLike, failed: npt.ArrayLike | None = None, no_skill: npt.ArrayLike = -np.inf
    ) -> Sample:
        """Return the sample of single runs.

        Parameters
        ----------
        values : array_like, shape (n,)
            The quantity of each run: at least two, all finite.
        failed : array_like of bool, shape (n,), optional
            Which runs failed; unset, none.
        no_skill : array_like, shape () or (n,), default -inf
            What a constant guess scores, for all runs or each; an arm has learned something where its mean lies above,
            by a one-sided t test at 5 %.

        Raises
        ------
        UserError
            For fewer than two runs, numbers that are not finite, or marks of failure for other runs.

        Examples
        --------
        >>> Sample.of([1.0, 2.0, 3.0]).sd
        1.0
        """
        x = np.asarray(values, np.float64)
        marks = np.zeros(len(x), bool) if failed is None else np.asarray(failed, bool)
        if len(x) < 2 or not np.isfinite(x).all() or len(marks) != len(x):
            raise UserError(f"a sample of {len(x)} runs: must hold at least 2, all with finite numbers")
        return cls(len(x), float(x.mean()), float(x.std(ddof=1)), x, marks, _above(x, np.asarray(no_skill, np.float64)))

    @classmethod
    def summary(cls, n: int, mean: float, sd: float) -> Sample:
        """Return what a paper reports of n runs.

        Parameters
        ----------
        n : int
            Number of runs, at least 2.
        mean : float
            Their mean score, as a fraction.
        sd : float
            Their sample SD, as a fraction, at least 0.

        Raises
        ------
        UserError
            For values out of their range.
        """
        if n < 2 or not math.isfinite(mean) or not (math.isfinite(sd) and sd >= 0):
            raise UserError(f"a summary of n = {n}, mean = {mean}, SD = {sd}: n must be at least 2, the others finite")
        return cls(n, mean, sd, np.empty(0), np.empty(0, bool))

    @property
    def failures(self) -> int:
        """The number of failed runs."""
        return int(self.failed.sum())

    @property
    def known(self) -> bool:
        """Tell whether single runs are known."""
        return len(self.values) > 0


#: Columns that must be numbers, and those that tell one run, or one measured quantity, from another.
NUMBERS = ("score", "no_skill", "n", "mean", "sd", "amount", "measured", "checks", "violations")
RUN = ("study", "task", "arm", "suite", "value", "kind", "item", "seed", "seed_init", "seed_order", "seed_subset")

#: The samples of a check: one entry per task, in each one sample per arm, in the order of the check.
Cells = dict[str, list[Sample]]


def read_table(path: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read a kept table.

    Parameters
    ----------
    path : str
        A CSV file.
    columns : sequence of str
        What must be among its columns, such as `RUN_COLUMNS`.

    Returns
    -------
    DataFrame
        Run ids and predicted classes as texts, failed as truth values.

    Raises
    ------
    MissingEvidence
        Where there is no such file.
    UserError
        Where it cannot be read, lacks a column, holds a text where a number must be, or one run twice.

    Examples
    --------
    >>> from stabilitybench.claims.schema import folder
    >>> table = read_table(str(folder() / "recorded" / "closed-forms.csv"), ["form", "verdict"])
    >>> table["form"].tolist()[:2]
    ['update-ratio', 'biased-is-larger-rate']
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"run_id": str, "predicted": str, "subset": str})
    except FileNotFoundError:
        raise MissingEvidence(f"{path}: there is no such table") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: cannot be read as a table ({error})") from None
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise UserError(f"{path}: has no column {', '.join(lacking)}; needs {', '.join(columns)}")
    for name in NUMBERS:
        if name in table and not pd.api.types.is_numeric_dtype(table[name]):
            raise UserError(f"{path}: {name} holds something that is no number")
    if "failed" in table and table["failed"].dtype != bool:
        raise UserError(f"{path}: failed must be True or False in every row")
    if "run_id" in table or "seed" in table:
        run = [name for name in RUN if name in table]
        twice = table[table.duplicated(run)]
        if len(twice):
            row = ", ".join(f"{name} {twice.iloc[0][name]}" for name in run)
            raise UserError(f"{path}: a run stands twice in it ({row})")
    return table


def cells(table: pd.DataFrame, tasks: Sequence[str], arms: Sequence[str], quantity: str = "score") -> Cells:
    """Return the samples of `arms` on each of `tasks`.

    Parameters
    ----------
    table : DataFrame
        Runs, or summaries of them, with the columns `RUN_COLUMNS` or `SUMMARY_COLUMNS`.
    tasks : sequence of str
        Labels of tasks.
    arms : sequence of str
        Each ``study/arm``, or ``study@TASK/arm`` for a task other than the one in turn; ``[failed]`` or ``[ok]`` at its
        end takes only the runs that failed or did not.
    quantity : str, default "score"
        The column that is sampled.

    Returns
    -------
    dict of str to list of Sample
        By task, one sample per arm in the order of `arms`.

    Raises
    ------
    MissingEvidence
        Where a cell has fewer than two runs, or one without the quantity.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"study": "s", "task": "t", "arm": ["a", "a", "b", "b"], "score": [1.0, 3.0, 5.0, 7.0],
    ...                       "failed": False})
    >>> [sample.mean for sample in cells(table, ["t"], ["s/a", "s/b"])["t"]]
    [2.0, 6.0]
    """
    return {task: [_sample(chosen(table, task, arm), task, arm, quantity) for arm in arms] for task in tasks}


def chosen(table: pd.DataFrame, task: str, arm: str) -> pd.DataFrame:
    """Return the rows of one arm on one task, in the order of their seeds.

    Parameters
    ----------
    table : DataFrame
        Runs, or summaries of them.
    task : str
        Label of the task, unless the arm names another.
    arm : str
        As in `cells`.

    Raises
    ------
    MissingEvidence
        Where there is no such row.
    """
    name, _, only = arm.removesuffix("]").partition("[")
    study, _, label = name.rpartition("/")
    study, _, elsewhere = study.partition("@")
    rows = table[(table["study"] == study) & (table["task"] == (elsewhere or task)) & (table["arm"] == label)]
    if only:
        rows = rows[rows["failed"].astype(bool) == (only == "failed")]
    if rows.empty:
        raise MissingEvidence(f'no run of "{arm}" on {elsewhere or task} is in the table; a check without runs is none')
    return rows.sort_values("seed", kind="stable") if "seed" in rows else rows


def only_task(cells: Cells) -> list[Sample]:
    """Return the samples of the one task that a rule takes.

    Parameters
    ----------
    cells : dict of str to list of Sample
        The samples by task.

    Raises
    ------
    UserError
        Where they are of several tasks, or of none.
    """
    if len(cells) != 1:
        raise UserError(f"{len(cells)} tasks: this rule takes exactly one")
    return next(iter(cells.values()))


def combined(cells: Cells, weights: Sequence[float]) -> Contrast:
    """Return a weighted sum of the arms' means, averaged over the tasks: a statement about these tasks.

    Parameters
    ----------
    cells : dict of str to list of Sample
        The samples by task, one per arm.
    weights : sequence of float
        One per arm: (1, -1) is the difference of two.

    Raises
    ------
    UserError
        Where the weights are not one per arm.
    """
    if not cells or any(len(row) != len(weights) for row in cells.values()):
        raise UserError(f"weights = {list(weights)}: must be one per arm")
    rows = list(cells.values())
    n, mean, sd = ([[getattr(s, name) for s in row] for row in rows] for name in ("n", "mean", "sd"))
    return welch_contrast(n, mean, sd, weights)


def _sample(rows: pd.DataFrame, task: str, arm: str, quantity: str) -> Sample:
    if "n" in rows and "mean" in rows:
        if len(rows) != 1:
            raise UserError(f'"{arm}" on {task}: is reported {len(rows)} times; must be once')
        row = rows.iloc[0]
        return Sample.summary(int(row["n"]), float(row["mean"]), float(row["sd"]))
    if quantity not in rows:
        raise MissingEvidence(f'"{arm}" on {task}: the table has no {quantity}')
    values = rows[quantity].to_numpy(np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise MissingEvidence(f'"{arm}" on {task}: {quantity} of {len(values)} runs; needs at least 2, none missing')
    known = quantity == "score" and "no_skill" in rows
    return Sample.of(values, rows["failed"].to_numpy(bool), rows["no_skill"].to_numpy() if known else -np.inf)


def _above(values: Floats, no_skill: Floats) -> bool:
    gain = values - no_skill
    if not np.isfinite(gain).all():
        return True  # nothing is known of constant guesses
    return mean_excess(gain).above <= ALPHA
