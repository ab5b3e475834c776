"""The tiny encoders and tasks of `stabilitybench.testing`, and transformers' own models beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stabilitybench.tasks.base import Task
from stabilitybench.testing.small import FAMILIES, LAYERS, WIDTH, config_of
from stabilitybench.testing.small import small_encoder as save_family
from stabilitybench.testing.small import small_task as make_task

__all__ = ["FAMILIES", "LAYERS", "WIDTH", "config_of", "make_task", "relabel", "save_family", "stock_model"]


def stock_model(folder: Path, outputs: int, params: dict[str, torch.Tensor], **changes: Any) -> Any:
    """Return transformers' own classifier of the checkpoint, in evaluation mode, with the given weights in it."""
    from transformers import AutoModelForSequenceClassification

    from stabilitybench.encoders.silence import quiet

    with quiet(), torch.random.fork_rng(devices=[]):
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=outputs, **changes)
    own = dict(model.named_parameters())
    assert set(own) == set(params)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(params[name])
    return model.eval()


def relabel(task: Task, split: str, labels: Any) -> Task:
    """Return the task with other labels in one split."""
    return replace(task, **{split: replace(getattr(task, split), labels=np.asarray(labels))})
