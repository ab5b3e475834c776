"""Failed runs: what they look like, and what removes them."""

CLAIMS = (
    "mosbach-vanishing-gradients",
    "mosbach-recipe-failures",
    "mosbach-recipe-spread",
    "mosbach-smaller-rate",
    "mosbach-longer",
)


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
