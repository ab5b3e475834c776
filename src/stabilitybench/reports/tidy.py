"""A comparison as a table of plain numbers, for further work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from stabilitybench.reports.verdicts import verdict

if TYPE_CHECKING:
    from stabilitybench.reports.comparison import Comparison


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the comparison as one tidy row per (encoder, task, arm), in fractions."""
    rows = []
    for c in comparison.cells:
        a = c.against
        rows.append(
            {
                "encoder": c.encoder,
                "task": c.task,
                "arm": c.arm,
                "baseline": c.is_baseline,
                "metric": c.metric,
                "planned": c.planned,
                "n": c.n,
                "failed": c.failure.failed,
                "failure_rate": c.failure.rate,
                "failure_low": c.failure.low,
                "failure_high": c.failure.high,
                "near_baseline": c.near_baseline,
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
                "verdict": verdict(c, comparison.baseline_of(c)).text,
            }
        )
    frame = pd.DataFrame(rows)
    words = {"encoder", "task", "arm", "baseline", "metric", "sd_ratio_note", "verdict"}
    counts = {"planned", "n", "failed", "near_baseline", "constant", "diverged", "n_not_failed"}
    numeric = [c for c in frame.columns if c not in words | counts]
    return frame.astype(dict.fromkeys(numeric, "float64"))
