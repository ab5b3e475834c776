"""From claims and tables to verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stabilitybench.claims.closed_forms import FORM_COLUMNS
from stabilitybench.claims.evidence import RUN_COLUMNS, SUITE_COLUMNS, SUMMARY_COLUMNS, read_table
from stabilitybench.claims.findings import CheckResult, VerdictName, decide
from stabilitybench.claims.rules.base import Check, Tables, Tier
from stabilitybench.claims.schema import Claim, Claims, check_name, folder
from stabilitybench.statistics import holm

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ClaimVerdict:
    """A check, what it found, and the verdict drawn now; `check.verdict` is the one on record.

    Attributes
    ----------
    claim : Claim
        The claim that is checked.
    check : Check
        One of its checks.
    finding : CheckResult
        What the check found.
    adjusted : float or None
        p after Holm's adjustment within the claim's family, tier and table.
    verdict : str
        What the rule draws from the finding and the adjusted p.
    """

    claim: Claim
    check: Check
    finding: CheckResult
    adjusted: float | None
    verdict: VerdictName

    @property
    def name(self) -> str:
        """What the check is called: claim, tier and label."""
        return check_name(self.claim, self.check)

    @property
    def as_recorded(self) -> bool:
        """Tell whether the verdict is the one on record."""
        return self.verdict == self.check.verdict


#: What the tables hold that are not tables of runs.
_COLUMNS = {"closed-forms": FORM_COLUMNS, "published": SUMMARY_COLUMNS, "suites": SUITE_COLUMNS}


def kept_tables(where: str | Path | None = None) -> dict[str, pd.DataFrame]:
    """Read every kept table of a folder.

    Parameters
    ----------
    where : str or Path, optional
        A folder of CSV files; unset, the one that ships with the package.

    Returns
    -------
    dict of str to DataFrame
        By the file's name without ending.

    Raises
    ------
    UserError
        Where a table lacks a column or holds what it must not.

    Examples
    --------
    >>> len(kept_tables()["closed-forms"])
    6
    """
    place = folder() / "recorded" if where is None else Path(where)
    tables = {}
    for path in sorted(place.glob("*.csv")):
        tables[path.stem] = read_table(str(path), _COLUMNS.get(path.stem, RUN_COLUMNS))
    return tables


def judge(claims: Claims, tables: Tables, tiers: Iterable[Tier] | None = None) -> list[ClaimVerdict]:
    """Return every check of the tiers with its verdict, in the order of the file.

    A check whose table or study does not exist at all is absent, which is a verdict of its own and supports nothing.

    Parameters
    ----------
    claims : Claims
        The claims with their checks.
    tables : mapping of str to DataFrame
        The evidence, as `kept_tables` reads it.
    tiers : iterable of str, optional
        Those of `TIERS` that are wanted; unset, all but real.

    Returns
    -------
    list of ClaimVerdict
        One for each check, p adjusted within the claim's family, tier and table.

    Raises
    ------
    MissingEvidence
        Where runs are missing that a study should hold, unless the verdict on record is absent, too.

    Examples
    --------
    >>> from stabilitybench.claims import read_claims
    >>> found = judge(read_claims(), kept_tables(), ["analytic"])
    >>> found[0].name, found[0].verdict
    ('zhang-update-ratio / analytic', 'supported')
    """
    wanted = set(tiers) if tiers is not None else {"analytic", "numeric", "recorded", "pocket"}
    found = [
        (claim, check, check.examine(tables)) for claim in claims.claims for check in claim.checks
        if check.tier in wanted
    ]  # fmt: skip
    families: dict[tuple[str, str, str], dict[int, float | None]] = {}
    for i, (claim, check, finding) in enumerate(found):
        families.setdefault((claim.family, check.tier, check.source), {})[i] = finding.p
    adjusted: dict[int, float | None] = {}
    for family in families.values():
        adjusted |= holm(family)
    return [
        ClaimVerdict(claim, check, finding, adjusted[i], decide(finding, adjusted[i]))
        for i, (claim, check, finding) in enumerate(found)
    ]
