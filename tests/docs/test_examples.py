"""Every shipped example is run, on a tiny encoder and few steps."""

import tomllib
from pathlib import Path

import pytest

from stabilitybench.stabilizers import load_file
from stabilitybench.studies import Study
from stabilitybench.studies.file import parse, read

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.toml"))


@pytest.fixture(scope="module", autouse=True)
def own_methods():
    for path in EXAMPLES.glob("*.py"):
        load_file(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_a_valid_study_that_says_how_to_run_it(path):
    study = read(path)
    assert parse(study.plain()) == study
    assert f"stabilitybench run examples/{path.name}" in path.read_text()


def test_names_are_not_taken_twice():
    names = [read(path).name for path in FILES]
    assert len(names) == len(set(names)) == len(FILES) > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_runs_to_its_end(path, tiny_bert, tiny_task, tmp_path):
    raw = tomllib.loads(path.read_text())
    raw |= {"encoders": [str(tiny_bert)], "tasks": [f"file:{tiny_task}"], "seeds": 1}
    raw["recipe"] = {"steps": 2, "evaluations": 1}
    for arm, entry in raw["arms"].items():
        stabilizers = entry["stabilizers"] if isinstance(entry, dict) else entry
        # The tiny encoder has two layers; a stabilizer may ask for more.
        for one in stabilizers:
            if isinstance(one, dict) and "layers" in (given := next(iter(one.values()))):
                given["layers"] = 1
        own = {"batch_size": 4} if isinstance(entry, dict) else {}
        raw["arms"][arm] = {"stabilizers": stabilizers, "recipe": own}
    study = Study.from_dict(raw, store=tmp_path / "store", results=tmp_path / "results")
    results = study.run(jobs=1, device="cpu")
    assert results.complete
    assert list(dict.fromkeys(results.to_frame().arm)) == list(raw["arms"])


def test_the_quick_start_is_four_arms_on_two_tasks_with_twenty_seeds():
    study = read(EXAMPLES / "quickstart.toml")
    assert study.name == "quickstart"
    assert (len(study.arms), len(study.tasks), study.seeds) == (4, 2, 20)
    assert study.baseline == "debiased"
    assert study.arms["debiased"].stabilizers == []
