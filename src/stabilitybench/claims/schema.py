"""The file of claims: every claim once, with the rule that decides on it, fixed before looking."""

from __future__ import annotations

from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from stabilitybench.claims.rules import RULES
from stabilitybench.claims.rules.base import Check
from stabilitybench.data_files import shipped
from stabilitybench.errors import UserError, suggest
from stabilitybench.storage.toml import Name, TomlTable, read_toml, sentence

if TYPE_CHECKING:
    AnyCheck = Check
else:  # the rule that a check names decides which fields it has
    AnyCheck = Annotated[reduce(or_, RULES.values()), Field(discriminator="rule")]


class Claim(TomlTable):
    """One published claim.

    Attributes
    ----------
    id : str
        Its name.
    family : str
        The claims whose p-values are adjusted together, within a tier and table.
    paper : str
        Key of the papers.
    where : str
        Section or table.
    statement : str
        The claim in plain words.
    prediction : str
        What would be seen if it is true.
    checks : list of Check
        The ways to test it, at least one.
    """

    id: Name
    family: Name
    paper: Name
    where: str
    statement: str
    prediction: str
    checks: list[AnyCheck] = Field(min_length=1)


class Claims(TomlTable):
    """All claims, and the papers that they come from.

    Attributes
    ----------
    papers : dict of str to str
        References by key.
    claims : list of Claim
        At least one, each with an id of its own.
    """

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
    """Return what a check is called: claim, tier and label.

    Parameters
    ----------
    claim : Claim
        The claim that is checked.
    check : Check
        One of its checks; an empty label is left out.
    """
    return " / ".join(part for part in (claim.id, check.tier, check.label) if part)


def folder() -> Path:
    """Return the folder that holds the claims, the kept tables and their study files."""
    return shipped("paper_checks")


def read_claims(path: str | Path | None = None) -> Claims:
    """Read a file of claims.

    Parameters
    ----------
    path : str or Path, optional
        A TOML file; unset, the one that ships with the package.

    Raises
    ------
    UserError
        Where the file cannot be read, or a claim or check in it is refused.

    Examples
    --------
    >>> claims = read_claims()
    >>> len(claims.claims) >= 30
    True
    """
    where = folder() / "claims.toml" if path is None else Path(path)
    raw = read_toml(where, (), "a file of claims", "the package ships one as paper_checks/claims.toml")
    try:
        return Claims.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where.name}: {_said(error.errors()[0])}") from None


def _said(error: ErrorDetails) -> str:
    """Return one sentence for what is wrong with the file."""
    loc, rules = list(error["loc"]), list(RULES)
    place = f"claims[{loc[1]}].checks[{loc[3]}]" if len(loc) > 3 else ""
    if error["type"] == "union_tag_not_found":
        return f"{place}.rule: is missing; must be one of {', '.join(rules)}"
    if error["type"] == "union_tag_invalid":
        named = str(error["ctx"]["tag"])
        return f'{place}.rule = "{named}": must be one of {", ".join(rules)}{suggest(named, rules)}'
    rule = loc.pop(4) if place and len(loc) > 4 else None  # pydantic names the rule between a check and its field
    model = RULES[rule] if isinstance(rule, str) else (Claim if len(loc) > 1 else Claims)
    return sentence({**error, "loc": tuple(loc)}, lambda _: model)
