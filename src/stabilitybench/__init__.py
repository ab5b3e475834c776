"""Measure how stable the fine-tuning of pretrained encoders is, and what makes it more stable.

>>> import stabilitybench as sb
>>> study = sb.Study.from_dict({
...     "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "seeds": 2,
...     "baseline": "plain", "arms": {"plain": [], "reinit": ["reinit"]}, "recipe": {"steps": 2},
... })
>>> len(study.plan())
4
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stabilitybench.lazy import lazy_names

if TYPE_CHECKING:
    from stabilitybench.encoders import load_encoder
    from stabilitybench.errors import EnvironmentFailure, UserError
    from stabilitybench.finetuning import finetune
    from stabilitybench.recipe import Recipe
    from stabilitybench.reports import compare
    from stabilitybench.seeds import Seeds
    from stabilitybench.stabilizers import Stabilizer, build, compose, register
    from stabilitybench.studies import Results, Store, Study
    from stabilitybench.tasks import load_task

    __version__: str

#: Where each public name stands; it is imported when it is first asked for, since torch alone takes seconds.
_PUBLIC = {
    "EnvironmentFailure": "errors",
    "Recipe": "recipe",
    "Results": "studies",
    "Seeds": "seeds",
    "Stabilizer": "stabilizers",
    "Store": "studies",
    "Study": "studies",
    "UserError": "errors",
    "build": "stabilizers",
    "compare": "reports",
    "compose": "stabilizers",
    "finetune": "finetuning",
    "load_encoder": "encoders",
    "load_task": "tasks",
    "register": "stabilizers",
}

__all__ = [
    "EnvironmentFailure",
    "Recipe",
    "Results",
    "Seeds",
    "Stabilizer",
    "Store",
    "Study",
    "UserError",
    "__version__",
    "build",
    "compare",
    "compose",
    "finetune",
    "load_encoder",
    "load_task",
    "register",
]


_find = lazy_names(__name__, _PUBLIC)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("stabilitybench")
    return _find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
