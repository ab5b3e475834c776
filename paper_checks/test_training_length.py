"""Longer training."""

CLAIMS = (
    "zhang-longer-mean",
    "zhang-longer-spread",
    "zhang-longer-few-samples",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
