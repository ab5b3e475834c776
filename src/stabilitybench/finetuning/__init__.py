"""Fine-tuning: one run from its inputs to its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stabilitybench.lazy import lazy_names

if TYPE_CHECKING:
    from stabilitybench.finetuning.format import FORMAT
    from stabilitybench.finetuning.outcome import Evaluation, Outcome, Predictions
    from stabilitybench.finetuning.resolution import resolved, stage_identity
    from stabilitybench.finetuning.training import finetune

__all__ = ["FORMAT", "Evaluation", "Outcome", "Predictions", "finetune", "resolved", "stage_identity"]

#: Planned and stored runs need the words of a run, and no torch to train one.
__getattr__ = lazy_names(
    __name__,
    {
        "FORMAT": "format",
        "Evaluation": "outcome",
        "Outcome": "outcome",
        "Predictions": "outcome",
        "finetune": "training",
        "resolved": "resolution",
        "stage_identity": "resolution",
    },
)
