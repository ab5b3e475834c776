"""Suites and certificates from the command line: real files, and one sentence for every mistake."""

import pytest

SUITE = """
name = "mine"
title = "More samples"
factor = "n"
about = "More samples."
generator = "separable-ball"
datasets = 3

[parameters]
d = 3

[vary]
n = [8, 16]

[measure]
kind = "max-margin"
bounds = ["B2 refit", "B2 closed form"]

[[predictions]]
quantity = "data"
direction = "falls"
by = "B2"
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE)
    return "mine.toml"


def test_a_suite_runs_resumes_and_reports(cli, mine, tmp_path):
    code, out, err = cli("suite", "run", mine, "--jobs", "1", "--set", "vary.n=[8]", "--no-report")
    assert (code, err) == (0, "")
    assert "Suite  mine: 1 value of n x 3 seeds = 3 datasets" in out
    code, out, _ = cli("suite", "report", mine)
    assert code == 0
    assert "note: mine: 3 of 6 datasets are not measured yet" in out
    code, out, _ = cli("suite", "run", mine, "--jobs", "1")
    assert code == 0
    assert "running: 3 datasets to do, 3 in the store already, 1 worker" in out
    assert "6 datasets planned, 6 measured; 0 violations of proven bounds in 78 checks" in out
    assert "falls (B2)" in out
    assert "report: results/mine/report.html" in out
    for name in ("report.html", "report.md", "datasets.csv"):
        assert (tmp_path / "results" / "mine" / name).stat().st_size > 500


def test_the_list_names_every_shipped_suite_and_counts(cli):
    from stabilitybench.suites.file import shipped_suites

    code, out, _ = cli("suite", "list")
    assert code == 0
    for name in shipped_suites():
        assert name in out
    count, total = (int(word) for word in out.splitlines()[-1].split(";")[0].split() if word.isdigit())
    assert count == len(shipped_suites())
    assert total >= 500


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["suite", "run", "heat-n"], 'suite "heat-n": must be all, the path of a .toml file, or one of '),
        (["suite", "run", "nowhere.toml"], "nowhere.toml: there is no such suite file; `stabilitybench suite list`"),
        (["suite", "run", "mine.toml", "--set", "datasets=x"], 'mine.toml: datasets = "x": must be a whole number'),
        (["suite", "run", "mine.toml", "--jobs", "0"], "--jobs 0: must be at least 1"),
        (["suite", "run", "mine.toml", "--store", "mine.toml"], "--store mine.toml: is a file; must be a folder"),
        (
            ["suite", "report", "mine.toml"],
            "mine.toml: no dataset is in the store; start it with `stabilitybench",
        ),
        (["suite", "run"], "Missing argument 'NAME...'"),
        (["certify", "pocket/bert-small", "nowhere"], 'task "nowhere" is unknown'),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(cli, mine, args, words):
    code, _, err = cli(*args)
    assert code == 2
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_certificate_from_a_folder_of_files(cli, monkeypatch, tiny_bert, tiny_task):
    monkeypatch.setenv("COLUMNS", "1000")
    code, out, err = cli("certify", tiny_bert, tiny_task, "--n", "20", "--steps", "5", "--steps", "50")
    assert (code, err) == (0, "")
    assert "20 rows of 16 mean features, 2 classes, logistic loss" in out
    assert "no bias, zero start, full-batch gradient descent at learning rate" in out
    assert "gamma" in out
    rows = [line.split()[0] for line in out.splitlines() if line.split() and line.split()[0].isdigit()]
    assert rows == ["5", "50"]
