"""`make test-lowest` tests the bounds that pyproject.toml declares, and none of them lies lower than can be installed.

The name keeps this file out of the other test commands, whose versions come from constraints.txt.
"""

from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

INSTALLED = ("", "dev")  # the package itself and the extra that `make test-lowest` installs
PINNED = ("torch",)  # comes from constraints.txt: its other builds take several GB


def declared() -> list[Requirement]:
    """Return the installed dependencies, as the package declares them."""
    every = map(Requirement, requires("stabilitybench") or [])
    wanted = [r for r in every if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in INSTALLED)]
    return [r for r in wanted if r.name not in PINNED]


@pytest.mark.parametrize("requirement", declared(), ids=lambda requirement: requirement.name)
def test_a_dependency_is_installed_in_the_lowest_version_declared(requirement):
    bounds = [s.version for s in requirement.specifier if s.operator == ">="]
    assert [Version(bound) for bound in bounds] == [Version(version(requirement.name))]
