"""One run on the screen."""

import io

import pytest
from rich.console import Console

from stabilitybench.cli.views.run import print_run, spark
from support.run_records import predictions, record


def shown(run, *rest, width=80):
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    print_run(run, console, *rest)
    return console.file.getvalue()


@pytest.mark.parametrize("status", ["ok", "failed", "diverged"])
def test_everything_about_a_run_is_on_one_page(status):
    losses = (0.69, 0.5, None if status == "diverged" else 0.3)
    run = record(status=status, losses=losses, drawn=["bert.pooler.dense.weight"])
    text = shown(run, predictions((0.0, 1.0)))
    assert text.startswith(f"run 0123456789abcdef  {status}\n")
    for part in (
        "pocket/bert-small on pocket/acceptability, bert-adam",
        "last (step 30)",
        "validation accuracy",
        "test f1",
        "head",
        "layer.0",
        "distance moved",
        "1 tensor drawn anew by a stabilizer: bert.pooler (1)",
        "2 tensors new, as the checkpoint lacks them: classifier (2)",
        "init 4, order 4, dropout 4, subset 0, prepare 4",
        "learning_rate = 0.0003; the rest is default",
        "torch 2.13.0",
        "x86_64 Linux, cpu, 3.5 s",
    ):
        assert part in text, part
    assert max(map(len, text.splitlines())) <= 80


def test_a_loss_that_is_no_number_is_shown_as_absent():
    text = shown(record(status="diverged", curve=(0.6, 0.5), losses=(0.6, None)))
    row = next(line for line in text.splitlines() if line.split()[:1] == ["20"])
    assert row.split()[2:4] == ["–", "–"]


def test_a_run_without_a_result_has_a_reason_and_an_origin_and_no_tables():
    run = record(status="crashed")
    for key in ("scores", "evaluations", "weights", "device", "seconds", "drawn", "fresh", "frozen", "warnings"):
        del run[key]
    text = shown({**run, "reason": "RuntimeError: [red]boom[/red]"})
    assert "No result: RuntimeError: [red]boom[/red]." in text
    assert "torch 2.13.0" in text
    assert "training loss" not in text


def test_places_are_listed_from_the_head_down():
    text = shown(record())
    order = [line.split()[0] for line in text.splitlines() if line.split()[:1] and "." in line and "e+0" in line]
    assert order[-5:] == ["head", "pooler", "layer.1", "layer.0", "embeddings"]


def test_spark_draws_low_low_and_high_high_and_survives_anything():
    assert spark([1.0, 2.0, 3.0]) == "▁▄█"
    assert spark([2.0, 2.0]) == "▄▄"
    assert spark([None, float("nan"), float("inf"), 1.0, 2.0]) == "   ▁█"
    assert spark([]) == ""
    assert spark([None]) == " "
