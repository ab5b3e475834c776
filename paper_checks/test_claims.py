"""Every check of every claim, against the verdict on record; `-k` with the name of a claim chooses."""


def test_verdict_is_the_one_on_record(hold, check):
    hold(check)
