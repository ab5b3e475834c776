"""LoRA against its formula, against the `peft` library, and in company."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning import data, finetune
from stabilitybench.finetuning.saving import save_model
from stabilitybench.finetuning.training import prepared
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Stabilizer, TaskFacts, build, compose
from support.families import FAMILIES, LAYERS, WIDTH, make_task

TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=2, weight_decay=0.0, dropout=0.0)
ADAPTED = {"bert": 2 * LAYERS, "roberta": 2 * LAYERS, "electra": 2 * LAYERS, "distilbert": 2 * LAYERS, "albert": 2}


def start(encoder: Encoder, *stabilizers: Stabilizer, seeds: Seeds | None = None) -> dict[str, Tensor]:
    """The tensors at step 0, the head at zero."""
    classifier = encoder.pretrained_classifier(2)
    params = {**classifier.pretrained, **{n: torch.zeros(shape) for n, shape in classifier.newly_initialized.items()}}
    facts = TaskFacts("small", "classification", 2, 24)
    ctx = Context(TRAIN, encoder.layout, facts, classifier.pretrained, seeds or Seeds(), 6)
    for stabilizer in stabilizers:
        params = stabilizer.initialize(params, ctx)
    return params


def low_rank(params: dict[str, Tensor]) -> list[str]:
    return sorted(n for n in params if ".lora_" in n)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_its_projections_and_its_head_alone(encoders: dict[str, Encoder], family: str) -> None:
    encoder, lora = encoders[family], build("lora", {"rank": 2})
    first = start(encoder, lora)
    outcome = finetune(encoder, make_task(), TRAIN, (lora,), Seeds(), keep_weights="last")
    added = [n for n in low_rank(first) if n.endswith("lora_A")]
    assert len(added) == ADAPTED[family]
    kinds = {n.removesuffix(".lora_A").rsplit(".", 1)[1] for n in added}
    assert kinds == ({"q_lin", "v_lin"} if family == "distilbert" else {"query", "value"})
    end = outcome.final_weights
    assert end is not None
    assert not low_rank(end)
    for name, tensor in end.items():
        adapted = name.removesuffix(".weight") + ".lora_A" in added
        trained = encoder.layout.module_group(name) in ("head", "pooler")
        assert torch.equal(tensor, first[name]) != (adapted or trained), name
        if adapted:  # the change has the rank that was asked for
            assert torch.linalg.matrix_rank(tensor - first[name], tol=1e-5) == 2


def test_it_starts_at_the_pretrained_encoder_and_the_first_gradient_reaches_b_alone(bert: Encoder) -> None:
    recipe, task = TRAIN, make_task()
    plain_loss, plain = prepared(bert, task, recipe, ())
    loss, params = prepared(bert, task, recipe, (build("lora"),))
    assert float(loss(params)) == pytest.approx(float(plain_loss(plain)), rel=1e-14)
    leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
    grads = dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))
    for name in low_rank(params):
        assert bool(grads[name].abs().max() > 0) == name.endswith("lora_B"), name
    # dL/dB = (alpha / r) dL/dW A'
    weights = {n: t.clone().requires_grad_() for n, t in plain.items()}
    full = dict(zip(weights, torch.autograd.grad(plain_loss(weights), list(weights.values())), strict=True))
    for name in low_rank(params):
        if name.endswith("lora_B"):
            module = name.removesuffix(".lora_B")
            expected = 16 / 8 * full[f"{module}.weight"] @ params[f"{module}.lora_A"].T
            torch.testing.assert_close(grads[name], expected, rtol=1e-10, atol=1e-14)


def test_a_is_uniform_up_to_one_over_the_root_of_its_inputs_and_follows_the_seed(bert: Encoder) -> None:
    lora = build("lora", {"rank": 200})  # many rows for a sharp look at the law
    first, again, other = (start(bert, lora, seeds=Seeds(init=s)) for s in (0, 0, 1))
    bound = 1 / math.sqrt(WIDTH)
    for name in low_rank(first):
        if name.endswith("lora_B"):
            assert not first[name].any()
            continue
        values = first[name].numpy().ravel()
        assert np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
    gaussian = start(bert, build("lora", {"rank": 200, "variant": "paper"}))
    values = torch.cat([gaussian[n].flatten() for n in low_rank(gaussian) if n.endswith("lora_A")]).numpy()
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert np.abs(values).max() > 1.5 * bound  # a uniform law of this variance ends at 1 bound


def test_a_saved_model_is_a_plain_classifier(bert: Encoder, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    task = make_task()
    outcome = finetune(bert, task, TRAIN, (build("lora"),), Seeds(), keep_weights="last")
    assert outcome.final_weights is not None
    save_model(bert, task, outcome.final_weights, tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    batch = data.tokenise(bert, task, 32).test.batch(np.arange(len(task.test)))
    with torch.no_grad():
        out = model(input_ids=batch.tokens, attention_mask=batch.mask, token_type_ids=batch.segments).logits
    stored = next(p.logits for p in outcome.predictions if (p.split, p.checkpoint) == ("test", "last"))
    np.testing.assert_allclose(out.numpy(), stored, atol=1e-5)


def test_an_average_of_the_weights_averages_a_and_b(bert: Encoder) -> None:
    class Watched(type(build("ema"))):  # type: ignore[misc]
        seen: list[dict[str, Tensor]] = []  # noqa: RUF012

        def after_step(self, *given: Any) -> Any:
            out = super().after_step(*given)
            self.seen.append({n: t.clone() for n, t in out[1].items()})
            return out

    average = Watched(decay=0.5)
    outcome = finetune(bert, make_task(), TRAIN, (build("lora"), average), Seeds(), keep_weights="last")
    assert outcome.final_weights is not None
    last = average.seen[-1]
    pretrained = start(bert)
    for name in low_rank(last):
        if name.endswith("lora_A"):
            module = name.removesuffix(".lora_A")
            merged = pretrained[f"{module}.weight"] + 2 * last[f"{module}.lora_B"] @ last[name]
            torch.testing.assert_close(outcome.final_weights[f"{module}.weight"], merged, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rank": 0}, r"lora.rank = 0: must lie in"),
        ({"alpha": 0.0}, r"lora.alpha = 0.0: must be above 0"),
        ({"targets": []}, r"lora.targets = \[\]: must name at least one of query, key, value, output"),
        ({"targets": ["keys"]}, r"lora.targets = .*: must be 'query', 'key', 'value' or 'output'"),
    ],
)
def test_bad_parameters_are_told_in_a_sentence(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build("lora", parameters)


def test_what_cannot_stand_beside_it_is_refused(bert: Encoder) -> None:
    with pytest.raises(UserError, match="the second freezes every weight matrix of the encoder"):
        compose([build("lora"), build("bitfit")])
    with pytest.raises(UserError, match=r"layer.1 would start anew and lora freezes it"):
        compose([build("lora"), build("reinit")], bert.layout)
    compose([build("lora"), build("reinit", {"layers": 0})], bert.layout)  # the pooler trains
    with pytest.raises(UserError, match="pooler would start anew"):
        compose([build("lora", {"pooler": False}), build("reinit", {"layers": 0})], bert.layout)
    with pytest.raises(UserError, match="nothing to do under head tuning"):
        finetune(bert, make_task(), TRAIN.replace(mode="head"), (build("lora"),))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's, of what transformers will remove
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_forward_and_first_gradient_equal_those_of_the_peft_library(encoders: dict[str, Encoder], family: str) -> None:
    peft = pytest.importorskip("peft")
    encoder, task = encoders[family], make_task()
    recipe = TRAIN.replace(batch_size=8)
    loss, params = prepared(encoder, task, recipe, (build("lora", {"rank": 4, "alpha": 12.0}),))
    generator = torch.Generator().manual_seed(1)  # away from B = 0, where half of the gradient vanishes
    params = {n: torch.randn(t.shape, generator=generator, dtype=t.dtype) * 0.1 + t for n, t in params.items()}

    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(str(encoder.folder), num_labels=2).double()
    config = peft.LoraConfig(
        r=4, lora_alpha=12, target_modules=["query", "value"], lora_dropout=0.0, bias="none",
        modules_to_save=["classifier", *(["pooler"] if family == "bert" else [])], task_type="SEQ_CLS",
    )  # fmt: skip
    theirs = peft.get_peft_model(model, config).eval()
    named = dict(theirs.named_parameters())

    def peers(name: str) -> str:
        if ".lora_" in name:
            return f"base_model.model.{name}.default.weight"
        for module in ("classifier", "pooler"):
            name = name.replace(f"{module}.", f"{module}.modules_to_save.default.", 1)
        return f"base_model.model.{name}"

    assert {peers(n) for n in params} == {n for n, p in named.items() if p.requires_grad}
    with torch.no_grad():
        for name, tensor in params.items():
            named[peers(name)].copy_(tensor)
    rows = next(iter(data.order(len(task.train), 8, 6, Seeds())))
    batch = data.tokenise(encoder, task, 32).train.batch(rows)
    given = {"input_ids": batch.tokens, "attention_mask": batch.mask}
    if family == "bert":
        given["token_type_ids"] = batch.segments
    their_loss = torch.nn.functional.cross_entropy(theirs(**given).logits, batch.labels)
    their_loss.backward()
    leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
    our_loss = loss(leaves)
    grads = torch.autograd.grad(our_loss, list(leaves.values()))
    torch.testing.assert_close(our_loss, their_loss, rtol=1e-10, atol=0)
    for name, gradient in zip(leaves, grads, strict=True):
        torch.testing.assert_close(gradient, named[peers(name)].grad, rtol=1e-10, atol=1e-12, msg=name)
