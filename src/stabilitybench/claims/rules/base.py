"""What every check has, and what checks of arms, of suites and of crossed seeds share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from stabilitybench.claims.evidence import Cells, MissingEvidence, cells, chosen
from stabilitybench.claims.findings import CheckResult, VerdictName
from stabilitybench.storage.toml import TomlTable

if TYPE_CHECKING:
    import pandas as pd

#: Tables by name; a name without a table is evidence that nobody has made yet.
Tables = Mapping[str, "pd.DataFrame"]

Tier = Literal["analytic", "numeric", "recorded", "pocket", "real"]
TIERS: tuple[Tier, ...] = ("analytic", "numeric", "recorded", "pocket", "real")


class Check(TomlTable):
    """One way to test a claim: where the evidence is, the rule with its parameters, and the verdict that was recorded.

    Attributes
    ----------
    tier : str
        Where the evidence comes from.
    rule : str
        The name of the rule; each subclass has its own.
    verdict : str
        The one on record.
    label : str, default ""
        Tells the checks of one claim and tier apart.
    table : str, default ""
        The kept table; unset, that of the tier.
    directed : bool
        Whether the rule's prediction has a direction, so that swapping the arms must turn support into contradiction.
    """

    tier: Tier
    rule: str
    verdict: VerdictName
    label: str = ""
    table: str = ""

    directed: ClassVar[bool] = False

    @property
    def source(self) -> str:
        """The name of the table that holds the evidence; empty where none is named."""
        tables = {"analytic": "closed-forms", "numeric": "suites", "pocket": "pocket", "real": "real"}
        return self.table or tables.get(self.tier, "")

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies whose runs the check compares."""
        return ()

    def examine(self, tables: Tables) -> CheckResult:
        """Return what the check finds in the tables; what nobody has made yet is absent.

        Parameters
        ----------
        tables : mapping of str to DataFrame
            The evidence, by the names of the tables.

        Raises
        ------
        MissingEvidence
            Where runs are missing that the table should hold, unless the verdict on record is absent, too.
        """
        if self.source not in tables:
            return CheckResult("0", note=f"no table {self.source} yet", decided="absent")
        table = tables[self.source]
        held = set(table.get("study", ()))
        for study in self.studies:
            if study not in held:
                return CheckResult("0", note=f"study {study} has not been run yet", decided="absent")
        try:
            return self.find(table)
        except MissingEvidence as error:
            if self.verdict == "absent":  # on record as not made yet; whatever else is on record needs its runs
                return CheckResult("0", note=str(error), decided="absent")
            raise MissingEvidence(f"{self.source}: {error}") from None

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return what the rule finds in the table of evidence.

        Parameters
        ----------
        table : DataFrame
            The table `source`.

        Raises
        ------
        MissingEvidence
            Where it lacks what the rule needs.
        """
        raise NotImplementedError


class ArmCheck(Check):
    """A check on runs of a study.

    Attributes
    ----------
    arms : list of str
        Each ``study/arm``, see `stabilitybench.claims.evidence.cells`.
    tasks : list of str
        Of the table; unset, all that the first arm's study has.
    quantity : str, default "score"
        A column of the table.
    """

    arms: list[str] = Field(min_length=1)
    tasks: list[str] = Field(default_factory=list)
    quantity: str = "score"

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies whose runs the check compares."""
        return tuple(study_of(arm) for arm in self.arms)

    @property
    def unit(self) -> str:
        """The unit of an effect in scores, or of another quantity."""
        return "points" if self.quantity == "score" or re.fullmatch(r"validation(_\d+)?", self.quantity) else ""

    def tasks_of(self, table: pd.DataFrame) -> list[str]:
        """Return the check's own tasks, or all that its first arm's study has.

        Parameters
        ----------
        table : DataFrame
            The table of evidence.

        Raises
        ------
        MissingEvidence
            Where the table has no task of that study.
        """
        if self.tasks:
            return self.tasks
        study = study_of(self.arms[0])
        found = list(dict.fromkeys(table.loc[table["study"] == study, "task"]))
        if not found:
            raise MissingEvidence(f"study {study}: no task of it is in the table")
        return found


class Comparison(ArmCheck):
    """A check that compares samples of runs: one for each arm on each task."""

    def samples(self, table: pd.DataFrame) -> Cells:
        """Return the samples that the check compares.

        Parameters
        ----------
        table : DataFrame
            The table of evidence.

        Returns
        -------
        dict of str to list of Sample
            By task, one sample per arm in the order of `arms`.

        Raises
        ------
        MissingEvidence
            Where a sample has fewer than two runs.
        """
        return cells(table, self.tasks_of(table), self.arms, self.quantity)

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return what the rule finds in the samples of the table."""
        return self.compare(self.samples(table))

    def compare(self, found: Cells) -> CheckResult:
        """Return what the rule finds in samples.

        Parameters
        ----------
        found : dict of str to list of Sample
            By task, one sample per arm in the order of `arms`.
        """
        raise NotImplementedError


class PairComparison(Comparison):
    """A comparison of exactly two arms."""

    @model_validator(mode="after")
    def _two(self) -> Self:
        if len(self.arms) != 2:
            raise ValueError(f"arms: the rule {self.rule} compares 2 arms, not {len(self.arms)}")
        return self


class CrossedCheck(ArmCheck):
    """A check on one arm whose runs cross every initialisation with every order."""

    def grid(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the quantity of every run of the arm, on the first task.

        Parameters
        ----------
        table : DataFrame
            The table of evidence, with the columns seed_init and seed_order.

        Returns
        -------
        ndarray, shape (seeds of init, seeds of order)
            One run in each cell.

        Raises
        ------
        MissingEvidence
            Where the runs do not cover every init with every order once.
        """
        rows = chosen(table, self.tasks_of(table)[0], self.arms[0])
        grid = rows.pivot_table(index="seed_init", columns="seed_order", values=self.quantity)
        if grid.isna().to_numpy().any() or grid.size != len(rows):
            raise MissingEvidence(f"{self.arms[0]}: {len(rows)} runs do not cross every init with every order once")
        return grid.to_numpy(np.float64)


class SuiteCheck(Check):
    """A check on synthetic suites.

    Attributes
    ----------
    suites : list of str
        Their names.
    items : list of str
        Measured quantities or bounds of theirs.
    """

    suites: list[str] = Field(min_length=1)
    items: list[str] = Field(min_length=1)


def study_of(arm: str) -> str:
    """Return the study of an arm.

    Parameters
    ----------
    arm : str
        As a check names it, see `stabilitybench.claims.evidence.cells`.

    Examples
    --------
    >>> study_of("size/large"), study_of("size@CoLA/large[ok]")
    ('size', 'size')
    """
    return arm.rpartition("/")[0].partition("@")[0]


def runs_of(found: Cells) -> str:
    """Say how many runs samples hold, such as ``20 + 20`` or ``3 x (20 + 20)``.

    Parameters
    ----------
    found : dict of str to list of Sample
        By task, one sample per arm.
    """
    rows = [" + ".join(str(s.n) for s in row) for row in found.values()]
    same = rows[0] if len(set(rows)) == 1 else "; ".join(rows)
    return same if len(rows) == 1 or len(set(rows)) > 1 else f"{len(rows)} x ({same})"
