"""Statistics on 600 public BERT-large runs, where that table lies beside the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stabilitybench.statistics import brown_forsythe, fisher, sd, sd_ratio

RUNS = Path(__file__).parents[2].parent / "shared" / "data" / "replication_50_seeds" / "runs.csv"
METHODS = ("not_debiased", "standard_debiased", "reinit_debiased")
# no skill on the test half: counts where the score is a share of rows, so that rounded decimals do not decide
NO_SKILL = {"RTE": 73 / 139, "MRPC": 2 * 140 / (140 + 205), "CoLA": 0.0, "STS-B": 0.0}

pytestmark = pytest.mark.skipif(not RUNS.exists(), reason="the replication's runs.csv is not beside the repository")


@pytest.fixture(scope="module")
def scores() -> dict[tuple[str, str], np.ndarray]:
    table = pd.read_csv(RUNS)
    # an empty score is a constant prediction, whose Spearman correlation is undefined: no skill
    table["test_last"] = table["test_last"].fillna(0.0)
    return {key: part["test_last"].to_numpy() for key, part in table.groupby(["dataset", "method"])}


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("RTE", (7.4, 2.9, 1.6)),
        ("MRPC", (4.8, 1.4, 0.7)),
        ("STS-B", (29.1, 0.4, 0.2)),
        ("CoLA", (29.4, 1.7, 1.6)),
    ],
)
def test_standard_deviations(scores: dict, task: str, expected: tuple[float, ...]) -> None:
    assert [round(100 * sd(scores[task, m]), 1) for m in METHODS] == list(expected)


@pytest.mark.parametrize(("task", "biased"), [("RTE", 36), ("MRPC", 28), ("STS-B", 6), ("CoLA", 18)])
def test_failure_counts(scores: dict, task: str, biased: int) -> None:
    # scores are printed with four decimals
    counts = [int(np.sum(scores[task, m] <= NO_SKILL[task] + 5e-5)) for m in METHODS]
    assert counts == [biased, 0, 0]


def test_six_failures_of_fifty_are_shown_by_fisher(scores: dict) -> None:
    assert fisher(6, 50, 0, 50).p == pytest.approx(0.027, abs=5e-4)


@pytest.mark.parametrize(
    ("task", "p", "ratio"),
    [("RTE", 0.0091, 1.83), ("MRPC", 0.0010, 1.91), ("STS-B", 6e-6, 1.95), ("CoLA", 0.85, 1.05)],
)
def test_debiased_against_reinit(scores: dict, task: str, p: float, ratio: float) -> None:
    debiased, reinit = scores[task, METHODS[1]], scores[task, METHODS[2]]
    assert brown_forsythe(debiased, reinit).p == pytest.approx(p, rel=0.1)
    found = sd_ratio(debiased, reinit)
    assert found.estimate == pytest.approx(ratio, abs=0.006)
    assert (found.low > 1) == (task != "CoLA")
