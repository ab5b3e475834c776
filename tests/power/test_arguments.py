"""Every function of the room says which argument is bad, and what it may be."""

from __future__ import annotations

import pytest

from stabilitybench import power
from support.bad_arguments import mistakes

#: A good call of each.
CALLS: dict[str, dict[str, object]] = {
    "brown_forsythe_power": {"sd_ratio": 0.5, "n_arm": 5, "n_baseline": 5, "level": 0.05, "scores": "normal"},
    "fisher_power": {"rate_arm": 0.1, "rate_baseline": 0.4, "n_arm": 8, "n_baseline": 9, "level": 0.05},
    "minimal_detectable_rate": {"n_arm": 5, "n_baseline": 5, "rate_baseline": 0.6, "level": 0.05, "power": 0.8},
    "minimal_detectable_ratio": {"n_arm": 5, "n_baseline": 5, "level": 0.05, "power": 0.8, "scores": "normal"},
    "sd_precision": {"n": 10, "level": 0.9},
    "seeds_for_rates": {"rate_arm": 0.1, "rate_baseline": 0.9},
    "seeds_for_ratio": {"sd_ratio": 0.3},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_argument_is_named(name: str) -> None:
    assert mistakes(getattr(power, name), CALLS[name]) == []
