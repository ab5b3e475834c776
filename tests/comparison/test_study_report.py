"""From results to a report: what the page says of the study must be what was run."""

import tomllib

import pytest

from stabilitybench.comparison.study_report import report, study_facts
from stabilitybench.studies import Study
from stabilitybench.studies.file import parse


@pytest.fixture(scope="module")
def raw(tiny_bert, tiny_task):
    return {
        "name": "tiny",
        "encoders": [str(tiny_bert)],
        "tasks": [f"file:{tiny_task}"],
        "seeds": 2,
        "baseline": "bert-adam",
        "recipe": {"steps": 2, "evaluations": 1, "learning_rate": 1e-3},
        "arms": {
            "bert-adam": ["bert-adam"],
            "plain": [],
            "reinit": {"stabilizers": [{"reinit": {"layers": 2}}], "recipe": {"batch_size": 8}},
        },
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("study-report")
    return {"store": base / "store", "results": base / "results"}


@pytest.fixture(scope="module")
def results(raw, folders):
    return Study.from_dict(raw, **folders).run(jobs=1, device="cpu")


def test_the_report_is_written_and_the_comparison_covers_every_arm(results, tmp_path):
    comparison, paths = report(results, tmp_path)
    assert [cell.arm for cell in comparison.cells] == ["bert-adam", "plain", "reinit"]
    assert [cell.n for cell in comparison.cells] == [2, 2, 2]
    page = paths.html.read_text("utf-8")
    for words in ("reinit with layers = 2", "Zhang et al. 2021", "batch_size = 8", "init, order, dropout and prepare"):
        assert words in page, words
    assert len(paths.csv.read_text().splitlines()) == 1 + 6


def test_stored_predictions_are_set_against_each_other(results, raw, folders, tmp_path):
    store = Study.from_dict(raw, **folders).store
    _, paths = report(results, tmp_path, store.predictions)
    text = paths.markdown.read_text("utf-8")
    table = text.partition("## Instability measures")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row[2].strip() for row in rows] == ["bert-adam", "plain", "reinit"]
    first, second = (
        store.predictions(run.spec.id).query("split == 'test' and checkpoint == 'last'")[["logit_0", "logit_1"]]
        for run in results.runs
        if run.arm == "plain"
    )
    differ = (first.to_numpy().argmax(axis=1) != second.to_numpy().argmax(axis=1)).mean()
    assert float(rows[1][4]) == round(100 * differ, 1)
    assert 'id="predictions"' in paths.html.read_text("utf-8")


def test_the_printed_study_file_is_the_study(results):
    printed = study_facts(results).spec_toml
    assert parse(tomllib.loads(printed)) == results.study


def test_an_arm_is_told_with_all_its_settings_its_paper_and_what_it_changes(results):
    arms = study_facts(results).arms
    assert arms["plain"] == []
    assert arms["reinit"] == [
        "reinit with layers = 2 after Zhang et al. 2021, arXiv:2006.05987, section 5",
        "batch_size = 8",
    ]
    assert arms["bert-adam"][0].startswith('bert-adam with variant = "hf" after Devlin et al. 2019')
    assert arms["bert-adam"][1] == 'which sets bias_correction = false, decay_order = "after"'


def test_the_recipe_is_the_one_that_all_arms_share(results):
    recipe = study_facts(results).recipe
    assert recipe["optimizer"] == "AdamW"
    assert recipe["learning_rate"] == 1e-3
    assert recipe["batch_size"] == 16
    assert (recipe["steps"], recipe["epochs"]) == (2, None)


def test_an_unset_rate_is_that_of_each_encoder(raw, tiny_roberta):
    encoders = [*raw["encoders"], "pocket/bert-small"]
    plain = {**raw, "encoders": encoders, "recipe": {"steps": 2}, "arms": {"bert-adam": ["bert-adam"]}}
    said = study_facts(Study.from_dict(plain).results()).recipe["learning_rate"]
    assert said.startswith(f"2e-05 for {encoders[0]}, ")
    assert said.endswith(" for pocket/bert-small")
    alone = {**plain, "encoders": [str(tiny_roberta)]}
    assert study_facts(Study.from_dict(alone).results()).recipe["learning_rate"] == 2e-5


@pytest.mark.parametrize(
    ("seeds", "varied", "fixed"),
    [
        (3, "init, order, dropout and prepare (together)", "subset"),
        (1, "nothing", "init, order, dropout, subset and prepare"),
        ({"init": 2, "order": 3}, "init and order (crossed)", "dropout, subset and prepare"),
        ({"order": 3, "init": 1}, "order", "init, dropout, subset and prepare"),
    ],
)
def test_what_varied_and_what_did_not(raw, seeds, varied, fixed):
    facts = study_facts(Study.from_dict({**raw, "seeds": seeds}).results())
    assert (facts.varied, facts.fixed) == (varied, fixed)


def test_warnings_and_environment_come_from_the_runs(results):
    facts = study_facts(results)
    assert any("the dev set was split once" in text for text in facts.warnings)
    assert facts.environment["device"] == "cpu"
    assert facts.environment["torch"].startswith("2.")
    first = next(iter(results.records.values()))
    before = first["versions"]["torch"]
    first["versions"]["torch"] = "1.0"
    try:
        facts = study_facts(results)
        assert facts.environment["torch"] == f"{before} (5 runs), 1.0 (1 run)"
        assert any(text.endswith(f": torch {before} (5 runs), 1.0 (1 run)") for text in facts.warnings)
    finally:
        first["versions"]["torch"] = before


def test_tuning_says_what_was_chosen_and_that_its_seeds_are_apart(raw, folders):
    tune = {"seeds": 2, "grid": {"learning_rate": [1e-4, 1e-2]}}
    arms = {"bert-adam": ["bert-adam"], "plain": []}
    study = Study.from_dict({**raw, "name": "tuned", "arms": arms, "tune": tune}, **folders)
    results = study.run(jobs=1, device="cpu")
    facts = study_facts(results)
    assert (
        "over 2 seeds of their own (10000 and up, apart from the seeds reported) for each arm" in facts.recipe["tuned"]
    )
    assert "learning_rate from [0.0001, 0.01]" in facts.recipe["tuned"]
    chosen = next(iter(results.tuned.values()))["learning_rate"]
    assert f"tuned on {study.file.tasks[0].label}: learning_rate = {chosen}" in facts.arms["bert-adam"]
    assert parse(tomllib.loads(facts.spec_toml)) == study.file
    assert report(results, study.folder)[1].html.exists()


def test_what_an_arm_sets_itself_was_not_tuned(raw, folders):
    tune = {"seeds": 1, "grid": {"learning_rate": [1e-4, 1e-2], "batch_size": [8, 16]}}
    arms = {"bert-adam": ["bert-adam"], "own": {"stabilizers": [], "recipe": {"learning_rate": 5e-3}}}
    study = Study.from_dict({**raw, "name": "own-rate", "arms": arms, "tune": tune}, **folders)
    facts = study_facts(study.run(jobs=1, device="cpu"))
    (said,) = (line for line in facts.arms["own"] if line.startswith("tuned on"))
    assert "batch_size" in said
    assert "learning_rate" not in said


def test_an_unfinished_study_is_reported_with_what_it_has(results, raw, folders, tmp_path):
    more = Study.from_dict({**raw, "seeds": 3}, **folders).results()
    comparison, paths = report(more, tmp_path)
    assert [(cell.planned, cell.n) for cell in comparison.cells] == [(3, 2)] * 3
    assert "3 of 9 planned runs are not finished" in paths.markdown.read_text()
