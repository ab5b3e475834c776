"""Freezing layers."""

CLAIMS = (
    "elsa-quarter-share",
    "elsa-quarter-gap",
    "elsa-half",
    "elsa-diminishing",
    "elsa-not-everything",
    "elsa-frozen",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
