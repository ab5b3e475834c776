"""Plans: what seeds show, what a claim needs, what it costs, and what a pilot tells."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stabilitybench.errors import EnvironmentFailure, UserError
from stabilitybench.planning.effects import RatesEffect, SdRatioEffect
from stabilitybench.planning.figure import draw_power
from stabilitybench.planning.pilot import read_pilot
from stabilitybench.planning.plan import plan
from stabilitybench.planning.view import plan_view
from stabilitybench.statistics import fisher_power, minimal_detectable_ratio, seeds_for_ratio
from stabilitybench.studies import Study
from support.score_frames import study_frames


def shown(found) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(plan_view(found))
    return console.file.getvalue()


def of_effects(seeds=None, tests=None, ratios=(), rates=None, power=0.8, scores=None, pilot=None):
    return plan(seeds=seeds, tests=tests, sd_ratios=ratios, failures=rates, power=power, scores=scores, pilot=pilot)


def study(tmp_path: Path, tiny_bert: Path, tiny_task: Path, **changes) -> Study:
    raw = {
        "name": "tiny",
        "encoders": [str(tiny_bert)],
        "tasks": [f"file:{tiny_task}"],
        "seeds": 20,
        "baseline": "plain",
        "recipe": {"steps": 2, "evaluations": 1},
        "arms": {"plain": [], "reinit": [{"reinit": {"layers": 1}}], "freeze": [{"freeze": {"layers": 1}}]},
    }
    return Study.from_dict({**raw, **changes}, store=tmp_path / "store", results=tmp_path / "results")


def scores_csv(folder: Path, rng: np.random.Generator, arms: dict[str, int], task: str = "t", encoder: str = "e"):
    """Write a pilot of 20 runs for each arm, so many of them failed, 3.5 seconds each."""
    cells = {(task, arm): np.where(np.arange(20) < k, 0.5, rng.normal(0.7, 0.02, 20)) for arm, k in arms.items()}
    folder.mkdir(parents=True, exist_ok=True)
    study_frames(cells, encoder=encoder)[0].to_csv(folder / "scores.csv", index=False)
    return folder


def test_what_twenty_seeds_show() -> None:
    said = shown(of_effects(seeds=20))
    assert "SD ratios up to 0.46, or from 2.1" in said
    assert "the arm's failures from 31.3 %" in said
    assert "95 % interval: 0.76 to 1.46 times the SD seen" in said
    assert "20 seeds can show SD ratio 3.00, failures in 50 % against 5 %; they cannot be relied on to show" in said


def test_a_family_of_tests_asks_for_more() -> None:
    one, four = of_effects(ratios=[2.0]), of_effects(ratios=[2.0], tests=4)
    assert four.level == 0.05 / 4
    assert "Holm's first step: each at 0.05 / 4 = 0.013" in shown(four)
    assert four.effects[0].seeds(four.level, 0.8) == seeds_for_ratio(2.0, 0.05 / 4) > one.effects[0].seeds(0.05, 0.8)
    assert "power with 10" in shown(one)
    assert "What 10 seeds" not in shown(one)


def test_rates_are_planned_with_fisher() -> None:
    found = of_effects(rates=(0.5, 0.05))
    assert found.effects == (RatesEffect(0.5, 0.05),)
    assert found.effects[0].power(20, 0.05) == fisher_power(0.5, 0.05, 20, 20)
    assert found.effects[0].power(2000, 0.05) is None
    assert "failures in 50 % against 5 %" in shown(found)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "plan: give a study, or sd_ratios, failures or seeds"),
        ({"ratios": [1.0]}, r"sd_ratios = 1: must lie between 0.01 and 100 and differ from 1"),
        ({"ratios": [-2.0]}, r"sd_ratios = -2: "),
        ({"ratios": [float("nan")]}, r"sd_ratios = nan"),
        ({"rates": (0.5, 0.5)}, r"failures = \[0.5, 0.5\]: must be two rates that differ"),
        ({"rates": (50.0, 5.0)}, r"failures = 50: must be a rate between 0 and 1"),
        ({"seeds": 1}, r"seeds = 1: must lie between 2 and 10000"),
        ({"seeds": 20, "tests": 0}, r"tests = 0"),
        ({"seeds": 20, "power": 80.0}, r"power = 80: must lie between 0.05 and 0.99"),
        ({"seeds": 20, "scores": "uniform"}, r'scores = "uniform": must be normal, t4 or pilot'),
        ({"seeds": 20, "scores": "pilot"}, r'scores = "pilot": needs pilot'),
    ],
)
def test_questions_without_an_answer_get_one_sentence(asked, said: str) -> None:
    with pytest.raises(UserError, match=said):
        of_effects(**asked)


def test_a_study_is_planned_over_its_family(tmp_path, tiny_bert, tiny_task) -> None:
    it = study(tmp_path, tiny_bert, tiny_task)
    found = plan(it)
    assert (found.seeds, found.tests) == ((20,), 2)
    assert (found.cost.per_seed, found.cost.runs, found.cost.stored, found.cost.hours_to_do) == (3, 60, 0, None)
    said = shown(found)
    assert found.study is it
    assert "2 tests of spread and as many of failures at 5 %; Holm's first step: each at 0.05 / 2 = 0.025" in said
    assert "as planned: 60 runs, 0 of them in the store" in said
    assert "no hours: no run of" in said
    assert "give a results folder as the pilot" in said
    assert not (tmp_path / "store").exists()


def test_hours_from_a_pilot_and_power_from_its_scores(tmp_path, tiny_bert, tiny_task) -> None:
    it = study(tmp_path, tiny_bert, tiny_task)
    folder = scores_csv(
        tmp_path / "pilot", np.random.default_rng(0), {"plain": 5, "reinit": 0}, f"file:{tiny_task}", str(tiny_bert)
    )
    pilot = read_pilot(folder)
    assert pilot.failure_rate("plain") == 0.25
    assert pilot.failure_rate("freeze") is None
    assert len(pilot.scores) == 35
    found = plan(it, sd_ratios=[1.5], pilot=pilot)
    assert found.baseline_rates == (0.0, 0.25, 0.5)
    assert found.cost.hours_to_do == pytest.approx(60 * 3.5 / 3600)  # the third arm takes the time of the others
    assert found.cost.hours_per_seed == pytest.approx(3 * 3.5 / 3600)
    expected = minimal_detectable_ratio(20, 20, 0.025, scores=pilot.scores)
    assert found.effects == (SdRatioEffect(1.5, tuple(pilot.scores)),)
    said = shown(found)
    assert f"from {expected.above:.2f}" in said
    assert "the pilot's own 35 scores" in said
    assert "the baseline fails in 25 %" in said
    assert f"timed by {folder / 'scores.csv'}" in said
    assert plan(it, sd_ratios=[1.5], scores="normal", pilot=folder).scores == "normal"


def test_crossed_seeds_and_tuning_are_told(tmp_path, tiny_bert, tiny_task) -> None:
    it = study(
        tmp_path, tiny_bert, tiny_task, seeds={"init": 4, "order": 3},
        tune={"seeds": 2, "grid": {"learning_rate": [1e-4, 1e-3]}},
    )  # fmt: skip
    found = plan(it)
    assert found.seeds == (12,)
    assert found.cost.runs == 3 * 12 + 3 * 2 * 2
    assert any("crossed" in note for note in found.notes)
    alone = study(tmp_path, tiny_bert, tiny_task, arms={"plain": []})
    assert any("one arm" in note for note in plan(alone).notes)


def test_tuning_that_is_done_costs_nothing_more(tmp_path, tiny_bert, tiny_task) -> None:
    tune = {"seeds": 1, "grid": {"learning_rate": [1e-4, 1e-3]}}
    it = study(tmp_path, tiny_bert, tiny_task, seeds=2, tune=tune)
    it.run(jobs=1, device="cpu")
    cost = plan(it).cost
    assert (cost.runs, cost.stored, cost.hours_to_do) == (3 * 2 + 3 * 2, 3 * 2 + 3 * 2, 0)


def test_more_seeds_than_fishers_test_is_counted_for() -> None:
    found = of_effects(seeds=1500, ratios=[1.1], rates=(0.5, 0.05))
    said = shown(found)
    assert "not counted over 1000" in said
    assert "1500 seeds can show SD ratio 1.10." in said


def test_a_csv_of_scores_alone_gives_a_shape(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("score\n" + "\n".join(str(0.7 + 0.01 * k) for k in range(12)) + "\n")
    pilot = read_pilot(file)
    assert (len(pilot.scores), pilot.failures, pilot.seconds) == (12, {}, {})
    assert of_effects(seeds=20, pilot=pilot).scores == tuple(pilot.scores)
    file.write_text("score\n0.7\n0.8\n0.9\n")
    few = read_pilot(file)
    found = of_effects(seeds=20, pilot=few)
    assert found.scores == "normal"
    assert "fewer than 10 scores" in found.notes[0]
    with pytest.raises(UserError, match="has 3 scores to draw from"):
        of_effects(seeds=20, scores="pilot", pilot=few)


def test_unfinished_and_failed_runs_of_a_pilot_are_no_shape(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "arm,score,status,failed,seconds\na,0.7,ok,false,2\na,0.8,ok,false,4\na,0.1,failed,true,3\na,0.9,ok,0,3\n"
        "a,,crashed,,\n"
    )
    pilot = read_pilot(file)
    assert pilot.scores == pytest.approx([-1, 0, 1])
    assert pilot.failures == {("", "", "a"): (1, 4)}
    assert pilot.seconds == {("", "", "a"): 3.0}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty; needs a line of column names"),
        ("accuracy\n0.7\n", r'no column "score"; line 1 names "accuracy"'),
        ("score\n", "has column names and no run"),
        ("score\n0.7\n", "1 finished run; needs at least 2"),
        ("score\ngood\n", r'line 2, column "score": "good": must be a number'),
        ("score\n0.7\nnan\n", r'line 3, column "score"'),
        ("score\n70\n71\n", "scores are fractions between -1 and 1; for scores times 100, give points = True"),
        ("score,seconds\n0.7,-3\n0.8,2\n", r"seconds = -3: must be at least 0"),
        ("score,failed\n0.7,maybe\n0.8,no\n", r'column "failed": "maybe": must be true or false'),
    ],
)
def test_a_pilot_that_is_no_table_of_scores_gets_one_sentence(tmp_path, content: str, said: str) -> None:
    file = tmp_path / "pilot.csv"
    file.write_text(content)
    with pytest.raises(UserError, match=rf"pilot .*pilot.csv: .*{said}"):
        read_pilot(file)


def test_a_pilot_in_points(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    scores = [70.0, 71.5, 69.0, 72.0]
    file.write_text("score\n" + "\n".join(map(str, scores)) + "\n")
    assert read_pilot(file, points=True).scores == pytest.approx((np.array(scores) - 70.75) / np.std(scores, ddof=1))


def test_a_pilot_that_is_not_there(tmp_path) -> None:
    with pytest.raises(UserError, match=r"pilot .*none.csv: there is no such file"):
        read_pilot(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"pilot .*: has no scores.csv"):
        read_pilot(tmp_path)


@pytest.mark.parametrize(("name", "start"), [("p.svg", b"<?xml"), ("p.png", b"\x89PNG"), ("deep/p.pdf", b"%PDF")])
def test_the_figure_is_what_its_name_says(tmp_path, name: str, start: bytes) -> None:
    found = of_effects(seeds=20, ratios=[2.0], rates=(0.5, 0.05))
    draw_power(found, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert first.startswith(start)
    if name.endswith(".svg"):
        assert b"SD ratio 2.00 (or 0.50)" in first
        assert b"failures in 50 % against 5 %" in first
        draw_power(found, tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


def test_a_figure_that_cannot_be_written(tmp_path) -> None:
    found = of_effects(seeds=20, ratios=[2.0])
    with pytest.raises(UserError, match=r"must be the name of a file that ends in .svg, .png, .pdf"):
        draw_power(found, tmp_path / "p.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match=r"file: cannot be written .*Choose a folder"):
        draw_power(found, tmp_path / "file" / "p.svg")
