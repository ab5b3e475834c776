"""What studies can show: the power of tests of spread, level and failures, and the seeds that they need."""

from stabilitybench.power.brown_forsythe import (
    DetectableRatio,
    brown_forsythe_power,
    minimal_detectable_ratio,
    sd_precision,
    seeds_for_ratio,
)
from stabilitybench.power.failures import failure_power, failure_reach
from stabilitybench.power.fisher_test import DetectableRate, fisher_power, minimal_detectable_rate, seeds_for_rates
from stabilitybench.power.questions import Look, Reach, level_power, level_reach, one_look, spread_power, spread_reach
from stabilitybench.power.simulated_studies import Conditions

__all__ = [
    "Conditions",
    "DetectableRate",
    "DetectableRatio",
    "Look",
    "Reach",
    "brown_forsythe_power",
    "failure_power",
    "failure_reach",
    "fisher_power",
    "level_power",
    "level_reach",
    "minimal_detectable_rate",
    "minimal_detectable_ratio",
    "one_look",
    "sd_precision",
    "seeds_for_rates",
    "seeds_for_ratio",
    "spread_power",
    "spread_reach",
]
