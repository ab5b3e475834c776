"""A Trainer on real sentences, where the corpus is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer

from stabilitybench.encoders import load_encoder
from stabilitybench.encoders.silence import quiet
from stabilitybench.integrations.trainer import stabilize
from stabilitybench.stabilizers import build
from support.trainers import arguments, run_trainer

COLA = Path(__file__).parents[2] / "../shared/data/glue/CoLA"
METHODS = ("reinit", "mixout", "mmr", "llrd", "bert-adam", "r3f")


@pytest.mark.skipif(not COLA.is_dir(), reason="the CoLA corpus is not at hand")
@pytest.mark.parametrize("names", [*((name,) for name in METHODS), METHODS])
def test_trains_on_cola(names: tuple[str, ...], tmp_path: Path) -> None:
    encoder = load_encoder("pocket/bert-small")
    lines = [line.split("\t") for line in (COLA / "train.tsv").read_text("utf-8").splitlines()[:64]]
    tokenizer = encoder.tokenizer()
    rows = [{**tokenizer(text, truncation=True, max_length=32), "labels": int(label)} for _, label, _, text in lines]
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        trainer = Trainer(
            model=AutoModelForSequenceClassification.from_pretrained(encoder.folder, num_labels=2),
            args=arguments(tmp_path, max_steps=4, learning_rate=3e-4, eval_strategy="steps", eval_steps=4),
            train_dataset=rows[:48],  # type: ignore[arg-type]
            eval_dataset=rows[48:],  # type: ignore[arg-type]
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer = stabilize(trainer, [build(name) for name in names])
        after = run_trainer(trainer, 4)
    assert len(after) == 4
    assert all(bool(torch.isfinite(t).all()) for t in after[-1].values())
    assert any("eval_loss" in log for log in trainer.state.log_history)
