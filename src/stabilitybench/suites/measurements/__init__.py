"""What is measured on one synthetic dataset: leave-one-out and seed stability, and every bound beside them.

One file for each kind of measurement, with the quantities it measures and the bounds it holds them against.
"""

from __future__ import annotations

from stabilitybench.suites.measurements.base import QUANTITIES
from stabilitybench.suites.measurements.one_dataset import check, measure
from stabilitybench.suites.measurements.registry import KINDS, bound_names
from stabilitybench.suites.measurements.settings import VARIED, Settings

__all__ = ["KINDS", "QUANTITIES", "VARIED", "Settings", "bound_names", "check", "measure"]
