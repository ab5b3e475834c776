"""The data that comes with the package is found in a wheel and in a checkout."""

import tomllib
from pathlib import Path

import pytest

from stabilitybench import data_files as module
from stabilitybench.data_files import shipped
from stabilitybench.errors import EnvironmentFailure

TOP = Path(__file__).parents[1]


def test_the_wheel_carries_what_the_function_looks_for():
    wheel = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["synthetic"] == "stabilitybench/_shipped/synthetic"
    assert list((TOP / "synthetic").glob("*.toml"))


def test_a_wheel_s_own_copy_comes_first_and_a_missing_one_is_said(tmp_path, monkeypatch):
    package = tmp_path / "site" / "stabilitybench"
    inside = package / "_shipped" / "synthetic"
    inside.mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(package / "data_files.py"))
    assert shipped("synthetic") == inside
    with pytest.raises(EnvironmentFailure, match=r"claims\.toml: is missing from this installation"):
        shipped("claims.toml")
