"""The lists of what may stand in a study file."""

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

import stabilitybench.stabilizers.registry as registry
from stabilitybench.cli.views.catalogue import catalogue_tables
from stabilitybench.encoders import pocket_encoders
from stabilitybench.errors import UserError
from stabilitybench.stabilizers import Stabilizer, catalogue, register
from stabilitybench.tasks import task_catalogue


def shown(kind, width=80):
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    for table in catalogue_tables(kind):
        console.print(table)
    return console.file.getvalue()


def test_everything_is_listed_and_fits_a_terminal():
    text = shown("all")
    first_words = {line.split()[0] for line in text.splitlines() if line.split()}
    assert set(catalogue()) | {name for name, _ in task_catalogue()} | set(pocket_encoders()) <= first_words
    assert max(map(len, text.splitlines())) <= 80


def test_a_stabilizer_comes_with_summary_parameters_and_paper():
    text = shown("stabilizers", width=200)
    assert "Start the pooler and the top `layers` layers from new weights" in text
    assert "layers = 1, pooler = unset" in text
    assert "arXiv:2006.05987, section 5" in text


@pytest.mark.parametrize("kind", ["stabilizers", "tasks", "encoders"])
def test_one_kind_alone(kind):
    assert shown(kind).split()[0] == kind.capitalize()
    assert len(catalogue_tables(kind)) == 1


def test_a_stabilizer_of_ones_own_is_printed_as_text_not_markup(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @register("odd-one")
    @dataclass(frozen=True)
    class OddOne(Stabilizer):
        """Do [red]nothing[/red] at all."""

        on: bool = True

    assert "Do [red]nothing[/red] at all." in shown("stabilizers", width=200)
    assert "on = true" in shown("stabilizers", width=200)


def test_an_unknown_kind():
    with pytest.raises(UserError, match=r'list "task": must be one of all, stabilizers, .*did you mean "tasks"'):
        catalogue_tables("task")
