"""The identity of a run: the hash of everything that determines its numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from stabilitybench.encoders import Encoder
from stabilitybench.finetuning import FORMAT, resolved, stage_identity
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Stabilizer, compose, source_fingerprint
from stabilitybench.storage.records import content_id
from stabilitybench.tasks import Task


@dataclass(frozen=True)
class RunSpec:
    """One training: encoder, task, recipe, stabilizers and seeds.

    Attributes
    ----------
    encoder : Encoder
        What is trained.
    task : Task
        The whole task.
    n_train : int or None
        Training rows drawn from it by the subset stream; None takes all.
    recipe : Recipe
        Before the stabilizers change it.
    stabilizers : tuple of Stabilizer
        As given, before they are put in the order in which they act.
    seeds : Seeds
        Of all streams.
    """

    encoder: Encoder
    task: Task
    n_train: int | None
    recipe: Recipe
    stabilizers: tuple[Stabilizer, ...]
    seeds: Seeds

    def identity(self) -> dict[str, Any]:
        """Return what determines the numbers, as plain data; default values are left out.

        Names and places of encoder and task stay outside: their content stands for them.
        """
        seeds = {stream: seed for stream, seed in asdict(self.seeds).items() if seed}
        if self.n_train is None:
            seeds.pop("subset", None)  # nothing is drawn
        recipe = resolved(self.encoder, self.task, self.recipe, self.stabilizers)
        stages = stage_identity(self.encoder, self.task, self.recipe, self.stabilizers)
        contents = {s["task"]: s["content"] for s in stages if s.get("task", "").startswith("file:")}
        identity: dict[str, Any] = {
            "format": FORMAT,
            "encoder": self.encoder.fingerprint,
            "task": self.task.fingerprint,
            "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
            "stabilizers": [
                _without_places(_stabilizer(s), contents) for s in compose(self.stabilizers, self.encoder.layout)
            ],
            "seeds": seeds,
        }
        if self.n_train is not None:
            identity["n_train"] = self.n_train
        if stages:
            identity["stages"] = [_without_places(stage, contents) for stage in stages]
        return identity

    def with_stabilizers(self, stabilizers: tuple[Stabilizer, ...]) -> RunSpec:
        """Return this run with other stabilizers.

        Parameters
        ----------
        stabilizers : tuple of Stabilizer
            All of them; those of this run are dropped.
        """
        return replace(self, stabilizers=stabilizers)

    def without_stabilizers(self) -> RunSpec:
        """Return this run with none, as it travels to a process that has not loaded them."""
        return self.with_stabilizers(())

    @cached_property
    def id(self) -> str:
        """The run id: 16 hexadecimal digits of the SHA-256 of the canonical identity."""
        return content_id(self.identity())

    def labels(self) -> dict[str, Any]:
        """Return the names a person knows the run by; they do not enter the id."""
        return {
            "encoder": self.encoder.name,
            "revision": self.encoder.revision,
            "task": self.task.name,
            "classes": list(self.task.classes),
            "stabilizers": [s.describe() for s in self.stabilizers],
            "seeds": asdict(self.seeds),
            "recipe": resolved(self.encoder, self.task, self.recipe, self.stabilizers).model_dump(mode="json"),
        }


def _stabilizer(stabilizer: Stabilizer) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": stabilizer.name, **stabilizer.parameters()}
    if stabilizer.version > 1:
        entry["version"] = stabilizer.version
    source = source_fingerprint(stabilizer)
    return entry if source is None else {**entry, "source": source}


def _without_places(entry: dict[str, Any], contents: dict[str, str]) -> dict[str, Any]:
    """Let the content of a task stand for the folder that it was read from."""
    return {k: f"file:{contents[v]}" if isinstance(v, str) and v in contents else v for k, v in entry.items()}
