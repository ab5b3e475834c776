"""`stabilitybench claims`."""

import pytest
from typer.testing import CliRunner

from stabilitybench.cli import app
from stabilitybench.errors import UserError


def test_the_command_prints_a_line_for_each_check_and_exports(tmp_path):
    result = CliRunner().invoke(app, ["claims", "--tier", "analytic", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "zhang-update-ratio" in result.output
    assert "supported" in result.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["claims.csv", "claims.html", "claims.md"]


def test_an_unknown_tier_is_named():
    result = CliRunner().invoke(app, ["claims", "--tier", "pockt"])
    assert isinstance(result.exception, UserError)
    assert 'did you mean "pocket"' in str(result.exception)


@pytest.mark.slow
def test_all_kept_tables_are_judged():
    result = CliRunner().invoke(app, ["claims"])
    assert result.exit_code == 0, result.output
    assert "contradicted" in result.output
