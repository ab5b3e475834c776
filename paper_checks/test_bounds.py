"""The stability bounds and their factors."""

CLAIMS = (
    "fu-bounds-hold",
    "fu-n",
    "fu-steps",
    "fu-margin",
    "fu-norm",
    "fu-rate",
    "fu-lipschitz",
    "fu-distance",
    "fu-heads",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
