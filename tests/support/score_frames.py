"""Synthetic studies in the shape that reports take."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stabilitybench.comparison import StudyFacts

NO_SKILL = 0.5


def study_frames(
    cells: dict[tuple[str, str], np.ndarray],
    *,
    encoder: str = "pocket/bert-small",
    metric: str = "accuracy",
    evaluations: int = 10,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (scores, curves) for scores given per (task, arm); NaN is a run that is missing."""
    rows, points = [], []
    rng = np.random.default_rng(7)
    for (task, arm), values in cells.items():
        for seed, score in enumerate(np.asarray(values, dtype=float)):
            run_id = f"{len(rows):04x}{rng.integers(16**12):012x}"
            missing = bool(np.isnan(score))
            failed = not missing and bool(score <= NO_SKILL)
            rows.append(
                {
                    "run_id": run_id,
                    "encoder": encoder,
                    "task": task,
                    "arm": arm,
                    "seed": seed,
                    "seed_init": seed,
                    "seed_order": seed,
                    "seed_dropout": seed,
                    "seed_subset": 0,
                    "seed_prepare": seed,
                    "n_train": 1000,
                    "status": "missing" if missing else "failed" if failed else "ok",
                    "metric": metric,
                    "score": score,
                    "score_best": score + 0.003,
                    "validation": score + 0.01,
                    "validation_best": score + 0.02,
                    "no_skill": np.nan if missing else NO_SKILL,
                    "failed": failed,
                    "near_no_skill": not missing and bool(score <= NO_SKILL + 0.03),
                    "constant": failed and seed % 2 == 0,
                    "train_loss": np.nan if missing else 0.69 if failed else 0.2 + 0.01 * seed,
                    "seconds": np.nan if missing else 3.5,
                    "device": np.nan if missing else "cpu",
                }
            )
            if missing:
                continue
            for step in range(1, evaluations + 1):
                progress = step / evaluations
                points.append(
                    {
                        "run_id": run_id,
                        "encoder": encoder,
                        "task": task,
                        "arm": arm,
                        "seed": seed,
                        "step": 10 * step,
                        "progress": progress,
                        "train_loss": 0.69 - (0 if failed else 0.5 * progress) + 0.01 * rng.standard_normal(),
                        "validation": NO_SKILL + (score - NO_SKILL) * progress + 0.005 * rng.standard_normal(),
                    }
                )
    columns = ["run_id", "encoder", "task", "arm", "seed", "step", "progress", "train_loss", "validation"]
    return pd.DataFrame(rows), pd.DataFrame(points, columns=columns)


def quickstart(n: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four arms on two tasks, as the quick start has them: one arm fails often, one is more stable."""
    rng = np.random.default_rng(3)
    cells = {}
    for task, level in (("pocket/acceptability", 0.70), ("pocket/sentiment", 0.85)):
        biased = rng.normal(level - 0.05, 0.02, n)
        biased[: int(0.7 * n)] = NO_SKILL
        cells[task, "bert-adam"] = biased
        cells[task, "debiased"] = rng.normal(level, 0.025, n)
        cells[task, "reinit"] = rng.normal(level + 0.02, 0.008, n)
        cells[task, "freeze"] = rng.normal(level - 0.02, 0.022, n)
    return study_frames(cells)


def facts(name: str = "quickstart", baseline: str = "bert-adam", arms: tuple[str, ...] = ()) -> StudyFacts:
    names = arms or ("bert-adam", "debiased", "reinit", "freeze")
    return StudyFacts(
        name=name,
        baseline=baseline,
        arms={arm: [] if arm == "debiased" else [f"{arm}: its settings"] for arm in names},
        recipe={
            "mode": "full",
            "optimizer": "AdamW",
            "learning_rate": 3e-4,
            "batch_size": 16,
            "epochs": 3,
            "warmup": 0.1,
            "schedule": "linear",
            "evaluations": 10,
        },
        varied="init, order, dropout and prepare together",
        fixed="subset",
        references=["T. Zhang et al. (2021). Revisiting few-sample BERT fine-tuning. ICLR."],
        spec_toml='name = "quickstart"\nseeds = 20\n',
        environment={"python": "3.11.7", "torch": "2.13.0", "machine": "x86_64, 2 cores"},
        warnings=[],
    )
