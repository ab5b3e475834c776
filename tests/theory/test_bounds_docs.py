"""The pages on bounds: complete, their example runs, and their figures come from the script beside them."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from stabilitybench.theory import bounds

DOCS = Path(__file__).parents[2] / "docs" / "bounds"
PAGES = sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "README")


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bound_figures", DOCS / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_bound_has_a_page_and_every_page_a_figure(figures: ModuleType) -> None:
    assert sorted(figures.FIGURES) == PAGES
    index = (DOCS / "README.md").read_text("utf-8")
    text = "".join((DOCS / f"{page}.md").read_text("utf-8") for page in PAGES)
    for page in PAGES:
        assert f"]({page}.md)" in index
        assert f"({page}.svg)" in text
    for name in bounds.__all__:
        if name.islower() and name != "violated":
            assert f"bounds.{name}(" in text, name


@pytest.mark.parametrize("page", PAGES)
def test_figures_are_small_pictures(page: str) -> None:
    path = DOCS / f"{page}.svg"
    assert path.stat().st_size < 40_000
    assert ET.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize("page", PAGES)
def test_pages_say_when_the_bound_says_nothing(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    assert "**What it says.**" in text
    assert "**When it is vacuous" in text
    if page.startswith("published"):
        assert "As recalled from the paper's abstract and reconstruction; constants unverified" in text
        assert "**Where it is loose or wrong.**" in text
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (DOCS / link).exists(), link


def test_the_script_draws_the_figure_that_is_there(figures: ModuleType, tmp_path: Path) -> None:
    drawn = figures.draw("common-minimiser", tmp_path).read_text("utf-8")
    kept = (DOCS / "common-minimiser.svg").read_text("utf-8")

    def words(picture: str) -> list[str]:
        return re.findall(r"<text[^>]*>([^<]*)</text>", picture)

    assert words(drawn) == words(kept) != []


def test_the_example_of_the_index_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", (DOCS / "README.md").read_text("utf-8"), re.S)
    assert code is not None
    exec(compile(code.group(1), "docs/bounds/README.md", "exec"), {})
    assert "B3, closed form" in capsys.readouterr().out
