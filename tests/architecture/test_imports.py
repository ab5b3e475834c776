"""No file of the package imports itself in a circle, and none is hidden by a name of its package."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import grimp
import pytest

import stabilitybench


def circles(package: str) -> list[list[str]]:
    """Return the groups of files that import each other, in functions too; imports for type checkers do not count."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    found, order, low, stack = [], {}, {}, []

    def visit(module: str) -> None:  # Tarjan (1972)
        order[module] = low[module] = len(order)
        stack.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in order:
                visit(imported)
            if imported in stack:
                low[module] = min(low[module], low[imported])
        if low[module] == order[module]:
            place = stack.index(module)
            group = stack[place:]
            del stack[place:]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph.modules):
        if module not in order:
            visit(module)
    return found


def hidden(package: ModuleType) -> Iterator[str]:
    """Yield the modules whose name means something else in the package that holds them."""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = import_module(info.name)
        parent, _, name = info.name.rpartition(".")
        if getattr(import_module(parent), name) is not module:
            yield info.name


def plant(folder: Path, name: str, files: dict[str, str]) -> None:
    for path, text in {"__init__.py": "", **files}.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def planted(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_no_file_imports_itself_in_a_circle():
    assert circles("stabilitybench") == []


def test_a_planted_circle_is_found_however_deep_it_lies(planted):
    plant(planted, "planted_circle", {
        "room/__init__.py": "",
        "room/one.py": "from planted_circle.room.two import x\n",
        "room/two.py": "def late():\n    from planted_circle.room import three\n\n    return three\n",
        "room/three.py": "import planted_circle.room.one\n",
        "room/apart.py": "from planted_circle.room import one\n",
    })  # fmt: skip
    assert circles("planted_circle") == [[f"planted_circle.room.{name}" for name in ("one", "three", "two")]]


def test_what_only_type_checkers_import_is_no_circle(planted):
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from planted_types.two import x\n"
    plant(planted, "planted_types", {"one.py": typed, "two.py": "import planted_types.one\n"})
    assert circles("planted_types") == []


def test_no_module_is_hidden_by_a_name_of_its_package():
    assert list(hidden(stabilitybench)) == []


def test_a_planted_module_that_is_hidden_is_found(planted):
    plant(planted, "planted_hidden", {
        "room/__init__.py": "from planted_hidden.room.task import task\n",
        "room/task.py": "def task():\n    pass\n",
    })  # fmt: skip
    assert list(hidden(import_module("planted_hidden"))) == ["planted_hidden.room.task"]
