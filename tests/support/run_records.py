"""Stored runs as the store returns them, made by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd

PLACES = ("embeddings", "layer.0", "layer.1", "pooler", "head")


def evaluation(step: int, score: float, loss: float | None, norms: dict[str, float] | None = None) -> dict[str, Any]:
    return {
        "step": step,
        "progress": step / 30,
        "learning_rate": 3e-4,
        "train_loss": loss,
        "validation_loss": loss,
        "validation": {"accuracy": score, "f1": score},
        "gradient_norm": norms or dict.fromkeys(PLACES, 1.0),
        "distance": dict.fromkeys(PLACES, 0.5 * step),
    }


def record(
    *,
    status: str = "ok",
    test: float = 0.8,
    curve: tuple[float, ...] = (0.6, 0.7, 0.8),
    losses: tuple[float | None, ...] = (0.69, 0.5, 0.3),
    norms: dict[str, float] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the record of a run of 30 steps on two classes, evaluated three times."""
    evaluations = [evaluation(10 * (i + 1), s, x, norms) for i, (s, x) in enumerate(zip(curve, losses, strict=True))]
    both = {split: {"accuracy": test, "f1": test} for split in ("validation", "test")}
    return {
        "id": "0123456789abcdef",
        "status": status,
        "labels": {
            "encoder": "pocket/bert-small",
            "revision": None,
            "task": "pocket/acceptability",
            "classes": ["bad", "good"],
            "stabilizers": ["bert-adam"],
            "seeds": {"init": 4, "order": 4, "dropout": 4, "subset": 0, "prepare": 4},
            "recipe": {"mode": "full", "learning_rate": 3e-4, "epochs": 3.0},
        },
        "facts": {},
        "versions": {"torch": "2.13.0"},
        "machine": "x86_64 Linux",
        "scores": {"last": both, "best": both},
        "no_skill": {"validation": 0.5, "test": 0.5},
        "failed": status != "ok",
        "constant": False,
        "diverged": status == "diverged",
        "near_no_skill": status != "ok",
        "total_steps": 30,
        "best_step": 30,
        "evaluations": evaluations,
        "drawn": [],
        "frozen": [],
        "fresh": ["classifier.weight", "classifier.bias"],
        "weights": "ab" * 32,
        "seconds": 3.5,
        "device": "cpu",
        "warnings": [],
        **changes,
    }


def predictions(*logits: tuple[float, float]) -> pd.DataFrame:
    """Return stored predictions whose test rows of the last checkpoint have these logits."""
    rows = [("test", "last", f"r{i}", 0, a, b) for i, (a, b) in enumerate(logits)]
    rows += [("validation", "best", "v", 1, -9.0, 9.0)]
    return pd.DataFrame(rows, columns=["split", "checkpoint", "row", "label", "logit_0", "logit_1"])
