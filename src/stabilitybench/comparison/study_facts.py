"""What a report must say about its study beside the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StudyFacts:
    """The study behind a report, in words that can be printed.

    Attributes
    ----------
    name : str
        The study's name.
    baseline : str
        The arm against which the others are compared.
    arms : mapping of str to sequence of str
        Per arm, in the order to print, one line for each of its stabilizers and recipe overrides; an empty list is the
        plain recipe.
    recipe : mapping of str to Any
        The settings shared by all arms, for the methods paragraph, in the order to print; empty for scores that were
        made elsewhere, whose `origin` is told instead.  `mode` ("full" or "head") and `optimizer` begin the sentence;
        `learning_rate`, `batch_size`, `epochs`, `steps`, `warmup` (a fraction), `schedule`, `max_length` and
        `evaluations` have phrases of their own; other keys are printed with their values; None leaves a key out.
    varied, fixed : str
        The seed streams that differ between runs and those that do not, in words.
    references : sequence of str
        Citations of the methods compared.
    spec_toml : str
        The resolved study file.
    environment : mapping of str to str
        Versions and machine.
    warnings : sequence of str
        One sentence each, shown at the top.
    origin : str
        Where scores made elsewhere come from, a sentence.

    Examples
    --------
    >>> facts = StudyFacts("demo", "plain", {"plain": []}, {"mode": "full"}, "init and order", "subset")
    >>> facts.references
    ()
    """

    name: str
    baseline: str
    arms: Mapping[str, Sequence[str]]
    recipe: Mapping[str, Any]
    varied: str
    fixed: str
    references: Sequence[str] = ()
    spec_toml: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    origin: str = ""
