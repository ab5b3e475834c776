"""The file of claims, the page of verdicts, and that no claim goes unchecked."""

import importlib.util
from pathlib import Path

from stabilitybench.claims import TIERS, judge, kept_tables, read_claims
from stabilitybench.claims.page import verdicts_markdown

HERE = Path(__file__).resolve().parent


def claimed(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "CLAIMS", ())


def test_every_claim_is_checked_in_exactly_one_file():
    found = [c for path in sorted(HERE.glob("test_*.py")) if path.stem not in ("test_page",) for c in claimed(path)]
    assert sorted(found) == sorted(claim.id for claim in read_claims(HERE / "claims.toml").claims)


def test_there_are_enough_claims_with_a_verdict():
    claims = read_claims(HERE / "claims.toml").claims
    decided = [c for claim in claims for c in claim.checks if c.tier != "real" and c.verdict != "absent"]
    assert len(claims) >= 30
    assert len(decided) >= 30
    assert {c.tier for c in decided} == set(TIERS) - {"real"}


def test_the_kept_page_is_current():
    claims = read_claims(HERE / "claims.toml")
    page = verdicts_markdown(claims, judge(claims, kept_tables(HERE / "recorded")))
    assert (HERE / "VERDICTS.md").read_text("utf-8") == page, "run `python paper_checks/update.py`"
