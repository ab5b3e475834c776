"""Where the data files are that come with the package: suites and claims."""

from __future__ import annotations

from pathlib import Path

from stabilitybench.errors import EnvironmentFailure


def shipped(name: str) -> Path:
    """Return the place of data that ships with the package.

    In a wheel it lies inside the package; in a checkout (an editable installation) at the top of the repository.

    Parameters
    ----------
    name : str
        Folder or file, such as ``synthetic``.

    Returns
    -------
    Path
        Where it is; it exists.

    Raises
    ------
    EnvironmentFailure
        Where the installation lacks it.

    Examples
    --------
    >>> (shipped("synthetic") / "README.md").is_file()
    True
    """
    package = Path(__file__).resolve().parent
    for place in (package / "_shipped" / name, package.parents[1] / name):
        if place.exists():
            return place
    raise EnvironmentFailure(f"{name}: is missing from this installation of stabilitybench; install it again")
