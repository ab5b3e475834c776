"""Seeds, early dropping and measures of instability."""

CLAIMS = (
    "dodge-init",
    "dodge-order",
    "dodge-comparable",
    "dodge-early-dropping",
    "du-nguyen-agreement",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
