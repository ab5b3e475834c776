"""Commands that read, list or compute import neither torch nor transformers: each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.hub import add_dataset, add_model, serve

CHILD = """
import sys
from stabilitybench.cli import main

try:
    main()
finally:
    print("loaded:", *(name for name in ("torch", "transformers", "tokenizers") if name in sys.modules))
"""
#: Arms of every method that is shipped; those that must be told something are told it.
TOLD = {"intermediate-task": '{ intermediate-task = { task = "pocket/sentiment" } }'}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, study_template: str, tiny_bert: Path, tiny_task: Path) -> Path:
    """A folder with a finished study of four runs, reported under two names, and one of every method without runs."""
    from stabilitybench.comparison.study_report import report
    from stabilitybench.stabilizers import catalogue
    from stabilitybench.studies import Study

    folder = tmp_path_factory.mktemp("at-once")
    (folder / "study.toml").write_text(study_template.format(encoder=tiny_bert, task=tiny_task))
    for name in ("tiny", "other"):
        study = Study.from_file(
            folder / "study.toml", [f"name={name}"], store=folder / "store", results=folder / "results"
        )
        report(study.run(jobs=1, device="cpu"), study.folder)
    shipped = [name for name, cls in catalogue().items() if cls.__module__.startswith("stabilitybench.stabilizers.")]
    arms = "".join(f"{name} = [{TOLD.get(name, repr(name))}]\n" for name in shipped)
    text = study_template.partition("[arms]")[0].format(encoder="pocket/bert-small", task="")
    (folder / "methods.toml").write_text(f"{text.replace('file:', 'pocket/entailment')}[arms]\nplain = []\n{arms}")
    for name in "ab":
        (folder / f"{name}.csv").write_text("score\n" + "".join(f"0.{5 + i % 3}{i}\n" for i in range(9)))
    return folder


def loaded_after(place: Path, *arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    call = [sys.executable, "-c", CHILD, *arguments]
    done = subprocess.run(call, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("loaded:").split()


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "status study.toml",
        "status methods.toml",
        "show RUN",
        "report study.toml",
        "compare a.csv b.csv",
        "compare results/tiny results/other",
        "plan --spread 2",
        "plan --failures 0.5 0.05",
        "plan study.toml --pilot results/tiny",
        "claims --tier analytic",
        pytest.param("claims", marks=pytest.mark.slow),
        "suite list",
    ],
)
def test_reading_needs_neither_torch_nor_transformers(place: Path, command: str) -> None:
    run_id = min((place / "store" / "runs").iterdir()).name
    assert loaded_after(place, *command.replace("RUN", run_id).split()) == []


def test_the_hub_is_asked_without_transformers(place: Path, tmp_path: Path, study_template: str) -> None:
    words = [f"text {k}" for k in range(12)]
    rows = {"sentence1": words, "sentence2": words, "label": [k % 2 for k in range(12)], "idx": list(range(12))}
    add_model(tmp_path / "hub", "org/bert", "bert")
    content = {"rte": {"train": rows, "validation": rows}}
    add_dataset(tmp_path / "hub", "nyu-mll/glue", content, classes={"rte": ["entailment", "not_entailment"]})
    text = study_template.format(encoder="org/bert", task="").replace("file:", "glue/rte")
    (place / "hub.toml").write_text(text)
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    with serve(tmp_path / "hub") as hub:
        found = loaded_after(place, "status", "hub.toml", environment=keep | hub.environment(tmp_path / "home"))
    assert found == []


def test_a_file_of_the_users_own_may_import_what_it_likes(place: Path) -> None:
    (place / "mine.py").write_text(
        "from dataclasses import dataclass\nimport torch\nimport stabilitybench as sb\n"
        '@sb.register("mine")\n@dataclass(frozen=True)\nclass Mine(sb.Stabilizer):\n    """Mine."""\n'
    )
    assert "torch" in loaded_after(place, "list", "--with", "mine.py")
