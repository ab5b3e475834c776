"""The pages on methods say what the docstrings and the kept runs say, today."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Literal

import pandas as pd
import pytest
from method_page import method_page, paragraphs

from stabilitybench.errors import UserError
from stabilitybench.stabilizers import Stabilizer, catalogue

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "stabilizers"


def shipped() -> dict[str, type[Stabilizer]]:
    return {n: c for n, c in catalogue().items() if c.__module__.startswith("stabilitybench.stabilizers.")}


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("method_pages", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_what_the_generator_writes_today(generate: ModuleType, tmp_path: Path) -> None:
    index = tmp_path / "stabilizers.md"
    index.write_text((DOCS / "stabilizers.md").read_text("utf-8"), encoding="utf-8")
    written = generate.write(tmp_path, index, figures=False)
    assert sorted(path.stem for path in written) == sorted(shipped()) == sorted(p.stem for p in FOLDER.glob("*.md"))
    hint = "run: python docs/stabilizers/generate.py"
    for path in written:
        assert path.read_text("utf-8") == (FOLDER / path.name).read_text("utf-8"), hint
    assert index.read_text("utf-8") == (DOCS / "stabilizers.md").read_text("utf-8"), hint


@pytest.mark.parametrize("name", shipped())
def test_a_docstring_holds_what_a_page_needs(name: str) -> None:
    cls = shipped()[name]
    text = paragraphs(cls)
    assert "`" in text[0], "begin with the formula, as code"
    assert any(part.startswith("Modifies:") for part in text)
    if fields(cls):  # type: ignore[arg-type]
        assert re.search(r"default|ours|authors|released", " ".join(text).lower()), "say where the defaults come from"
    assert re.search(r"\d{4}", cls.paper), "name the paper with its year"


@pytest.mark.parametrize("name", shipped())
def test_links_and_figures_of_a_page_are_there(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n\n{shipped()[name].summary()}\n")
    for title in ("## Parameters", "## Where it works", "## Cost", "## Measured"):
        assert title in text
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (FOLDER / link).exists(), link
    if f"({name}.svg)" in text:
        picture = FOLDER / f"{name}.svg"
        assert picture.stat().st_size < 120_000
        assert ET.parse(picture).getroot().tag.endswith("svg")


def test_the_figure_has_the_same_bytes_each_time(generate: ModuleType) -> None:
    runs = generate.read_runs()
    arms = [generate.BASELINE, "reinit"]
    own = runs[runs["arm"].isin(arms)]
    assert generate.method_figure(own, arms) == generate.method_figure(own, arms)


def test_kept_runs_are_whole_and_of_one_baseline(generate: ModuleType) -> None:
    runs = generate.read_runs()
    assert generate.BASELINE in set(runs["arm"])
    assert not runs.duplicated(["encoder", "task", "arm", "seed"]).any()
    known = shipped()
    for told in runs["stabilizers"].unique():
        assert {part.partition("(")[0] for part in told.split(" + ")} <= set(known), told


def test_collecting_again_replaces_and_adds(generate: ModuleType, tmp_path: Path, tiny_bert, tiny_task) -> None:
    def study(file: str, arms: str, seeds: int) -> str:
        text = f'''name = "{file}"
encoders = ["{tiny_bert}"]
tasks = ["file:{tiny_task}"]
seeds = {seeds}
baseline = "plain"
[recipe]
steps = 1
evaluations = 1
[arms]
plain = []
{arms}
'''
        path = tmp_path / f"{file}.toml"
        path.write_text(text)
        generate.Study.from_file(path, store=tmp_path / "store", results=tmp_path / "results").run(jobs=1)
        return str(path)

    table = tmp_path / "methods.csv"
    store = str(tmp_path / "store")
    assert generate.collect(study("one", "ema = [{ ema = { decay = 0.5 } }]", 2), store, table) == 4
    first = table.read_bytes()
    assert generate.collect(study("two", 'swa = ["swa"]', 2), store, table) == 6
    assert generate.collect(study("two-b", 'swa = ["swa"]', 2), store, table) == 6
    frame = pd.read_csv(table, keep_default_na=False)
    assert list(frame["arm"]) == ["ema"] * 2 + ["plain"] * 2 + ["swa"] * 2
    assert set(frame["stabilizers"]) == {"", "ema(decay=0.5)", "swa"}
    assert set(first.decode().splitlines()[1:]) <= set(table.read_text().splitlines())


@dataclass(frozen=True)
class Made(Stabilizer):
    """Do nothing.

    ``w <- w`` for all.

    Modifies: nothing.
    """

    name = "made"
    share: float = 0.5
    count: int = 3
    kind: Literal["a", "b"] = "a"
    rate: float | None = None
    on: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share = {self.share}: must lie in [0, 1]")
        if self.count < 1:
            raise ValueError(f"count = {self.count}: must be at least 1")

    def supports(self, recipe, layout, task) -> None:  # type: ignore[no-untyped-def]
        if layout.architecture == "albert":
            raise UserError("made cannot work on albert")
        if task.kind == "regression":
            raise UserError("made needs classes")


def test_ranges_and_refusals_come_from_the_class_itself() -> None:
    page = method_page(Made, None, None, {"time": 1.234, "memory": 2.0})
    assert "| `share` | a number in [0, 1] | `0.5` |" in page
    assert "| `count` | a whole number at least 1 | `3` |" in page
    assert '| `kind` | `"a"` or `"b"` | `"a"` |' in page
    assert "| `rate` | a number, or unset | unset |" in page
    assert "| `on` | `true` or `false` | `true` |" in page
    assert "- ALBERT: *made cannot work on albert*" in page
    assert "- BERT, RoBERTa, ELECTRA, DistilBERT, regression: *made needs classes*" in page
    assert "`w <- w` for all." in page
    assert "1.23 times the CPU time of a plain one" in page
    assert "Not measured yet." in page
