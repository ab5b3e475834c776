"""Versions of the code that made a run: what they were, and the sentence that says where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

#: What computes the numbers of a run.
CODE = ("stabilitybench", "torch", "transformers")


def code_versions(versions: Mapping[str, str]) -> str:
    """Return the versions of the code as one text, in a fixed order.

    Parameters
    ----------
    versions : mapping of str to str
        Versions by package; one that is missing is unknown.

    Examples
    --------
    >>> code_versions({"torch": "2.9.1", "stabilitybench": "0.1.0", "transformers": "5.0.0", "numpy": "2.0.0"})
    'stabilitybench 0.1.0, torch 2.9.1, transformers 5.0.0'
    """
    return ", ".join(f"{package} {versions.get(package, 'unknown')}" for package in CODE)


def mixed_versions(runs: Iterable[str]) -> list[str]:
    """Return one sentence where runs were made by different versions, nothing otherwise.

    Parameters
    ----------
    runs : iterable of str
        For each run the text that `code_versions` gives.

    Examples
    --------
    >>> mixed_versions(["torch 2.9.1", "torch 2.9.1", "torch 2.8.0"])
    ['Runs come from different versions of the code, and may differ by that alone: torch 2.9.1 (2 runs), 2.8.0 (1 run)']
    """
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        for part in run.split(", "):
            package, _, version = part.partition(" ")
            counts.setdefault(package, Counter())[version] += 1
    told = [
        f"{package} " + ", ".join(f"{version} ({n} run{'s' if n > 1 else ''})" for version, n in found.most_common())
        for package, found in counts.items()
        if len(found) > 1
    ]
    lead = "Runs come from different versions of the code, and may differ by that alone"
    return [f"{lead}: {'; '.join(told)}"] if told else []
