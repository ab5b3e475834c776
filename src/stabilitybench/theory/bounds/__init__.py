"""Bounds on leave-one-out stability: pure functions, numbers in, a `Bound` with its assumptions out.

Published, as recalled:  `published_full_tuning` (P1), `published_head_tuning` (P2), `published_multi_head` (P3).
Full tuning of convex losses:  `full_tuning_one_run`, `recorded_run` and `full_tuning` (A2), `at_convergence` (A1),
`common_minimiser`.
Linear heads:  `max_margin_direction` (B1); `max_margin_refit`, `max_margin_one_fit`, `max_margin` (B2);
`head_tuning_one_run`, `head_tuning` (B3); `initialisation`, `averaged_heads`, `norm_growth` (B4); `data_and_seed`.
"""

from stabilitybench.theory.bounds.full import (
    common_minimiser,
    full_tuning,
    full_tuning_one_run,
    recorded_run,
)
from stabilitybench.theory.bounds.head import head_tuning, head_tuning_one_run
from stabilitybench.theory.bounds.max_margin_bound import (
    max_margin,
    max_margin_direction,
    max_margin_one_fit,
    max_margin_refit,
)
from stabilitybench.theory.bounds.minimiser import at_convergence
from stabilitybench.theory.bounds.published import (
    published_full_tuning,
    published_head_tuning,
    published_multi_head,
)
from stabilitybench.theory.bounds.result import Assumption, Bound, Scope, Weight, violated
from stabilitybench.theory.bounds.seed import averaged_heads, data_and_seed, initialisation, norm_growth

__all__ = [
    "Assumption",
    "Bound",
    "Scope",
    "Weight",
    "at_convergence",
    "averaged_heads",
    "common_minimiser",
    "data_and_seed",
    "full_tuning",
    "full_tuning_one_run",
    "head_tuning",
    "head_tuning_one_run",
    "initialisation",
    "max_margin",
    "max_margin_direction",
    "max_margin_one_fit",
    "max_margin_refit",
    "norm_growth",
    "published_full_tuning",
    "published_head_tuning",
    "published_multi_head",
    "recorded_run",
    "violated",
]
