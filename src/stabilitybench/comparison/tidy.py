"""A comparison as a table of plain numbers, for further work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from stabilitybench.comparison.conclusions import conclusion
from stabilitybench.comparison.verdicts import verdict

if TYPE_CHECKING:
    from stabilitybench.comparison.analysis import Comparison


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the comparison as one tidy row per (encoder, task, arm), in fractions."""
    rows = []
    for c in comparison.cells:
        a = c.against
        ratio, rate, two = (a.detectable_ratio, a.detectable_rate, a.two_part) if a else (None, None, None)
        rows.append(
            {
                "encoder": c.encoder,
                "task": c.task,
                "arm": c.arm,
                "baseline": c.is_baseline,
                "metric": c.metric,
                "planned": c.planned,
                "n": c.n,
                "failed": c.failure.failed if c.failures_known else None,
                "failure_rate": c.failure.rate,
                "failure_low": c.failure.low,
                "failure_high": c.failure.high,
                "near_no_skill": c.near_no_skill,
                "constant": c.constant,
                "diverged": c.diverged,
                "no_skill": c.no_skill,
                "mean": c.mean,
                "sd": c.sd,
                "median": c.median,
                "min": c.minimum,
                "max": c.maximum,
                "mean_best": c.mean_best,
                "sd_best": c.sd_best,
                "n_not_failed": c.kept,
                "mean_not_failed": c.mean_kept,
                "sd_not_failed": c.sd_kept,
                "sd_ratio": a.ratio.estimate if a else None,
                "sd_ratio_low": a.ratio.low if a else None,
                "sd_ratio_high": a.ratio.high if a else None,
                "sd_ratio_note": a.ratio.note if a else "",
                "sd_ratio_not_failed": a.kept_ratio if a else None,
                "brown_forsythe_p": a.brown_forsythe.p if a else None,
                "brown_forsythe_holm": a.brown_forsythe_holm if a else None,
                "permutation_p": a.permutation.p if a else None,
                "fisher_p": a.fisher.p if a else None,
                "fisher_holm": a.fisher_holm if a else None,
                "detectable_ratio_below": ratio.below if ratio else None,
                "detectable_ratio_above": ratio.above if ratio else None,
                "detectable_rate_below": rate.below if rate else None,
                "detectable_rate_above": rate.above if rate else None,
                "failure_difference": two.difference.estimate if two else None,
                "failure_difference_low": two.difference.low if two else None,
                "failure_difference_high": two.difference.high if two else None,
                "failure_share_of_variance": c.mixture.failure_share,
                "verdict": verdict(c, comparison.baseline_of(c)).text,
                "conclusion": conclusion(c, comparison.baseline_of(c)),
            }
        )
    frame = pd.DataFrame(rows)
    words = {"encoder", "task", "arm", "baseline", "metric", "sd_ratio_note", "verdict", "conclusion"}
    counts = {"planned", "n", "diverged", "n_not_failed"}
    flags = {"failed", "near_no_skill", "constant"}
    numeric = [c for c in frame.columns if c not in words | counts | flags]
    return frame.astype(dict.fromkeys(numeric, "float64") | dict.fromkeys(flags, "Int64"))
