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
    from stabilitybench.comparison import compare
    from stabilitybench.comparison.study_report import report
    from stabilitybench.encoders import load_encoder
    from stabilitybench.errors import EnvironmentFailure, UserError
    from stabilitybench.finetuning import finetune
    from stabilitybench.planning.plan import plan
    from stabilitybench.recipe import Recipe
    from stabilitybench.seeds import Seeds
    from stabilitybench.stabilizers import Stabilizer, build, compose, register
    from stabilitybench.studies import Results, Store, Study
    from stabilitybench.suites import Suite
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
    "Suite": "suites",
    "UserError": "errors",
    "build": "stabilizers",
    "compare": "comparison",
    "compose": "stabilizers",
    "finetune": "finetuning",
    "load_encoder": "encoders",
    "load_task": "tasks",
    "plan": "planning.plan",
    "register": "stabilizers",
    "report": "comparison.study_report",
}

__all__ = [
    "EnvironmentFailure",
    "Recipe",
    "Results",
    "Seeds",
    "Stabilizer",
    "Store",
    "Study",
    "Suite",
    "UserError",
    "__version__",
    "build",
    "compare",
    "compose",
    "finetune",
    "load_encoder",
    "load_task",
    "plan",
    "register",
    "report",
]


_find = lazy_names(__name__, _PUBLIC)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("stabilitybench")
    return _find(name)


def __dir__() -> list[str]:
    """Return what is ours: the public names, whether or not they were asked for before."""
    return list(__all__)
