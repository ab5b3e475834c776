"""The file of claims: every claim once, with the rule that decides on it, fixed before looking."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from stabilitybench.claims.findings import VerdictName
from stabilitybench.shipped import shipped
from stabilitybench.storage.toml import Name, TomlTable, read_toml, refusal

Tier = Literal["analytic", "numeric", "recorded", "pocket", "real"]
TIERS: tuple[Tier, ...] = ("analytic", "numeric", "recorded", "pocket", "real")

Rule = Literal[
    "closed-form", "moves", "bound", "mean-bound", "contrast", "equivalence", "spread", "failures", "differ",
    "best-of", "comparable", "matters", "few-trials", "early-dropping", "measures",
]  # fmt: skip

#: What a check of each rule must say, beyond tier and verdict.
NEEDS: dict[str, tuple[str, ...]] = {
    "closed-form": ("form",),
    "moves": ("suites", "items", "higher"),
    "bound": ("suites", "items"),
    "mean-bound": ("suites", "items"),
    "contrast": ("arms", "weights", "higher", "interest"),
    "equivalence": ("arms", "margin"),
    "spread": ("arms", "higher", "interest"),
    "failures": ("arms", "higher", "interest"),
    "differ": ("arms", "interest"),
    "best-of": ("arms", "interest"),
    "comparable": ("arms", "margin"),
    "matters": ("arms", "factor", "interest"),
    "few-trials": ("arms", "budgets", "margin", "interest"),
    "early-dropping": ("arms", "started", "dropped", "interest"),
    "measures": ("arms", "interest"),
}
#: Rules whose prediction has a direction, so that swapping the arms must turn support into contradiction.
DIRECTED = ("contrast", "spread", "failures", "few-trials", "moves")


class Check(TomlTable):
    """One way to test a claim: where the evidence is, the rule, its parameters, and the verdict that was recorded.

    label : tells the checks of one claim and tier apart.  table : the kept table; unset, that of the tier.
    tasks : of the table; unset, all that it has.  arms : ``study/arm``, see `stabilitybench.claims.cells`.
    quantity : a column of the table.  higher : the direction claimed for the effect.  interest : the minimal effect of
    interest.  null : what a contrast is tested against.
    """

    tier: Tier
    rule: Rule
    verdict: VerdictName
    label: str = ""
    table: str = ""
    tasks: list[str] = Field(default_factory=list)
    arms: list[str] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)
    quantity: str = "score"
    higher: bool | None = None
    interest: float | None = Field(None, gt=0)
    margin: float | None = Field(None, gt=0)
    null: float = 0.0
    factor: Literal["init", "order"] | None = None
    budgets: list[int] = Field(default_factory=list)
    started: int | None = Field(None, ge=2)
    dropped: int | None = Field(None, ge=1)
    suites: list[str] = Field(default_factory=list)
    items: list[str] = Field(default_factory=list)
    form: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in NEEDS[self.rule]:
            if getattr(self, name) in (None, [], ""):
                raise ValueError(f'rule = "{self.rule}": needs {name}')
        if self.weights and len(self.weights) != len(self.arms):
            raise ValueError(f"weights = {self.weights}: must be one for each of the {len(self.arms)} arms")
        if self.rule in ("spread", "failures", "equivalence", "few-trials") and len(self.arms) != 2:
            raise ValueError(f'rule = "{self.rule}": compares 2 arms, not {len(self.arms)}')
        return self

    @property
    def source(self) -> str:
        """The name of the table that holds the evidence; empty where none is needed."""
        return self.table or {"pocket": "pocket", "numeric": "suites", "real": "real"}.get(self.tier, "")

    @property
    def unit(self) -> str:
        """The unit of an effect in scores, or of another quantity."""
        return "points" if self.quantity == "score" or re.fullmatch(r"validation(_\d+)?", self.quantity) else ""


class Claim(TomlTable):
    """One published claim.

    family : the claims whose p-values are adjusted together, within a tier and table.  paper : key of the papers.
    where : section or table.  statement : the claim in plain words.  prediction : what would be seen if it is true.
    """

    id: Name
    family: Name
    paper: Name
    where: str
    statement: str
    prediction: str
    checks: list[Check] = Field(min_length=1)


class Claims(TomlTable):
    """All claims, and the papers that they come from."""

    papers: dict[str, str]
    claims: list[Claim] = Field(min_length=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen = set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f'two claims have the id "{claim.id}"')
            seen.add(claim.id)
            if claim.paper not in self.papers:
                raise ValueError(f'claim "{claim.id}": paper = "{claim.paper}" is not among the papers')
            names = [(check.tier, check.label) for check in claim.checks]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice:
                raise ValueError(f'claim "{claim.id}": two checks of tier {twice[0]} have the label "{twice[1]}"')
        return self


def check_name(claim: Claim, check: Check) -> str:
    """Return what a check is called: claim, tier and label."""
    return " / ".join(part for part in (claim.id, check.tier, check.label) if part)


def folder() -> Path:
    """Return the folder that holds the claims, the kept tables and their study files."""
    return shipped("paper_checks")


def read_claims(path: str | Path | None = None) -> Claims:
    """Read a file of claims; unset, the one that ships with the package.

    >>> claims = read_claims()
    >>> len(claims.claims) >= 30
    True
    """
    where = folder() / "claims.toml" if path is None else Path(path)
    raw = read_toml(where, (), "a file of claims", "the package ships one as paper_checks/claims.toml")
    try:
        return Claims.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, _model_at).within(where.name) from None


def _model_at(loc: list[Any]) -> type[BaseModel]:
    if "checks" in loc[:-1]:
        return Check
    return Claim if len(loc) > 1 else Claims
