"""Theory of fine-tuning stability: bounds, the constants in them, and exact leave-one-out stability.

>>> from stabilitybench.theory import bounds, constants
>>> x, y = [[2.0, 0.0], [0.0, 2.0], [-3.0, -3.0]], [1, 1, 0]
>>> gamma = constants.margin(x, y)
>>> round(bounds.head_tuning(n=len(x), radius=constants.radius(x), margin=gamma, rate=0.4).value, 4)
2.0
"""

from __future__ import annotations

from stabilitybench.theory import bounds, constants
from stabilitybench.theory.batched import leave_one_out_many
from stabilitybench.theory.full_hessians import leave_one_out_quadratics
from stabilitybench.theory.leave_one_out_runs import LeaveOneOut, leave_one_out
from stabilitybench.theory.margin import MaxMargin, NotSeparable, leave_one_out_max_margin, max_margin
from stabilitybench.theory.minimiser import LeaveOneOutMinimisers, leave_one_out_minimisers
from stabilitybench.theory.problem import log_spaced_steps

__all__ = [
    "LeaveOneOut",
    "LeaveOneOutMinimisers",
    "MaxMargin",
    "NotSeparable",
    "bounds",
    "constants",
    "leave_one_out",
    "leave_one_out_many",
    "leave_one_out_max_margin",
    "leave_one_out_minimisers",
    "leave_one_out_quadratics",
    "log_spaced_steps",
    "max_margin",
]
