"""For authors of stabilizers: a battery that tells whether a method keeps the contract."""

from stabilitybench.testing.conformance import Conformance, ConformanceFinding, check_stabilizer
from stabilitybench.testing.small import FAMILIES, small_encoder, small_task

__all__ = ["FAMILIES", "Conformance", "ConformanceFinding", "check_stabilizer", "small_encoder", "small_task"]
