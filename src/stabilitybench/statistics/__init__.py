"""Inference on spread and on failure across seeds: pure functions, arrays in, frozen results out."""

from stabilitybench.statistics.failure import Rate, fisher, wilson
from stabilitybench.statistics.multiplicity import holm
from stabilitybench.statistics.samples import Test
from stabilitybench.statistics.spread import (
    SdRatio,
    brown_forsythe,
    median_centred_permutation,
    sd,
    sd_ratio,
)

__all__ = [
    "Rate",
    "SdRatio",
    "Test",
    "brown_forsythe",
    "fisher",
    "holm",
    "median_centred_permutation",
    "sd",
    "sd_ratio",
    "wilson",
]
