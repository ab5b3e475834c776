"""The file of claims, and the page of verdicts."""

from pathlib import Path

from stabilitybench.claims import TIERS, judge, kept_tables, read_claims
from stabilitybench.claims.page import verdicts_markdown

HERE = Path(__file__).resolve().parent


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
