"""From claims and tables to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stabilitybench.claims import closed_forms, designs, numeric, rules
from stabilitybench.claims.declared import Check, Claim, Claims, Tier, check_name, folder
from stabilitybench.claims.evidence import (
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    Cells,
    MissingEvidence,
    Sample,
    cells,
    chosen,
    read_table,
)
from stabilitybench.claims.findings import Finding, Verdict, decide
from stabilitybench.errors import UserError
from stabilitybench.statistics import holm

if TYPE_CHECKING:
    import pandas as pd

#: Tables by name; a name without a table is evidence that nobody has made yet.
Tables = Mapping[str, "pd.DataFrame"]


@dataclass(frozen=True)
class Judged:
    """A check, what it found, and the verdict drawn now; `check.verdict` is the one on record.

    adjusted : p after Holm's adjustment within the claim's family, tier and table.
    """

    claim: Claim
    check: Check
    finding: Finding
    adjusted: float | None
    verdict: Verdict

    @property
    def name(self) -> str:
        """What the check is called: claim, tier and label."""
        return check_name(self.claim, self.check)

    @property
    def as_recorded(self) -> bool:
        """Tell whether the verdict is the one on record."""
        return self.verdict == self.check.verdict


def kept_tables(where: str | Path | None = None) -> dict[str, pd.DataFrame]:
    """Read every kept table of a folder (unset: the shipped one), by its name without ending."""
    place = folder() / "recorded" if where is None else Path(where)
    tables = {}
    for path in sorted(place.glob("*.csv")):
        tables[path.stem] = read_table(str(path), _COLUMNS.get(path.stem, RUN_COLUMNS))
    return tables


def judge(claims: Claims, tables: Tables, tiers: Iterable[Tier] | None = None) -> list[Judged]:
    """Return every check of the tiers (unset: all but real) with its verdict, in the order of the file.

    A check whose table or study does not exist at all is absent, which is a verdict of its own and supports nothing.
    Runs that a study should hold and does not raise MissingEvidence, unless the verdict on record is absent, too.
    """
    wanted = set(tiers) if tiers is not None else {"analytic", "numeric", "recorded", "pocket"}
    found = [
        (claim, check, examine(check, tables)) for claim in claims.claims for check in claim.checks
        if check.tier in wanted
    ]  # fmt: skip
    families: dict[tuple[str, str, str], dict[int, float | None]] = {}
    for i, (claim, check, finding) in enumerate(found):
        families.setdefault((claim.family, check.tier, check.source), {})[i] = finding.p
    adjusted: dict[int, float | None] = {}
    for family in families.values():
        adjusted |= holm(family)
    return [
        Judged(claim, check, finding, adjusted[i], decide(finding, adjusted[i]))
        for i, (claim, check, finding) in enumerate(found)
    ]


def examine(check: Check, tables: Tables) -> Finding:
    """Return what a check finds in the tables."""
    if check.source not in tables:
        return Finding("0", note=f"no table {check.source} yet", decided="absent")
    held = set(tables[check.source].get("study", ()))
    for study in (arm.rpartition("/")[0].partition("@")[0] for arm in check.arms):
        if study not in held:
            return Finding("0", note=f"study {study} has not been run yet", decided="absent")
    try:
        return _RULES[check.rule](check, tables[check.source])
    except MissingEvidence as error:
        if check.verdict == "absent":  # on record as not made yet; whatever else is on record needs its runs
            return Finding("0", note=str(error), decided="absent")
        raise MissingEvidence(f"{check.source}: {error}") from None


def samples(check: Check, table: pd.DataFrame) -> Cells:
    """Return the samples that a check compares."""
    return cells(table, tasks(check, table), check.arms, check.quantity)


def tasks(check: Check, table: pd.DataFrame) -> list[str]:
    """Return the tasks of a check: its own, or all that its first arm's study has."""
    if check.tasks:
        return check.tasks
    study = check.arms[0].rpartition("/")[0].partition("@")[0]
    found = list(dict.fromkeys(table.loc[table["study"] == study, "task"]))
    if not found:
        raise MissingEvidence(f"study {study}: no task of it is in the table")
    return found


def compare(check: Check, found: Cells) -> Finding:
    """Return what a check of arms finds in their samples."""
    return _COMPARISONS[check.rule](check, found)


