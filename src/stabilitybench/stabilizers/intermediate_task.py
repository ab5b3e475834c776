"""Intermediate-task transfer (STILTs): another labelled task first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stabilitybench.errors import UserError
from stabilitybench.stabilizers.base import Stabilizer
from stabilitybench.stabilizers.context import TaskFacts
from stabilitybench.stabilizers.registry import register
from stabilitybench.stabilizers.stages import LabelledTask, Stage
from stabilitybench.stabilizers.surt import check_rate
from stabilitybench.stabilizers.traits import Position

if TYPE_CHECKING:
    from stabilitybench.encoders import Layout
    from stabilitybench.recipe import Recipe


@register("intermediate-task")
@dataclass(frozen=True)
class IntermediateTask(Stabilizer):
    """Fine-tune on another labelled task first, drop its head, and go on from there.

    Supplementary training on intermediate labelled-data tasks: ``w_0 = fine-tuned on `task` for `epochs` passes``,
    everything but the head kept.

    Modifies: embeddings, layers and pooler at step 0.  stage_rate: peak rate of the first training; by default what
    the encoder recommends.  The stage has the recipe's batches, warm-up, decay, clipping and length of text, and Adam
    with bias correction.

    Defaults: 3 epochs, the authors', who train BERT-large on MNLI at 2e-5, as Zhang et al. do: name
    ``task = "glue/mnli"`` for that.  The task is an embedded one, which suits embedded encoders alone.
    """

    paper = "Phang, Févry & Bowman 2018, arXiv:1811.01088; for variance: Zhang et al. 2021, arXiv:2006.05987"
    position = Position.TASK_STAGE
    task: str = "pocket/entailment"
    epochs: float = 3.0
    stage_rate: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.epochs <= 100_000:
            raise ValueError(f"epochs = {self.epochs}: must lie in [0, 100000]")
        check_rate("stage_rate", self.stage_rate)

    def supports(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> None:
        """Refuse the target itself, and an embedded task before a real one."""
        if task.name == self.task:
            raise UserError(f'intermediate-task.task = "{self.task}" is the target itself: name another task')
        if self.task.startswith("pocket/") and task.name.startswith(("glue/", "superglue/", "file:")):
            raise UserError(
                f'intermediate-task.task = "{self.task}" is in the embedded language, "{task.name}" is not: name a '
                'task such as "glue/mnli"'
            )

    def phases(self, recipe: Recipe, layout: Layout, task: TaskFacts) -> tuple[Stage, ...]:
        """Train on the other task."""
        return (LabelledTask(self.task, self.epochs, self.stage_rate),) if self.epochs else ()

    def neutral(self) -> IntermediateTask:
        """Train for no epoch."""
        return IntermediateTask(self.task, epochs=0)
