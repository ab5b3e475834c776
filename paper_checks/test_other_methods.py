"""Other methods beside a debiased optimizer, and mixed precision."""

CLAIMS = (
    "zhang-gains-shrink",
    "zhang-debiased-is-enough",
    "zhang-mixed-precision",
    "mixout-mean",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
