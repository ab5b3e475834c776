"""Triton, where it is installed, as it is with torch for CUDA: modules of kernels are importable without it, too."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

try:
    triton: Any = import_module("triton")
    tl: Any = import_module("triton.language")
except ImportError:
    triton = tl = None


def jit(**options: Any) -> Callable[[Any], Any]:
    """Return `triton.jit` with options as a decorator; without Triton, one that changes nothing.

    Parameters
    ----------
    **options : Any
        As for `triton.jit`.
    """
    return (lambda function: function) if triton is None else triton.jit(**options)
