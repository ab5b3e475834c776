"""Fine-tuning: one run from its inputs to its outcome."""

from stabilitybench.finetuning.format import FORMAT
from stabilitybench.finetuning.outcome import Evaluation, Outcome, Predictions
from stabilitybench.finetuning.training import finetune, resolved, stage_identity

__all__ = ["FORMAT", "Evaluation", "Outcome", "Predictions", "finetune", "resolved", "stage_identity"]
