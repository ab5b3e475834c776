"""Kept runs, datasets and closed forms done again: a fixed sample of the first two, and all of the last."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stabilitybench.claims import kept_tables
from stabilitybench.claims.closed_forms import FORMS, kept_form
from stabilitybench.claims.record import SUITES, suites_table
from stabilitybench.claims.replay import TOLERANCE, check_planned, comparable_machine, replay, sample

HERE = Path(__file__).resolve().parent
SLOW = ("precision",)  # bf16 takes tens of seconds per run on a CPU that lacks it


@pytest.fixture(scope="module")
def runs(options, shown):
    if "pocket" not in (options("--tier") or ("pocket",)):
        pytest.skip("tier pocket was not asked for")
    table = kept_tables(HERE / "recorded")["pocket"]
    chosen = sample(table, leave_out=SLOW)
    assert 20 <= len(chosen) <= 60
    done = shown(
        lambda bar: replay(
            chosen, HERE / "studies", options("--cache"), jobs=options("--jobs"), device=options("--device"),
            progress=bar,
        ),
        f"Replay  {len(chosen)} of {len(table)} kept runs",
    )  # fmt: skip
    return table, done


def test_every_kept_run_is_one_that_its_study_file_plans(options):
    check_planned(kept_tables(HERE / "recorded")["pocket"], HERE / "studies", options("--cache"))


def test_replayed_runs_equal_the_kept_ones(runs, options):
    table, done = runs
    differs = comparable_machine(HERE / "recorded" / "conditions.json")
    other = [r for r in done if not r.same]
    if not differs and options("--device") in ("auto", "cpu"):
        assert not other, f"{len(other)} of {len(done)} runs differ on the kind of machine that made them: {other[:3]}"
        return
    # elsewhere rounding grows into other runs of the same arm: each score must be one that the arm may have
    spread = table.groupby(["study", "task", "arm"])["score"].std()
    off = [(r.again - r.kept) / max(spread[r.study, r.task, r.arm], 0.01) for r in done]
    assert abs(np.mean(off)) < TOLERANCE, f"{differs}: scores moved by {np.mean(off):.2f} SDs on average"


def test_computed_closed_forms_equal_the_kept_ones(options):
    if "analytic" not in (options("--tier") or ("analytic",)):
        pytest.skip("tier analytic was not asked for")
    kept = kept_tables(HERE / "recorded")["closed-forms"]
    assert kept["form"].tolist() == list(FORMS)
    for name, form in FORMS.items():
        now, then = form(), kept_form(kept, name)
        # rounding differs between processors; what has no effect becomes NaN
        np.testing.assert_allclose(np.array(then.effect, float), np.array(now.effect, float), rtol=1e-9, err_msg=name)
        assert replace(then, effect=None) == replace(now, effect=None), name


def test_measured_datasets_equal_the_kept_ones(options):
    if "numeric" not in (options("--tier") or ("numeric",)):
        pytest.skip("tier numeric was not asked for")
    again = suites_table(options("--cache"), datasets=1, jobs=options("--jobs"))
    kept = kept_tables(HERE / "recorded")["suites"]
    keys = ["suite", "value", "seed", "kind", "item"]
    both = again.astype({"value": float}).merge(kept, on=keys, suffixes=("", "_kept"), how="left", indicator=True)
    assert set(again["suite"]) == set(SUITES)
    assert (both["_merge"] == "both").all(), "a dataset is not on record"
    now, then = both["amount"].astype(float), both["amount_kept"].astype(float)
    # what is below 1e-9 is rounding; six digits were kept
    np.testing.assert_allclose(now, then, rtol=2e-5, atol=1e-9)
