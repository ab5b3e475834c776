"""Suites: synthetic datasets with known constants, what is measured on them, and the bounds beside it."""

from stabilitybench.suites.suite import Suite

__all__ = ["Suite"]
