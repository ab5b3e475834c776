"""Bias correction in Adam."""

CLAIMS = (
    "zhang-update-ratio",
    "biased-adam-is-a-larger-rate",
    "zhang-debiasing-failures",
    "zhang-debiasing-mean",
    "zhang-debiasing-spread",
    "zhang-few-trials",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