def _crossed(check: Check, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    rows = chosen(table, tasks(check, table)[0], check.arms[0])
    grid = rows.pivot_table(index="seed_init", columns="seed_order", values=check.quantity)
    if grid.isna().to_numpy().any() or grid.size != len(rows):
        raise MissingEvidence(f"{check.arms[0]}: {len(rows)} runs do not cross every init with every order once")
    return grid.to_numpy(np.float64)


def _early(check: Check, table: pd.DataFrame) -> Finding:
    rows = chosen(table, tasks(check, table)[0], check.arms[0])
    for column in ("validation_2", "validation_5"):
        if column not in rows or rows[column].isna().any():
            raise MissingEvidence(f"{check.arms[0]}: {column} is not known of every run")
    return designs.early_dropping(
        rows["validation_2"].to_numpy(np.float64), rows["validation_5"].to_numpy(np.float64),
        started=int(_number(check.started)), dropped=int(_number(check.dropped)), fraction=0.4,
        interest=_number(check.interest), unit=check.unit,
    )  # fmt: skip


def _measures(check: Check, table: pd.DataFrame) -> Finding:
    groups = {}
    for task in tasks(check, table):
        for arm in check.arms:
            rows = chosen(table, task, arm)
            if "predicted" not in rows or rows["predicted"].isna().any():
                raise MissingEvidence(f"{arm} on {task}: the predictions of its runs are not in the table")
            groups[f"{task} {arm}"] = (unpacked(rows["predicted"]), rows[check.quantity].to_numpy(np.float64))
    return designs.measures_agree(groups, interest=_number(check.interest))


def unpacked(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return predicted classes [runs, examples] from their digits, one text per run.

    >>> unpacked(["010", "011"]).tolist()
    [[0, 1, 0], [0, 1, 1]]
    """
    return np.array([[int(digit) for digit in text] for text in texts], np.int64)


def _one(found: Cells) -> list[Sample]:
    if len(found) != 1:
        raise UserError(f"{len(found)} tasks: this rule takes exactly one")
    return next(iter(found.values()))


def _number(value: float | None) -> float:
    assert value is not None  # the file of claims demands it
    return value


_COMPARISONS: dict[str, Callable[[Check, Cells], Finding]] = {
    "contrast": lambda c, x: rules.contrast(
        x, c.weights, higher=bool(c.higher), null=c.null, interest=_number(c.interest), unit=c.unit
    ),
    "equivalence": lambda c, x: rules.equivalence(x, margin=_number(c.margin), unit=c.unit),
    "spread": lambda c, x: rules.spread(x, higher=bool(c.higher), interest=_number(c.interest)),
    "failures": lambda c, x: rules.failures(x, higher=bool(c.higher), interest=_number(c.interest)),
    "differ": lambda c, x: rules.differ(x, interest=_number(c.interest), unit=c.unit),
    "best-of": lambda c, x: rules.best_of(x, interest=_number(c.interest), unit=c.unit),
    "few-trials": lambda c, x: designs.few_trials(
        *_one(x), budgets=c.budgets, margin=_number(c.margin), interest=_number(c.interest)
    ),
}

#: What the tables hold that are not tables of runs.
_COLUMNS = {
    "closed-forms": closed_forms.FORM_COLUMNS,
    "published": SUMMARY_COLUMNS,
    "suites": numeric.SUITE_COLUMNS,
}

_RULES: dict[str, Callable[[Check, pd.DataFrame], Finding]] = {
    "closed-form": lambda c, t: closed_forms.kept_form(t, c.form),
    "moves": lambda c, t: numeric.moves(t, c.suites[0], c.items[0], rises=bool(c.higher)),
    "bound": lambda c, t: numeric.holds(t, c.suites, c.items),
    "mean-bound": lambda c, t: numeric.exceeds(t, c.suites[0], c.items[0]),
    **{rule: lambda c, t: compare(c, samples(c, t)) for rule in _COMPARISONS},
    "comparable": lambda c, t: designs.comparable(_crossed(c, t), margin=_number(c.margin)),
    "matters": lambda c, t: designs.matters(
        _crossed(c, t), factor=0 if c.factor == "init" else 1, interest=_number(c.interest)
    ),
    "early-dropping": _early,
    "measures": _measures,
}
