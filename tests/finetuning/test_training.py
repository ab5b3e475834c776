"""The training loop against a plain loop of torch and transformers, and against itself."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import get_constant_schedule_with_warmup, get_linear_schedule_with_warmup

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.finetuning import Outcome, data, finetune
from stabilitybench.finetuning.loop import Loop
from stabilitybench.finetuning.network import EncoderNetwork
from stabilitybench.finetuning.plain_steps import PlainSteps, Training
from stabilitybench.finetuning.problem import TrainingProblem
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.finetuning.tensors import draw_new
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Composition, Context, Stabilizer, TaskFacts, build
from stabilitybench.tasks.base import Task
from support.families import make_task, stock_model

CPU = torch.device("cpu")
PLAIN = Recipe(dropout=0.0, learning_rate=3e-3, batch_size=10, epochs=4, weight_decay=0.1, evaluations=2)


def starting_point(encoder: Encoder, task: Task, recipe: Recipe, seeds: Seeds) -> tuple[Context, dict[str, Tensor]]:
    classifier = encoder.pretrained_classifier(task.outputs)
    facts = TaskFacts(task.name, task.kind, task.outputs, len(task.train))
    total = recipe.total_steps(len(task.train))
    ctx = Context(recipe, encoder.layout, facts, classifier.pretrained, seeds, total)
    return ctx, {**classifier.pretrained, **draw_new(classifier.newly_initialized, ctx, CPU)}


def double_loop(
    encoder: Encoder, task: Task, recipe: Recipe, seeds: Seeds, stabilizers: tuple[Stabilizer, ...] = ()
) -> Loop:
    """The project's own loop, fed float64 tensors."""
    ctx, start = starting_point(encoder, task, recipe, seeds)
    problem = TrainingProblem(
        network=EncoderNetwork(encoder.pretrained_classifier(task.outputs), encoder.layout, recipe, CPU),
        pretrained={name: t.double() for name, t in start.items()},
        newly_initialized={},
        splits=data.tokenise(encoder, task, text_length(encoder, recipe.max_length)),
        warnings=(),
    )
    ready = replace(ctx, reference=problem.pretrained)
    return Loop(problem, task, Training(problem, recipe, Composition(stabilizers), ready, CPU))


