"""Size of the three questions on real runs: with the labels of each pair swapped at random no difference is left.

Every comparison of the recorded runs is taken, its arm against the arm that the study compares with.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stabilitybench.statistics.deviation import paired_log_deviation_ratios
from stabilitybench.statistics.failure_odds import paired_failure_contrast
from stabilitybench.statistics.pairing import pairing
from stabilitybench.statistics.questions import Runs, level_question, spread_question

RECORDED = Path(__file__).parents[2] / "paper_checks" / "recorded"
SWAPS, ALPHA = 1_000, 0.05
QUESTIONS = ("failures", "spread", "level")
BASELINES = {"bert-large": "biased"}

#: 28 of the baseline's 50 runs failed, so that spread is compared among few, as if they were independent: .133.
KNOWN = {("bert-large, MRPC: reinit", "spread")}

pytestmark = pytest.mark.slow


def comparisons(name: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield each comparison of a table, by name: the runs of an arm and of its baseline, in pairs of equal seeds."""
    table = pd.read_csv(RECORDED / f"{name}.csv", low_memory=False)
    for (study, task), runs in table.groupby(["study", "task"], sort=False):
        arms = {str(arm): part.set_index("seed") for arm, part in runs.groupby("arm", sort=False)}
        base = BASELINES.get(name, "debiased-adam")
        base = base if base in arms else next(iter(arms))
        for arm, part in arms.items():
            shared = part.index.intersection(arms[base].index)
            if arm != base and len(shared) >= 10 and shared.is_unique:
                yield f"{study}, {task}: {arm}", part.loc[shared], arms[base].loc[shared]


@cache
def failure_p(mine: int, theirs: int, pairs: int) -> float:
    """Return p where only the arm failed in `mine` pairs and only the baseline in `theirs`."""
    arm, base = np.zeros(pairs, bool), np.zeros(pairs, bool)
    arm[:mine], base[mine : mine + theirs] = True, True
    found = paired_failure_contrast(arm, base).p
    return 1.0 if found is None else found


def rates(arm: pd.DataFrame, base: pd.DataFrame, rng: np.random.Generator) -> list[float]:
    """Return how often each question finds a difference between labels swapped at random."""
    scores = np.stack([part["score"].to_numpy(float) for part in (arm, base)])
    failed = np.stack([part["failed"].to_numpy(bool) for part in (arm, base)])
    pairs = scores.shape[1]
    swap = rng.integers(0, 2, (SWAPS, pairs))
    order = np.stack([swap, 1 - swap])
    x, lost = (np.take_along_axis(values[:, None], order, 0) for values in (scores, failed))
    only = [((lost[k] & ~lost[1 - k]).sum(1)) for k in (0, 1)]
    failures = np.array([failure_p(int(a), int(b), pairs) for a, b in zip(*only, strict=True)])
    seeds = [(k,) for k in range(pairs)]
    runs = [(Runs(x[0, k], lost[0, k]), Runs(x[1, k], lost[1, k])) for k in range(SWAPS)]
    together = pairing(seeds, seeds)
    gaps = x[0] - x[1]
    level = stats.ttest_1samp(gaps, 0.0, axis=1).pvalue
    if failed.any():
        spread = np.array([spread_question(*both, together).p for both in runs], float)
    else:
        found = paired_log_deviation_ratios(x[0], x[1])
        spread = 2 * stats.t.sf(np.abs(found.log) / found.se, found.df)
    for k in (0, 1):  # the questions themselves, which the lines above do by the thousand
        for row, question in ((spread, spread_question), (level, level_question)):
            p = question(*runs[k], together).p
            assert np.isnan(row[k]) if p is None else row[k] == pytest.approx(p, rel=1e-6)
    return [float((p < ALPHA).mean()) for p in (failures, spread, level)]


def test_swapped_labels_are_found_as_often_as_the_level_says() -> None:
    """The mean over comparisons keeps the level, and single ones lie near it; one is known to miss."""
    rows = [
        (what, *rates(arm, base, np.random.default_rng(3)))
        for name in ("bert-large", "pocket")
        for what, arm, base in comparisons(name)
    ]
    table = pd.DataFrame(rows, columns=["comparison", *QUESTIONS]).set_index("comparison")
    print(f"\n{table.to_string()}\n{table.mean().to_string()}")
    assert len(table) > 60
    assert (table.mean() <= 0.07).all()
    limits = 0.10 + 3 * np.sqrt(table * (1 - table) / SWAPS)
    over = {(what, question) for question in QUESTIONS for what in table.index[table[question] > limits[question]]}
    assert over <= KNOWN
