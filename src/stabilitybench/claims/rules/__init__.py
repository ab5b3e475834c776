"""The rules that decide on claims: one file each, with the fields of its checks, its judgement, and nothing else's.

A new rule is a new file here with a subclass of `Check` whose ``rule`` is a literal text.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import get_args

from stabilitybench.claims.rules.base import Check


def _found() -> dict[str, type[Check]]:
    """Return the checks of every file of this folder, by the name of their rule."""
    checks: dict[str, type[Check]] = {}
    for module in pkgutil.iter_modules(__path__):
        for found in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(found, type) and issubclass(found, Check):
                for rule in get_args(found.model_fields["rule"].annotation):
                    checks[rule] = found
    return checks


RULES = _found()
