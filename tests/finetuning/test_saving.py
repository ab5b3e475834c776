"""Kept weights: a Hugging Face folder that predicts what the run predicted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.encoders.silence import quiet
from stabilitybench.errors import UserError
from stabilitybench.finetuning import finetune
from stabilitybench.finetuning.saving import save_model
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import build
from support.families import FAMILIES, make_task, save_family

RECIPE = Recipe(learning_rate=3e-3, steps=4, evaluations=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_saved_folder_predicts_what_the_run_predicted(
    encoders: dict[str, Encoder], family: str, tmp_path: Path
) -> None:
    encoder, task = encoders[family], make_task(classes=3, pair=True)
    methods = () if family == "albert" else (build("freeze"),)
    outcome = finetune(encoder, task, RECIPE, methods, keep_weights="best")
    assert outcome.final_weights is not None
    before = torch.get_rng_state()
    save_model(encoder, task, outcome.final_weights, tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)
    with quiet(), torch.random.fork_rng(devices=[]):
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    assert model.config.id2label == dict(enumerate(task.classes))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert task.test.second is not None
    inputs = tokenizer(list(task.test.first), list(task.test.second), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits.numpy()
    mine = next(p.logits for p in outcome.predictions if (p.checkpoint, p.split) == ("best", "test"))
    np.testing.assert_allclose(mine, logits, atol=1e-5)
    assert {p.name for p in (tmp_path / "model").iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_checkpoint_in_half_precision_is_saved_as_it_was_scored(dtype: str, tmp_path: Path) -> None:
    folder = save_family(tmp_path / "encoder", "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": dtype}))
    encoder = load_encoder(str(folder))
    outcome = finetune(encoder, make_task(), RECIPE, keep_weights="last")
    assert outcome.final_weights is not None
    save_model(encoder, make_task(), outcome.final_weights, tmp_path / "model")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert {n: t.dtype for n, t in saved.items()} == dict.fromkeys(saved, torch.float32)
    assert all(torch.equal(t, saved[n]) for n, t in outcome.final_weights.items())


def test_a_saved_folder_is_an_encoder_again(encoders: dict[str, Encoder], tmp_path: Path) -> None:
    outcome = finetune(encoders["bert"], make_task(), RECIPE, keep_weights="last")
    assert outcome.final_weights is not None
    save_model(encoders["bert"], make_task(), outcome.final_weights, tmp_path / "model")
    again = load_encoder(str(tmp_path / "model")).pretrained_classifier(2)
    assert set(again.newly_initialized) == {"classifier.weight", "classifier.bias"}, "the next task draws its own head"
    assert all(torch.equal(t, outcome.final_weights[n]) for n, t in again.pretrained.items())


def test_a_regression_head_says_so(encoders: dict[str, Encoder], tmp_path: Path) -> None:
    task = make_task(kind="regression")
    outcome = finetune(encoders["bert"], task, RECIPE, keep_weights="last")
    assert outcome.final_weights is not None
    save_model(encoders["bert"], task, outcome.final_weights, tmp_path / "model")
    config = load_encoder(str(tmp_path / "model")).config
    assert config["problem_type"] == "regression"
    assert list(config["id2label"]) == ["0"]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_head_on_frozen_features_is_never_saved_with_a_random_encoder(
    encoders: dict[str, Encoder], family: str, tmp_path: Path
) -> None:
    outcome = finetune(encoders[family], make_task(), RECIPE.replace(mode="head"), keep_weights="last")
    assert outcome.final_weights is not None
    with pytest.raises(UserError, match=rf'^the weights cannot be kept: they are no plain "{family}" classifier'):
        save_model(encoders[family], make_task(), outcome.final_weights, tmp_path / "model")
    assert not (tmp_path / "model").exists()
