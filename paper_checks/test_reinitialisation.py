"""Re-initialising the pooler and the top layers."""

CLAIMS = (
    "zhang-reinit-mean",
    "zhang-reinit-spread",
    "zhang-reinit-convergence",
    "zhang-reinit-distance",
    "zhang-reinit-depth",
    "zhang-reinit-pooler",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
