"""Plans: what seeds show, what a claim needs, what it costs, and what a pilot tells."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stabilitybench.errors import EnvironmentFailure, UserError
from stabilitybench.planning.effects import FailureEffect, LevelEffect, SpreadEffect
from stabilitybench.planning.figure import draw_power
from stabilitybench.planning.pilot import read_pilot
from stabilitybench.planning.plan import plan
from stabilitybench.planning.view import plan_view
from stabilitybench.power.failures import failure_power
from stabilitybench.power.questions import Look, level_power, one_look, spread_power, spread_reach
from stabilitybench.power.simulated_studies import Conditions
from stabilitybench.statistics.looks import look_levels
from stabilitybench.studies import Study
from support.score_frames import study_frames


def shown(found) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(plan_view(found))
    return console.file.getvalue()


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
    said = shown(plan(seeds=20))
    reach = spread_reach(one_look(20, 0.05), Conditions())
    assert f"spread ratios up to {reach.below:.2f}, or from {reach.above:.2f}" in said
    assert "differences from 1.9 points" in said
    assert "failures from 31.3 %" in said
    assert "95 % interval: 0.76 to 1.46 times the SD seen" in said
    assert "pairs of equal seeds, correlation 0 (assumed); SD 2 points (assumed), normal" in said
    assert (
        "20 seeds can show spread ratio 0.33, level +2 points, level +5 points, failures in 5 % against 50 %;" in said
    )


def test_a_family_of_tests_asks_for_more() -> None:
    one, four = plan(spread=[0.5]), plan(spread=[0.5], tests=4)
    assert four.alpha == 0.05 / 4
    assert "4 tests for each question at 5 %; Holm's first step: each at 0.05 / 4 = 0.013" in shown(four)
    assert four.seeds_of(four.effects[0]) > one.seeds_of(one.effects[0])
    assert "power with 10" in shown(one)
    assert "What 10 seeds" not in shown(one)


def test_powers_are_those_of_the_tests_of_the_report() -> None:
    found = plan(spread=[2.0], level=[-1.0], failures=(0.5, 0.1), correlation=0.5, sd=1.5, rows=200, scores="t3")
    conditions = Conditions(0.5, "t3", 1.5, 200, (0.5, 0.1))
    assert found.conditions == conditions
    assert found.effects == (SpreadEffect(2.0), LevelEffect(-1.0), FailureEffect(0.5, 0.1))
    look = one_look(15, 0.05)
    assert [found.power_of(effect, 15) for effect in found.effects] == [
        spread_power(2.0, look, conditions),
        level_power(-1.0, look, conditions),
        failure_power(0.5, 0.1, look),
    ]
    assert plan(failures=(0.5, 0.1), paired=False).power_of(FailureEffect(0.5, 0.1), 15) == failure_power(
        0.5, 0.1, look, paired=False
    )
    said = shown(found)
    assert "spread ratio 2.00" in said
    assert "level -1 points" in said
    assert "failures in 50 % against 10 %" in said
    assert "correlation 0.5; SD 1.5 points, heavy-tailed" in said
    assert "accuracy on 200 test rows (0.5 points each); 50 % and 10 % of runs fail, 20 points lower" in said


def test_the_seeds_needed_have_the_power_and_one_fewer_has_not() -> None:
    found = plan(spread=[0.5], level=[2.0], failures=(0.05, 0.5), tests=3)
    for effect in found.effects:
        n = found.seeds_of(effect)
        assert found.power_of(effect, n) >= 0.8 > found.power_of(effect, n - 1)


def test_looks_share_out_the_error_and_cost_seeds() -> None:
    found, once = plan(spread=[0.5], looks=[10, 20], tests=2), plan(spread=[0.5], tests=2)
    level = look_levels([10, 20], 0.025)[0]
    assert found.seeds == (20,)
    assert found.looks_of(20) == (Look(10, 10, level), Look(20, 20, level))
    assert [look.arm for look in found.looks_of(31)] == [16, 31]
    assert found.looks_of(2) == one_look(2, pytest.approx(0.025))
    assert found.power_of(found.effects[0], 20) < once.power_of(once.effects[0], 20)
    assert found.seeds_of(found.effects[0]) > once.seeds_of(once.effects[0])
    assert f"looks (pocock bounds): 10 seeds at level {level:.2g}, 20 seeds at level {level:.2g}" in shown(found)
    late = plan(seeds=20, looks=[10, 20], bounds="obrien-fleming").looks_of(20)
    assert late[0].level < 0.01 < 0.045 < late[1].level


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "plan: give a study, or spread, level, failures or seeds"),
        ({"spread": [1.0]}, r"spread = 1: must lie between 0.01 and 100 and differ from 1"),
        ({"spread": [-2.0]}, r"spread = -2: "),
        ({"spread": [float("nan")]}, r"spread = nan"),
        ({"level": [0.0]}, r"level = 0: must be a difference in points between -100 and 100, not 0"),
        ({"failures": (0.5, 0.5)}, r"failures = \[0.5, 0.5\]: must be two rates that differ"),
        ({"failures": (50.0, 5.0)}, r"failures = 50: must be a rate between 0 and 1"),
        ({"seeds": 1}, r"seeds = 1: must lie between 2 and 1000"),
        ({"seeds": 1500}, r"seeds = 1500: must lie between 2 and 1000"),
        ({"looks": [20, 10]}, r"looks = \[20, 10\]: must be two or more numbers of seeds that ascend from 2"),
        ({"looks": [20]}, r"looks = \[20\]: must be two or more"),
        ({"looks": [10, 20], "bounds": "haybittle"}, r'bounds = "haybittle": must be pocock or obrien-fleming'),
        ({"seeds": 20, "correlation": 1.0}, r"correlation = 1: must lie between -1 and 1"),
        ({"seeds": 20, "correlation": 0.5, "paired": False}, r"correlation = 0.5: arms without shared seeds have none"),
        ({"seeds": 20, "sd": 0.0}, r"sd = 0: must lie above 0"),
        ({"seeds": 20, "rows": 1}, r"rows = 1: must be at least 2"),
        ({"seeds": 20, "tests": 0}, r"tests = 0"),
        ({"seeds": 20, "power": 80.0}, r"power = 80: must lie between 0.05 and 0.99"),
        ({"seeds": 20, "scores": "uniform"}, r'scores = "uniform": must be normal, t3, contaminated or pilot'),
        ({"seeds": 20, "scores": "pilot"}, r'scores = "pilot": needs pilot'),
    ],
)
def test_questions_without_an_answer_get_one_sentence(asked, said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan(**asked)


def test_a_study_is_planned_over_its_family(tmp_path, tiny_bert, tiny_task) -> None:
    it = study(tmp_path, tiny_bert, tiny_task)
    found = plan(it, spread=[0.5])
    assert (found.seeds, found.tests) == ((20,), 2)
    assert (found.cost.per_seed, found.cost.runs, found.cost.stored, found.cost.hours_to_do) == (3, 60, 0, None)
    said = shown(found)
    assert found.study is it
    assert "2 tests for each question at 5 %; Holm's first step: each at 0.05 / 2 = 0.025" in said
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
    known = pilot.of_baseline("plain")
    assert (known.failure_rate, len(pilot.scores)) == (0.25, 35)
    assert known.drop == pytest.approx(20, abs=1)
    assert known.sd == pytest.approx(2, rel=0.3)
    assert abs(known.correlation) < 0.6
    assert pilot.of_baseline("freeze") is None
    found = plan(it, spread=[0.5], pilot=pilot)
    assert found.baseline_rates == (0.0, 0.25, 0.5)
    assert found.cost.hours_to_do == pytest.approx(60 * 3.5 / 3600)  # the third arm takes the time of the others
    assert found.cost.hours_per_seed == pytest.approx(3 * 3.5 / 3600)
    own = found.conditions
    assert own == Conditions(known.correlation, tuple(pilot.scores), known.sd, own.rows, (0.25, 0.25), known.drop)
    said = shown(found)
    assert "the shape of the pilot's 35 scores" in said
    assert "25 % of runs fail (pilot)" in said
    assert "the baseline fails in 25 %" in said
    assert f"timed by {folder / 'scores.csv'}" in said
    assert plan(it, spread=[0.5], scores="normal", pilot=folder, sd=3.0, correlation=0.1).conditions == Conditions(
        0.1, "normal", 3.0, own.rows, (0.25, 0.25), known.drop
    )


def test_a_pilot_tells_the_correlation_of_runs_that_share_a_seed(tmp_path) -> None:
    """Over arms and tasks; failed runs and seeds of one arm alone are left out."""
    rng = np.random.default_rng(4)
    lines = ["task,arm,seed,score,failed"]
    for task in "st":
        z = rng.normal(size=40)
        for arm in ("plain", "one", "two"):
            y = z if arm == "plain" else 0.8 * z + 0.6 * rng.normal(size=40)
            own = [f"{task},{arm},{s},{0.7 + 0.01 * y[s]},{str(s == 5).lower()}" for s in rng.permutation(40)]
            lines += [line for line in own if arm == "plain" or not line.startswith(f"{task},{arm},7,")]
    file = tmp_path / "pilot.csv"
    file.write_text("\n".join(lines))
    assert read_pilot(file).of_baseline(None).correlation == pytest.approx(0.8, abs=0.1)

    # the same scores under the seeds of others tell nothing
    def swapped(line: str) -> str:
        task, arm, seed, *rest = line.split(",")
        return ",".join([task, arm, str(int(seed) ^ 1), *rest]) if arm == "plain" else line

    file.write_text("\n".join([lines[0], *map(swapped, lines[1:])]))
    assert abs(read_pilot(file).of_baseline("plain").correlation) < 0.4


def test_the_rows_and_the_looks_of_a_study_are_its_own(tmp_path, tiny_bert, tiny_task) -> None:
    it = study(tmp_path, tiny_bert, tiny_task, seeds=10, looks={"sizes": [10, 20]})
    found = plan(it)
    assert (found.seeds, found.looks) == ((20,), (10, 20))
    assert found.cost.runs == 60
    task = it.results().runs[0].spec.task
    assert found.conditions.rows == (len(task.test) if task.metrics[0] == "accuracy" else None)
    assert plan(it, rows=77).conditions.rows == 77
    assert plan(it, seeds=40).looks_of(40)[0].arm == 20


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


def test_a_csv_of_scores_alone_gives_a_shape(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("score\n" + "\n".join(str(0.7 + 0.01 * k) for k in range(12)) + "\n")
    pilot = read_pilot(file)
    assert (len(pilot.scores), pilot.of_baseline(None).failure_rate, pilot.seconds) == (12, None, {})
    own = plan(seeds=20, pilot=pilot).conditions
    assert own == Conditions(0.0, tuple(pilot.scores), own.sd)
    assert own.sd == pytest.approx(100 * np.std(0.01 * np.arange(12), ddof=1))
    file.write_text("score\n0.7\n0.8\n0.9\n")
    few = read_pilot(file)
    found = plan(seeds=20, pilot=few)
    assert found.conditions.shape == "normal"
    assert "fewer than 10 scores" in found.notes[0]
    with pytest.raises(UserError, match="has 3 scores to draw from"):
        plan(seeds=20, scores="pilot", pilot=few)


def test_unfinished_and_failed_runs_of_a_pilot_are_no_shape(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "arm,score,status,failed,seconds\na,0.7,ok,false,2\na,0.8,ok,false,4\na,0.1,failed,true,3\na,0.9,ok,0,3\n"
        "a,,crashed,,\n"
    )
    pilot = read_pilot(file)
    assert pilot.scores == pytest.approx([-1, 0, 1])
    assert pilot.of_baseline("a").failure_rate == 0.25
    assert pilot.of_baseline("a").drop == pytest.approx(70)
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
    found = plan(seeds=20, spread=[2.0], level=[1.0], failures=(0.5, 0.05))
    draw_power(found, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert first.startswith(start)
    if name.endswith(".svg"):
        assert b"spread ratio 2.00" in first
        assert b"level +1 points" in first
        assert b"failures in 50 % against 5 %" in first
        draw_power(found, tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


def test_a_figure_that_cannot_be_written(tmp_path) -> None:
    found = plan(seeds=20, spread=[2.0])
    with pytest.raises(UserError, match=r"must be the name of a file that ends in .svg, .png, .pdf"):
        draw_power(found, tmp_path / "p.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match=r"file: cannot be written .*Choose a folder"):
        draw_power(found, tmp_path / "file" / "p.svg")
