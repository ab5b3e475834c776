"""Stages: what trains the encoder before fine-tuning begins, as plain descriptions.

A stabilizer's `phases` returns them; `stabilitybench.finetuning` executes them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MaskedWords:
    """Learn to fill in hidden words of the task's own training texts, labels unseen.

    Attributes
    ----------
    epochs : float
        Passes over the texts.
    rate : float, optional
        Peak learning rate; None: what the encoder recommends.
    mask : float, default 0.15
        Fraction of the words that are to be predicted, of which 80 % are hidden, 10 % replaced and 10 % shown.

    References
    ----------
    Devlin et al. 2019, arXiv:1810.04805.
    """

    epochs: float
    rate: float | None = None
    mask: float = 0.15


@dataclass(frozen=True)
class LabelledTask:
    """Fine-tune on another labelled task, whose head is dropped.

    Attributes
    ----------
    task : str
        Its name, as in a study file.
    epochs : float
        Passes over its rows.
    rate : float, optional
        Peak learning rate; None: what the encoder recommends.
    """

    task: str
    epochs: float
    rate: float | None = None


Stage = MaskedWords | LabelledTask
