"""Stages: what trains the encoder before fine-tuning begins, as plain descriptions.

A stabilizer's `phases` returns them; `stabilitybench.finetuning` executes them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MaskedWords:
    """Learn to fill in hidden words of the task's own training texts, labels unseen (Devlin et al. 2019).

    epochs : passes over the texts.  rate : peak learning rate; None: what the encoder recommends.  mask : fraction of
    the words that are to be predicted, of which 80 % are hidden, 10 % replaced and 10 % shown.
    """

    epochs: float
    rate: float | None = None
    mask: float = 0.15


@dataclass(frozen=True)
class LabelledTask:
    """Fine-tune on another labelled task, whose head is dropped.

    task : its name, as in a study file.  epochs : passes over its rows.  rate : peak learning rate; None: what the
    encoder recommends.
    """

    task: str
    epochs: float
    rate: float | None = None


Stage = MaskedWords | LabelledTask