def reference_loop(
    encoder: Encoder, task: Task, recipe: Recipe, seeds: Seeds, dtype: torch.dtype = torch.float64
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Plain training with AdamW, a schedule of transformers and clip_grad_norm_: (gradients, weights) of each step."""
    _, start = starting_point(encoder, task, recipe, seeds)
    model = stock_model(encoder.folder, task.outputs, start).to(dtype)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    no_decay = ("bias", "LayerNorm.weight", "layer_norm.weight")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not n.endswith(no_decay)], "weight_decay": recipe.weight_decay},
        {"params": [p for n, p in named if n.endswith(no_decay)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.epsilon)
    total = recipe.total_steps(len(task.train))
    warmup = int(recipe.warmup * total)
    scheduler = (
        get_linear_schedule_with_warmup(optimizer, warmup, total)
        if recipe.schedule == "linear"
        else get_constant_schedule_with_warmup(optimizer, warmup)
    )
    tokenizer = encoder.tokenizer()
    texts, pairs, labels = task.train.first, task.train.second, np.asarray(task.train.labels)
    done, epoch = 0, 0
    while done < total:
        order = np.random.Generator(np.random.PCG64(seeds.sequence("order", f"epoch {epoch}"))).permutation(len(texts))
        for first in range(0, len(texts), recipe.batch_size):
            if done == total:
                return
            rows = order[first : first + recipe.batch_size]
            inputs = tokenizer(
                [texts[i] for i in rows], None if pairs is None else [pairs[i] for i in rows],
                padding=True, truncation=True, max_length=64, return_tensors="pt",
            )  # fmt: skip
            known = torch.as_tensor(labels[rows], dtype=torch.int64 if task.kind == "classification" else dtype)
            loss = model(**inputs, labels=known).loss
            optimizer.zero_grad()
            loss.backward()
            grads = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
            if recipe.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            scheduler.step()
            yield grads, {n: p.detach().clone() for n, p in model.named_parameters()}
            done += 1
        epoch += 1


@pytest.mark.parametrize("kind", ["classification", "pair", "regression"])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_every_gradient_and_every_weight_is_that_of_a_plain_loop(
    encoders: dict[str, Encoder], family: str, kind: str
) -> None:
    encoder, seeds = encoders[family], Seeds(init=3, order=4)
    task = make_task(pair=kind == "pair", kind="regression" if kind == "regression" else "classification", classes=3)
    recipe = PLAIN.replace(steps=5, schedule="constant" if family == "roberta" else "linear")
    loop = double_loop(encoder, task, recipe, seeds)
    rows = data.order(len(task.train), recipe.batch_size, 5, seeds)
    for t, (chosen, (grads, weights)) in enumerate(
        zip(rows, reference_loop(encoder, task, recipe, seeds), strict=True)
    ):
        _, mine = PlainSteps(loop.training).step(loop.problem.splits.train.batch(chosen), loop.training.at(t))
        for name in weights:
            torch.testing.assert_close(mine[name], grads[name], rtol=1e-7, atol=1e-10, msg=f"gradient {t} {name}")
            torch.testing.assert_close(
                loop.training.params[name], weights[name], rtol=1e-6, atol=1e-8, msg=f"{t} {name}"
            )


@pytest.mark.parametrize("recipe", [PLAIN, PLAIN.replace(clip=0, warmup=0, epochs=1.5), PLAIN.replace(clip=0.1)])
def test_a_whole_training_ends_where_a_plain_loop_ends(bert: Encoder, recipe: Recipe) -> None:
    """float32, through the public function; a large eps keeps rounding from deciding the sign of a step."""
    task, seeds, recipe = make_task(), Seeds(init=1, order=2), recipe.replace(epsilon=1e-4)
    *_, (_, weights) = reference_loop(bert, task, recipe, seeds, torch.float32)
    outcome = finetune(bert, task, recipe, seeds=seeds, keep_weights="last")
    assert outcome.final_weights is not None
    for name, theirs in weights.items():
        torch.testing.assert_close(outcome.final_weights[name], theirs, rtol=0, atol=2e-5, msg=name)
    start = starting_point(bert, task, recipe, seeds)[1]
    moved = max(float((weights[n] - start[n]).abs().max()) for n in weights)
    assert moved > 1e-3, "the comparison would be empty if nothing had moved"


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_micro_batches_change_nothing_dropout_included(bert: Encoder, rows: int) -> None:
    task, seeds = make_task(), Seeds()
    weights = []
    for micro in (None, rows):
        recipe = PLAIN.replace(dropout=0.3, micro_batch=micro, steps=3)
        loop = double_loop(bert, task, recipe, seeds)
        loop.run(0.0, None, None)
        weights.append(loop.training.params)
    for name in weights[0]:
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=1e-7, atol=1e-9, msg=name)


RECIPE = Recipe(learning_rate=3e-3, batch_size=8, epochs=4, evaluations=3)


@pytest.fixture(scope="module")
def outcome(bert: Encoder) -> Outcome:
    """A run with all its noise on."""
    return finetune(bert, make_task(), RECIPE, seeds=Seeds(1, 2, 3))


def last(outcome: Outcome) -> dict[str, bytes]:
    return {p.split: p.logits.tobytes() for p in outcome.predictions if p.checkpoint == "last"}


@pytest.mark.parametrize("evaluations", [1, 10, 500])
def test_last_checkpoint_does_not_depend_on_the_number_of_evaluations(
    bert: Encoder, outcome: Outcome, evaluations: int
) -> None:
    other = finetune(bert, make_task(), RECIPE.replace(evaluations=evaluations), seeds=Seeds(1, 2, 3))
    assert len(other.evaluations) == min(evaluations, 12)
    assert other.weights == outcome.weights
    assert other.scores["last"] == outcome.scores["last"]
    assert last(other) == last(outcome)


def test_last_checkpoint_does_not_depend_on_other_runs_or_on_global_generators(
    bert: Encoder, roberta: Encoder, outcome: Outcome
) -> None:
    for seed in (0, 5):
        finetune(bert, make_task(seed=seed, classes=3), RECIPE, seeds=Seeds(seed))
    finetune(roberta, make_task(pair=True), RECIPE.replace(steps=2, precision="bf16"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        again = finetune(bert, make_task(), RECIPE, seeds=Seeds(1, 2, 3))
    assert again.weights == outcome.weights
    assert last(again) == last(outcome)
    assert again.evaluations == outcome.evaluations


def test_the_same_numbers_in_another_process_with_more_threads(bert: Encoder, outcome: Outcome) -> None:
    code = (
        "import sys, json; from support.families import make_task; from stabilitybench.encoders import load_encoder\n"
        "from stabilitybench.finetuning import finetune; from stabilitybench.recipe import Recipe\n"
        "from stabilitybench.seeds import Seeds\n"
        "recipe = Recipe(**json.loads(sys.argv[2]))\n"
        "out = finetune(load_encoder(sys.argv[1]), make_task(), recipe, seeds=Seeds(1, 2, 3))\n"
        "print(out.weights)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [
            sys.executable, "-c", code, str(bert.folder),
            json.dumps(RECIPE.replace(evaluations=1).model_dump(mode="json")),
        ],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == outcome.weights


def test_no_global_generator_is_read_or_set(bert: Encoder) -> None:
    def state() -> Any:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = state()
    encoder = load_encoder(str(bert.folder))
    finetune(encoder, make_task(classes=4, seed=9), RECIPE.replace(steps=2), (build("reinit"), build("bert-adam")))
    finetune(encoder, make_task(), Recipe(mode="head", learning_rate=1e-3, steps=2, features="mean"))
    assert state() == before


def test_threads_are_put_back(bert: Encoder) -> None:
    before = torch.get_num_threads()
    finetune(bert, make_task(), RECIPE.replace(steps=1))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("stream", ["init", "order", "dropout"])
def test_each_stream_alone_changes_the_result(bert: Encoder, outcome: Outcome, stream: str) -> None:
    other = finetune(bert, make_task(), RECIPE, seeds=replace(Seeds(1, 2, 3), **{stream: 77}))
    assert other.weights != outcome.weights
    assert last(other) != last(outcome)


@pytest.mark.parametrize("stream", ["subset", "prepare"])
def test_streams_that_this_run_does_not_use_change_nothing(bert: Encoder, outcome: Outcome, stream: str) -> None:
    assert finetune(bert, make_task(), RECIPE, seeds=replace(Seeds(1, 2, 3), **{stream: 77})).weights == outcome.weights


def test_without_dropout_the_dropout_stream_changes_nothing(bert: Encoder) -> None:
    outcomes = [finetune(bert, make_task(), RECIPE.replace(dropout=0), seeds=Seeds(dropout=s)) for s in (0, 1)]
    assert outcomes[0].weights == outcomes[1].weights


def test_every_step_has_masks_of_its_own(bert: Encoder) -> None:
    """One row, weights that stand still: only the masks can change the loss from step to step."""
    still = Recipe(learning_rate=1e-30, steps=6, evaluations=6, weight_decay=0)
    noisy, silent = (finetune(bert, make_task(train=1), still.replace(dropout=d)) for d in (0.3, 0.0))
    assert len({e.train_loss for e in noisy.evaluations}) == 6
    assert len({e.train_loss for e in silent.evaluations}) == 1


def test_without_dropout_it_equals_an_encoder_that_has_none(quiet_bert: Path) -> None:
    encoder = load_encoder(str(quiet_bert))
    assert (
        finetune(encoder, make_task(), RECIPE).weights
        == finetune(encoder, make_task(), RECIPE.replace(dropout=0)).weights
    )


def test_order_visits_every_row_once_per_epoch_and_keeps_the_short_batch() -> None:
    batches = list(data.order(10, 4, 9, Seeds(order=5)))
    assert [len(b) for b in batches] == [4, 4, 2] * 3
    epochs = [np.concatenate(batches[i : i + 3]) for i in (0, 3, 6)]
    assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    shorter = list(data.order(10, 4, 5, Seeds(order=5)))
    assert all((a == b).all() for a, b in zip(shorter, batches, strict=False)), "a longer run starts like a shorter one"


def test_order_of_rows_is_uniform() -> None:
    """First row of an epoch over many seeds: every row equally often."""
    firsts = [next(data.order(8, 4, 1, Seeds(order=s)))[0] for s in range(1600)]
    assert np.abs(np.bincount(firsts, minlength=8) - 200).max() < 4.5 * np.sqrt(200 * 7 / 8)


def test_evaluations_tell_the_state_of_the_run(bert: Encoder) -> None:
    seen: list[Any] = []
    task, recipe = make_task(), PLAIN.replace(steps=4, evaluations=4)
    outcome = finetune(bert, task, recipe, observer=seen.append, keep_weights="last")
    assert tuple(seen) == outcome.evaluations
    start = starting_point(bert, task, recipe, Seeds())[1]
    for e, (grads, weights) in zip(
        outcome.evaluations, reference_loop(bert, task, recipe, Seeds(), torch.float32), strict=True
    ):
        assert e.progress == e.step / 4
        assert tuple(e.gradient_norm) == tuple(e.distance) == ("embeddings", "layer.0", "layer.1", "pooler", "head")
        for place in e.gradient_norm:
            names = bert.layout.names_in(grads, [place])
            size = torch.cat([grads[n].flatten() for n in names]).norm().item()
            moved = torch.cat([(weights[n] - start[n]).flatten() for n in names]).norm().item()
            assert e.gradient_norm[place] == pytest.approx(size, rel=2e-3, abs=1e-6), (e.step, place)
            assert e.distance[place] == pytest.approx(moved, rel=2e-2, abs=1e-6), (e.step, place)
    # linear: no warm-up step in int(.1 * 4), then down
    assert [e.learning_rate for e in outcome.evaluations] == pytest.approx([3e-3 * f for f in (1, 0.75, 0.5, 0.25)])


def test_the_recorded_rate_is_the_highest_that_was_used(bert: Encoder) -> None:
    plain = finetune(bert, make_task(), RECIPE)
    slow = finetune(bert, make_task(), RECIPE, (build("small-rate", {"factor": 0.25, "epochs": RECIPE.epochs}),))
    lower = finetune(bert, make_task(), RECIPE, (build("llrd"),))
    rates = [e.learning_rate for e in plain.evaluations]
    assert [e.learning_rate for e in slow.evaluations] == pytest.approx([r / 4 for r in rates])
    assert [e.learning_rate for e in lower.evaluations] == rates


def test_training_loss_is_the_mean_since_the_evaluation_before(bert: Encoder) -> None:
    often = finetune(bert, make_task(), RECIPE.replace(evaluations=12))
    seldom = finetune(bert, make_task(), RECIPE.replace(evaluations=3))
    losses = [e.train_loss for e in often.evaluations]
    for k, e in enumerate(seldom.evaluations):
        assert e.train_loss == pytest.approx(np.mean(losses[4 * k : 4 * k + 4]), rel=1e-5)


def test_it_learns(bert: Encoder) -> None:
    """With enough steps the words of the task are learned, on rows never seen."""
    outcome = finetune(
        bert, make_task(train=64, test=40), Recipe(learning_rate=5e-3, epochs=12, batch_size=8, dropout=0)
    )
    assert outcome.status == "ok"
    assert outcome.scores["last"]["test"]["accuracy"] > 0.9
    assert outcome.evaluations[-1].train_loss < 0.3 < outcome.evaluations[0].train_loss
