"""Head tuning: logistic regression on features of the frozen encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data, finetune
from stabilitybench.finetuning.tensors import draw_new
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, TaskFacts, build
from support.families import make_task, save_family, stock_model

HEAD = Recipe(mode="head", learning_rate=0.05, batch_size=10, epochs=5, evaluations=2, weight_decay=0.1)


def stock_features(encoder: Encoder, kind: str, texts: tuple[str, ...]) -> torch.Tensor:
    """Features by transformers' own model, one text at a time."""
    classifier = encoder.pretrained_classifier(2)
    params = {**classifier.pretrained, **{n: torch.zeros(s) for n, s in classifier.newly_initialized.items()}}
    base = stock_model(encoder.folder, 2, params).base_model
    rows = []
    with torch.no_grad():
        for text in texts:
            out = base(**encoder.tokenizer()(text, return_tensors="pt"))
            last = out.last_hidden_state[0]
            rows.append({"cls": last[0], "mean": last.mean(0), "pooler": out.get("pooler_output", last)[0]}[kind])
    return torch.stack(rows)


def logistic_regression(encoder: Encoder, kind: str, recipe: Recipe, task: Any, seeds: Seeds) -> torch.nn.Linear:
    """A plain loop of torch on the stock features."""
    features, labels = stock_features(encoder, kind, task.train.first), torch.as_tensor(task.train.labels)
    facts = TaskFacts(task.name, task.kind, 2, len(labels))
    context = Context(recipe, encoder.layout, facts, {}, seeds, 1)
    start = draw_new({"classifier.weight": (2, 16), "classifier.bias": (2,)}, context, torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        linear = torch.nn.Linear(16, 2)
    linear.load_state_dict({name.removeprefix("classifier."): t for name, t in start.items()})
    groups = [{"params": [linear.weight], "weight_decay": 0.1}, {"params": [linear.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    total = recipe.total_steps(len(labels))
    warmup = int(recipe.warmup * total)
    for step, rows in enumerate(data.order(len(labels), recipe.batch_size, total, seeds)):
        factor = step / warmup if step < warmup else (total - step) / (total - warmup)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(linear(features[rows]), labels[rows]).backward()
        torch.nn.utils.clip_grad_norm_(linear.parameters(), 1.0)
        optimizer.step()
    return linear


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("bert", "cls"),
        ("bert", "mean"),
        ("bert", "pooler"),
        ("roberta", "mean"),
        ("distilbert", "cls"),
        ("albert", "pooler"),
    ],
)
def test_it_is_logistic_regression_on_stock_features(encoders: dict[str, Encoder], family: str, kind: str) -> None:
    encoder, task, seeds = encoders[family], make_task(), Seeds(init=1, order=2)
    outcome = finetune(encoder, task, HEAD.replace(features=kind), seeds=seeds, keep_weights="last")
    linear = logistic_regression(encoder, kind, HEAD, task, seeds)
    assert outcome.final_weights is not None
    assert set(outcome.final_weights) == {"classifier.weight", "classifier.bias"}
    torch.testing.assert_close(outcome.final_weights["classifier.weight"], linear.weight.detach(), rtol=0, atol=2e-5)
    torch.testing.assert_close(outcome.final_weights["classifier.bias"], linear.bias.detach(), rtol=0, atol=2e-5)
    test = next(p for p in outcome.predictions if (p.checkpoint, p.split) == ("last", "test"))
    with torch.no_grad():
        expected = linear(stock_features(encoder, kind, task.test.first)).numpy()
    np.testing.assert_allclose(test.logits, expected, atol=2e-4)


def test_dropout_has_no_say_and_the_seeds_share_the_features(bert: Encoder) -> None:
    one, two = (
        finetune(bert, make_task(), HEAD.replace(dropout=d), seeds=Seeds(dropout=s)) for d, s in ((None, 0), (0.5, 1))
    )
    assert one.weights == two.weights
    assert finetune(bert, make_task(), HEAD, seeds=Seeds(init=1)).weights != one.weights


def test_a_pooler_that_is_not_there_is_refused(roberta: Encoder, tmp_path: Path) -> None:
    sentence = r'^recipe\.features = "pooler": encoder ".*" has no pretrained pooler; use "cls" or "mean"$'
    with pytest.raises(UserError, match=sentence):
        finetune(roberta, make_task(), HEAD.replace(features="pooler"))
    folder = save_family(tmp_path, "bert")
    tensors = load_file(folder / "model.safetensors")
    save_file({n: t for n, t in tensors.items() if "pooler" not in n}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=sentence):
        finetune(load_encoder(str(folder)), make_task(), HEAD.replace(features="pooler"))


@pytest.mark.parametrize("name", ["reinit", "freeze"])
def test_methods_that_change_the_encoder_are_refused(bert: Encoder, name: str) -> None:
    with pytest.raises(UserError, match=f"^{name} .*head tuning"):
        finetune(bert, make_task(), HEAD, (build(name),))


def test_the_uncorrected_adam_works_here_too(bert: Encoder) -> None:
    plain, biased = finetune(bert, make_task(), HEAD), finetune(bert, make_task(), HEAD, (build("bert-adam"),))
    assert plain.weights != biased.weights
    assert biased.evaluations[-1].distance["head"] > plain.evaluations[-1].distance["head"]


def test_regression_pairs_bf16_and_truncation(roberta: Encoder) -> None:
    task = make_task(kind="regression", pair=True)
    outcome = finetune(roberta, task, HEAD.replace(features="mean", precision="bf16", max_length=8, batch_size=100))
    assert np.isfinite(outcome.scores["last"]["test"]["spearman"])
    assert len(outcome.warnings) == 3


def test_edited_weights_are_read_again(tmp_path: Path) -> None:
    """Everything kept in memory is kept by content: the same folder with other weights is another encoder."""
    folder = save_family(tmp_path, "bert", seed=1)
    first = load_encoder(str(folder))
    before = [finetune(first, make_task(), r).weights for r in (HEAD, replace_mode())]
    save_family(tmp_path, "bert", seed=2)
    second = load_encoder(str(folder))
    after = [finetune(second, make_task(), r).weights for r in (HEAD, replace_mode())]
    assert first.fingerprint != second.fingerprint
    assert before[0] != after[0]
    assert before[1] != after[1]


def replace_mode() -> Recipe:
    return HEAD.replace(mode="full", steps=1)


def test_a_relabelled_task_is_not_served_from_memory(bert: Encoder) -> None:
    task = make_task()
    flipped = replace(task, train=replace(task.train, labels=1 - np.asarray(task.train.labels)))
    assert finetune(bert, task, HEAD).weights != finetune(bert, flipped, HEAD).weights


def test_micro_batches_change_nothing(bert: Encoder) -> None:
    whole, cut = (finetune(bert, make_task(), HEAD.replace(micro_batch=rows)) for rows in (None, 3))
    for a, b in zip(whole.predictions, cut.predictions, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, rtol=1e-4, atol=1e-5)
