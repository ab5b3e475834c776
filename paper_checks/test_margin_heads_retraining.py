"""MMR, MHLoss and SURT."""

CLAIMS = (
    "fu-mmr-spread",
    "fu-mmr-head",
    "fu-mhloss-spread",
    "fu-mhloss-head",
    "fu-surt-spread",
    "fu-surt-distance",
    "fu-perturbation",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
