"""The classifier as a pure function, held against transformers' own classifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.finetuning import data
from stabilitybench.finetuning.data import TokenBatch
from stabilitybench.finetuning.network import EncoderNetwork
from stabilitybench.finetuning.tensors import draw_new
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, TaskFacts
from support.families import FAMILIES, make_task, save_family, stock_model

CPU = torch.device("cpu")
ROWS = np.array([0, 3, 5, 6, 7, 11])


def parameters(encoder: Encoder, outputs: int = 2) -> dict[str, Tensor]:
    classifier = encoder.pretrained_classifier(outputs)
    facts = TaskFacts("small", "classification", outputs, 24)
    context = Context(Recipe(), encoder.layout, facts, classifier.pretrained, Seeds(), 1)
    fresh = draw_new(classifier.newly_initialized, context, CPU)
    # A head of ordinary size: differences must not hide behind small outputs.
    return {**classifier.pretrained, **{name: 20 * t for name, t in fresh.items()}}


def network(encoder: Encoder, outputs: int = 2, **recipe: object) -> EncoderNetwork:
    return EncoderNetwork(encoder.pretrained_classifier(outputs), encoder.layout, Recipe(**recipe), CPU)  # type: ignore[arg-type]


def batch_of(encoder: Encoder, *, pair: bool = False) -> TokenBatch:
    return data.tokenise(encoder, make_task(pair=pair), 40).train.batch(ROWS)


def stock_inputs(encoder: Encoder, batch: TokenBatch) -> dict[str, Tensor]:
    inputs = {"input_ids": batch.tokens, "attention_mask": batch.mask}
    return {**inputs, "token_type_ids": batch.segments} if batch.segments is not None else inputs


@pytest.mark.parametrize("pair", [False, True], ids=["single", "pair"])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_noise_it_is_the_stock_classifier(encoders: dict[str, Encoder], family: str, pair: bool) -> None:
    encoder = encoders[family]
    batch, params = batch_of(encoder, pair=pair), parameters(encoder, outputs=3)
    assert len(set(batch.mask.sum(1).tolist())) > 1, "rows of unequal length, so that padding counts"
    if family in ("bert", "electra", "albert"):
        assert batch.segments is not None
        assert bool(batch.segments.any()) == pair
    with torch.no_grad():
        mine = network(encoder, outputs=3)(params, batch, hidden=True)
        stock = stock_model(encoder.folder, 3, params)
        theirs = stock(**stock_inputs(encoder, batch), output_hidden_states=True)
        exact = network(encoder, outputs=3)({name: t.double() for name, t in params.items()}, batch).logits
        oracle = stock.double()(**stock_inputs(encoder, batch)).logits
    assert theirs.logits.std() > 0.05, "an oracle that says nothing proves nothing"
    torch.testing.assert_close(exact, oracle, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        mine.logits, theirs.logits, rtol=0, atol=1e-6 * max(1, 2 * float(theirs.logits.abs().max()))
    )
    assert mine.hidden is not None
    assert len(mine.hidden) == encoder.layout.depth + 1
    text = batch.mask.bool()
    for a, b in zip(mine.hidden, theirs.hidden_states, strict=True):
        torch.testing.assert_close(a[text], b[text], rtol=0, atol=5e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_gives_the_same_logits_alone_and_among_longer_rows(encoders: dict[str, Encoder], family: str) -> None:
    encoder = encoders[family]
    params, run = parameters(encoder), network(encoder)
    split = data.tokenise(encoder, make_task(), 40).train
    together = run(params, split.batch(ROWS)).logits
    for i, row in enumerate(ROWS):
        alone = run(params, split.batch(np.array([row]))).logits
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=2e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_depends_on_key_and_place_alone(encoders: dict[str, Encoder], family: str) -> None:
    """Whole batch, micro-batches of 4 and of 1 (which pad differently): every row sees the same masks."""
    encoder = encoders[family]
    params, run, batch = parameters(encoder), network(encoder, dropout=0.5), batch_of(encoder)
    whole = run(params, batch, 99).logits
    assert torch.equal(whole, run(params, batch, 99).logits), "the same key gives the same numbers"
    for rows in (4, 1):
        parts = torch.cat([run(params, part, 99).logits for part in batch.parts(rows)])
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    other, silent = run(params, batch, 100).logits, run(params, batch).logits
    assert (other - whole).abs().amax(1).min() > 1e-5
    assert (silent - whole).abs().amax(1).min() > 1e-5
    assert torch.equal(silent, run(params, batch).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_rate_zero_is_no_dropout_bit_for_bit(encoders: dict[str, Encoder], family: str) -> None:
    encoder = encoders[family]
    params, batch = parameters(encoder), batch_of(encoder)
    silent = network(encoder)(params, batch).logits
    assert torch.equal(network(encoder, dropout=0.0)(params, batch, 5).logits, silent)
    everywhere = network(encoder, dropout=0.5, dropout_off=encoder.layout.module_groups)
    assert torch.equal(everywhere(params, batch, 5).logits, silent)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_place_has_dropout_of_its_own(encoders: dict[str, Encoder], family: str) -> None:
    """Switching dropout off in one place changes the outcome; with all others off, that place alone makes noise."""
    encoder = encoders[family]
    params, batch, places = parameters(encoder), batch_of(encoder), encoder.layout.module_groups
    silent = network(encoder)(params, batch).logits
    for place in (p for p in places if p != "pooler"):  # poolers carry none
        alone = network(encoder, dropout=0.5, dropout_off=tuple(p for p in places if p != place))
        assert not torch.equal(alone(params, batch, 5).logits, silent), place


ATTENTION_ONLY = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5},
    "roberta": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5},
    "electra": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5},
    "distilbert": {"dropout": 0.0, "attention_dropout": 0.5, "seq_classif_dropout": 0.0},
    "albert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.5, "classifier_dropout_prob": 0.0},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_dropout_of_the_configuration_is_active_in_training_alone(family: str, tmp_path: Path) -> None:
    encoder = load_encoder(str(save_family(tmp_path, family, **ATTENTION_ONLY[family])))
    params, batch, run = parameters(encoder), batch_of(encoder), network(encoder)
    silent = run(params, batch).logits
    noisy = run(params, batch, 1).logits
    assert (noisy - silent).abs().amax(1).min() > 1e-5
    assert torch.equal(run(params, batch).logits, silent)


def test_two_uses_of_one_dropout_module_have_masks_of_their_own(roberta: Encoder) -> None:
    """RoBERTa's head applies one module before and after its dense layer."""
    params, batch = parameters(roberta), batch_of(roberta)
    names = {"dense": "classifier.dense.weight", "out": "classifier.out_proj.weight"}
    params = {**params, names["dense"]: torch.eye(16) * 1e-3, "classifier.dense.bias": torch.full((16,), 0.5)}
    run = network(roberta, dropout=0.5, dropout_off=roberta.layout.module_groups[:-1])
    # Which channels reach the output shows in the gradient of the last layer's weight; which enter the dense layer
    # in that of the dense layer.
    leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
    one = TokenBatch(batch.tokens[:1], batch.mask[:1], None, batch.labels[:1])
    run(leaves, one, 3).logits[0, 0].backward()  # type: ignore[no-untyped-call]
    grads = {key: leaves[name].grad for key, name in names.items()}
    entering = grads["dense"].abs().sum(0) > 0  # type: ignore[union-attr]
    leaving = grads["out"][0].abs() > 0  # type: ignore[index]
    assert 0 < int(entering.sum()) < 16
    assert 0 < int(leaving.sum()) < 16
    assert not torch.equal(entering, leaving)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_is_that_of_the_stock_classifier_in_float64(encoders: dict[str, Encoder], family: str) -> None:
    encoder = encoders[family]
    batch = batch_of(encoder)
    params = {name: t.double() for name, t in parameters(encoder).items()}
    leaves = {name: t.clone().requires_grad_() for name, t in params.items()}
    logits = network(encoder)(leaves, batch).logits
    torch.nn.functional.cross_entropy(logits, batch.labels).backward()  # type: ignore[no-untyped-call]
    stock = stock_model(encoder.folder, 2, parameters(encoder)).double()
    torch.nn.functional.cross_entropy(stock(**stock_inputs(encoder, batch)).logits, batch.labels).backward()
    for name, theirs in stock.named_parameters():
        mine = leaves[name].grad
        if theirs.grad is None:
            assert mine is None, name
        else:
            torch.testing.assert_close(mine, theirs.grad, rtol=1e-8, atol=1e-12, msg=name)


def test_the_network_owns_no_weights_and_never_changes_what_it_is_given(bert: Encoder) -> None:
    params, batch, run = parameters(bert), batch_of(bert), network(bert)
    before = {name: t.clone() for name, t in params.items()}
    run(params, batch, 3)
    assert all(torch.equal(params[name], before[name]) for name in params)
    zero = run({name: torch.zeros_like(t) for name, t in params.items()}, batch).logits
    assert torch.equal(zero, torch.zeros_like(zero))


def test_bf16_is_close_and_not_equal(bert: Encoder) -> None:
    params, batch = parameters(bert), batch_of(bert)
    full, half = network(bert)(params, batch).logits, network(bert, precision="bf16")(params, batch).logits
    assert half.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.2
