"""What a paper says, computed without any experiment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stabilitybench.claims.closed_forms import closed_form
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.rules.base import Check, Tables


class ClosedForm(Check):
    """A closed form decides.

    Attributes
    ----------
    form
        Its name.
    """

    rule: Literal["closed-form"]
    form: str = Field(min_length=1)

    def examine(self, tables: Tables) -> CheckResult:
        """Return what the form gives; it needs no table."""
        return closed_form(self.form)
