"""What a paper says, computed without any experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from stabilitybench.claims.closed_forms import kept_form
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import Check

if TYPE_CHECKING:
    import pandas as pd


class ClosedForm(Check):
    """A closed form decides.

    Attributes
    ----------
    form : str
        Its name.
    """

    rule: Literal["closed-form"]
    form: str = Field(min_length=1)

    def find(self, table: pd.DataFrame) -> CheckResult:
        """Return what the form gave when it was last computed."""
        return kept_form(table, self.form)
