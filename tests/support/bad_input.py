"""A bad input for the command line: what is written before, and the command that meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONG = "n" * 300
DEEP = "[" * 100_000
DIGITS = "9" * 5_000
EVIL = "\x1b[31mred\x1b]0;title\x07\u202eabc"
Prepare = Callable[[Path], object]


@dataclass(frozen=True)
class BadInput:
    """A command in a folder that `prepare` spoils; the folder holds a valid study.toml, task, encoder and scores."""

    name: str
    args: tuple[str, ...]
    prepare: Prepare = lambda folder: None


def write(name: str, content: str | bytes) -> Prepare:
    def prepare(folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    return prepare
