"""Published claims, held against evidence: a verdict for each, with effect, interval, p and power."""

from stabilitybench.claims.evidence import MissingEvidence, Sample, cells, read_table
from stabilitybench.claims.findings import CheckResult, VerdictName, decide
from stabilitybench.claims.judging import ClaimVerdict, judge, kept_tables
from stabilitybench.claims.rules.base import TIERS, Check
from stabilitybench.claims.schema import Claim, Claims, read_claims

__all__ = [
    "TIERS",
    "Check",
    "CheckResult",
    "Claim",
    "ClaimVerdict",
    "Claims",
    "MissingEvidence",
    "Sample",
    "VerdictName",
    "cells",
    "decide",
    "judge",
    "kept_tables",
    "read_claims",
    "read_table",
]
