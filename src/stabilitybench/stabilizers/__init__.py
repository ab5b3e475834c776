"""Stabilizers: the contract, the registry, composition, and one file for each published method."""

from stabilitybench.stabilizers.base import Batch, Context, Forward, Stabilizer, TaskFacts
from stabilitybench.stabilizers.compose import apply_recipe, compose
from stabilitybench.stabilizers.registry import build, catalogue, load_file, loaded_files, register, source_fingerprint

__all__ = [
    "Batch",
    "Context",
    "Forward",
    "Stabilizer",
    "TaskFacts",
    "apply_recipe",
    "build",
    "catalogue",
    "compose",
    "load_file",
    "loaded_files",
    "register",
    "source_fingerprint",
]
