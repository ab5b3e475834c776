"""Oracles and effect tests of the methods that add to the loss, add heads, or look at gradients before the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder, Layout
from stabilitybench.errors import UserError
from stabilitybench.finetuning import Outcome, data, finetune, resolved
from stabilitybench.finetuning.network import EncoderNetwork, ForwardOutput
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Stabilizer, TaskFacts, build, compose
from support.families import LAYERS, make_task

TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=2, weight_decay=0.0, dropout=0.0)
FACTS = TaskFacts("small", "classification", 2, 24)


def run(encoder: Encoder, *stabilizers: Stabilizer, recipe: Recipe = TRAIN, **more: Any) -> Outcome:
    return finetune(encoder, make_task(**more), recipe, stabilizers, Seeds(), keep_weights="last")


def context(**more: Any) -> Context:
    return replace(Context(TRAIN, Layout("bert", depth=LAYERS), FACTS, {}, Seeds(), 10), **more)


@dataclass(frozen=True)
class Rows:
    """A batch of labels alone, or with a mask."""

    labels: Tensor
    mask: Tensor = field(default_factory=lambda: torch.ones(1, 1, dtype=torch.int64))
    tokens: Tensor = field(default_factory=lambda: torch.zeros(1, 1, dtype=torch.int64))
    first_row: int = 0


@pytest.fixture(scope="module")
def forward_of(encoders: dict[str, Encoder]) -> Any:
    """A real forward pass of a batch, in double precision, with leaves for weights."""

    def make(family: str, dropout: float = 0.0) -> tuple[ForwardOutput, Any, Context, dict[str, Tensor]]:
        encoder, task = encoders[family], make_task()
        classifier = encoder.pretrained_classifier(2)
        generator = torch.Generator().manual_seed(3)
        params = {n: t.double() for n, t in classifier.pretrained.items()}
        for name, shape in classifier.newly_initialized.items():
            params[name] = torch.randn(shape, dtype=torch.float64, generator=generator)
        params = {n: t.clone().requires_grad_() for n, t in params.items()}
        network = EncoderNetwork(classifier, encoder.layout, TRAIN.replace(dropout=dropout), torch.device("cpu"))
        tokens = data.tokenise(encoder, task, 32)
        batch = tokens.train.batch(torch.arange(6).numpy())
        ctx = context(layout=encoder.layout)
        return network(params, batch, key=5, hidden=True), batch, ctx, params

    return make


# --- a second pass


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "albert"])
def test_the_same_masks_and_no_noise_give_the_same_pass(forward_of: Any, family: str) -> None:
    first, *_ = forward_of(family, dropout=0.5)
    assert torch.equal(first.rerun({}).logits, first.logits)
    assert not torch.equal(first.rerun({}, dropout_key="other").logits, first.logits)
    assert torch.equal(first.rerun({}, dropout_key="other").logits, first.rerun({}, dropout_key="other").logits)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_noise_enters_where_it_should(forward_of: Any, family: str) -> None:
    first, batch, _, _ = forward_of(family)
    state = first.hidden[1]
    noise = torch.randn(state.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noised = first.rerun({"layer.0": noise})
    text = batch.mask.bool()
    assert torch.allclose((noised.hidden[1] - state)[text], noise[text])
    assert torch.equal(noised.hidden[0], first.hidden[0])
    assert not torch.allclose(noised.hidden[2], first.hidden[2])
    # not the same number in every channel: a layer norm would take that away
    words = torch.randn(first.embeddings.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.rerun({"embeddings": words}).embeddings, first.embeddings)
    assert not torch.allclose(first.rerun({"embeddings": words}).hidden[0], first.hidden[0])


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "albert"])
def test_the_features_are_what_the_last_layer_reads(forward_of: Any, family: str) -> None:
    first, _, ctx, params = forward_of(family)
    output = ctx.layout.output(params)
    logits = first.features.double() @ params[f"{output}.weight"].T + params[f"{output}.bias"]
    assert torch.allclose(logits, first.logits, atol=1e-5)  # features are kept in single precision


def test_row_noise_does_not_know_how_rows_are_batched() -> None:
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    whole = context().row_noise(Rows(torch.zeros(3), mask), 4, "x")
    part = context().row_noise(Rows(torch.zeros(2), mask[1:, :2], first_row=1), 4, "x")
    assert torch.equal(whole[1:, :2], part)
    assert (whole[1, 1:] == 0).all()
    assert not torch.equal(whole, context(step=1).row_noise(Rows(torch.zeros(3), mask), 4, "x"))


# --- MMR


def hand_pass(features: Tensor) -> ForwardOutput:
    return ForwardOutput(torch.zeros(len(features), 2, dtype=features.dtype), features, {})


def test_mmr_on_hand_data() -> None:
    """Centres (1, 0) and (0, 0): distance 1, penalty alpha / 2, gradient along the line between them."""
    features = torch.tensor([[0.0, 0], [2, 0], [0, 0]], dtype=torch.float64, requires_grad=True)
    labels = Rows(torch.tensor([1, 1, 0]))
    value = build("mmr", {"alpha": 0.4, "normalise": False}).penalty(hand_pass(features), labels, context())
    assert value.item() == pytest.approx(0.2)
    (grad,) = torch.autograd.grad(value, features)
    # d/dd of 1 / (1 + d) at d = 1 is -1/4; each of two rows has half the weight of its centre
    assert torch.allclose(grad, torch.tensor([[-0.05, 0], [-0.05, 0], [0.1, 0]], dtype=torch.float64))


def test_mmr_normalised_ignores_scale_and_raw_does_not() -> None:
    features = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = Rows(torch.arange(8) % 3)
    small, large = (
        [
            build("mmr", {"normalise": n}).penalty(hand_pass(s * features), labels, context()).item()
            for n in (True, False)
        ]
        for s in (1.0, 10.0)
    )
    assert small[0] == pytest.approx(large[0])
    assert large[1] < small[1]


def test_mmr_of_three_classes_is_the_mean_over_pairs() -> None:
    features = torch.tensor([[0.0, 0], [3, 0], [0, 4]], dtype=torch.float64)
    value = build("mmr", {"alpha": 1.0, "normalise": False}).penalty(
        hand_pass(features), Rows(torch.tensor([0, 1, 2])), context()
    )
    assert value.item() == pytest.approx((1 / 4 + 1 / 5 + 1 / 6) / 3)


def test_mmr_has_nothing_to_say_about_one_class_and_survives_equal_centres() -> None:
    method = build("mmr")
    assert method.penalty(hand_pass(torch.ones(3, 2)), Rows(torch.zeros(3, dtype=torch.int64)), context()) == 0
    same = torch.ones(2, 2, requires_grad=True)
    value = method.penalty(hand_pass(same), Rows(torch.tensor([0, 1])), context())
    assert value.item() == pytest.approx(0.1)
    assert torch.autograd.grad(value, same)[0].isfinite().all()


def test_mmr_moves_the_centres_apart(bert: Encoder) -> None:
    assert run(bert, build("mmr", {"alpha": 5.0})).weights != run(bert).weights


# --- several heads


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("mode", ["full", "head"])
def test_the_prediction_of_several_heads_is_that_of_their_mean(
    encoders: dict[str, Encoder], family: str, mode: str
) -> None:
    encoder, method = encoders[family], build("mh-loss", {"heads": 3})
    outcome = run(encoder, method, recipe=TRAIN.replace(mode=mode))
    assert outcome.final_weights is not None
    assert not [n for n in outcome.final_weights if "heads" in n]
    output = "classifier.out_proj" if (family, mode) == ("roberta", "full") else "classifier"
    names = [f"{output}.weight", *(f"{output}.heads.{k}.weight" for k in (1, 2))]
    params = {n: torch.full((2, 4), float(k)) for k, n in enumerate(names)}
    params |= {n.replace("weight", "bias"): torch.full((2,), float(k)) for k, n in enumerate(names)}
    (mean,) = method.evaluation(params, None)
    assert set(mean) == {names[0], names[0].replace("weight", "bias")}
    assert (mean[names[0]] == 1).all()


@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_the_loss_of_several_heads(kind: str) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(5, 4, dtype=torch.float64, generator=generator)
    names = ("classifier", "classifier.heads.1", "classifier.heads.2")
    weights = {f"{n}.weight": torch.randn(2, 4, dtype=torch.float64, generator=generator) for n in names}
    weights |= {f"{n}.bias": torch.randn(2, dtype=torch.float64, generator=generator) for n in names}
    labels = torch.tensor([0, 1, 1, 0, 1])
    losses = [FACTS.loss(features @ weights[f"{n}.weight"].T + weights[f"{n}.bias"], labels).item() for n in names]
    logits = features @ weights["classifier.weight"].T + weights["classifier.bias"]
    added = build("mh-loss", {"heads": 3, "loss": kind}).penalty(
        ForwardOutput(logits, features, weights), Rows(labels), context()
    )
    expected = sum(losses) if kind == "sum" else sum(losses) / 3
    assert losses[0] + added.item() == pytest.approx(expected)


def test_heads_start_apart_and_by_the_init_seed() -> None:
    params = {"classifier.weight": torch.zeros(2, 400), "classifier.bias": torch.ones(2)}
    method = build("mh-loss", {"heads": 3})
    one, again, other = (method.initialize(params, context(seeds=Seeds(init=s))) for s in (0, 0, 1))
    first, second = (one[f"classifier.heads.{k}.weight"] for k in (1, 2))
    assert first.std().item() == pytest.approx(0.02, rel=0.15)
    assert not torch.equal(first, second)
    assert torch.equal(first, again["classifier.heads.1.weight"])
    assert not torch.equal(first, other["classifier.heads.1.weight"])
    assert (one["classifier.heads.1.bias"] == 0).all()


def test_the_zero_head_starts_at_no_skill(bert: Encoder) -> None:
    still = run(bert, build("zero-head"), recipe=TRAIN.replace(learning_rate=1e-30))
    assert still.final_weights is not None
    assert still.constant
    assert still.evaluations[0].validation_loss == pytest.approx(math.log(2))
    with pytest.raises(UserError, match="exclude each other"):
        compose([build("zero-head"), build("mh-loss")])


@pytest.mark.parametrize("name", ["r3f", "r4f", "smart"])
def test_predictions_are_not_held_still_where_several_heads_make_them(name: str) -> None:
    with pytest.raises(UserError, match="exclude each other: the first trains several heads, the second compares"):
        compose([build("mh-loss"), build(name)])


# --- noise


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(-1)


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_r3f_by_hand(forward_of: Any, noise: str) -> None:
    first, batch, ctx, _ = forward_of("bert", dropout=0.2)
    method = build("r3f", {"epsilon": 0.1, "weight": 0.7, "noise": noise})
    z = 0.1 * ctx.row_noise(batch, first.embeddings.shape[-1], "r3f", noise).double()
    assert z.abs().max() <= 0.1 or noise == "normal"
    noised = first.rerun({"embeddings": z}, dropout_key="r3f")
    p, q = (out.logits.softmax(-1) for out in (first, noised))
    expected = 0.7 * (kl(p, q) + kl(q, p)).mean()
    assert method.penalty(first, batch, ctx).item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_reference_of_r3f_sends_no_gradient_to_the_words_through_the_noised_branch(forward_of: Any) -> None:
    first, batch, ctx, params = forward_of("bert")
    table = params["bert.embeddings.word_embeddings.weight"]
    noise = 0.1 * ctx.row_noise(batch, table.shape[1], "r3f", "uniform").double()
    detached = first.rerun({"embeddings": noise + first.embeddings.detach() - first.embeddings})
    assert torch.allclose(detached.logits, first.rerun({"embeddings": noise}).logits)
    (grad,) = torch.autograd.grad(detached.logits.square().sum(), table)
    assert grad.abs().max() < 1e-12
    paper, reference = (
        build("r3f", {"epsilon": 0.1, "variant": v}).penalty(first, batch, ctx) for v in ("paper", "reference")
    )
    assert paper.item() == pytest.approx(reference.item())


def test_r4f_reads_a_head_of_unit_norm_in_training_and_evaluation(encoders: dict[str, Encoder]) -> None:
    for family, name in {"bert": "classifier.weight", "roberta": "classifier.out_proj.weight"}.items():
        outcome = run(encoders[family], build("r4f"))
        assert outcome.final_weights is not None
        assert torch.linalg.matrix_norm(outcome.final_weights[name], ord=2).item() == pytest.approx(1)


@pytest.mark.parametrize(("variant", "radius"), [("gradient", 1e-3), ("sum", 1.0)])
def test_smart_by_hand(forward_of: Any, variant: str, radius: float) -> None:
    first, batch, ctx, _ = forward_of("bert")
    method = build("smart", {"radius": radius, "variant": variant, "start": 1e-2, "step": 0.5})
    d0 = (1e-2 * ctx.row_noise(batch, first.embeddings.shape[-1], "smart").double()).requires_grad_()
    clean = first.logits.detach().softmax(-1)
    seen = first.rerun({"embeddings": d0}).logits.softmax(-1)
    (g,) = torch.autograd.grad((kl(clean, seen) + kl(seen, clean)).mean(), d0)
    v = g if variant == "gradient" else d0.detach() + 0.5 * g
    d = torch.where(batch.mask[..., None].bool(), radius * v / v.abs().amax(-1, keepdim=True), 0.0)
    assert d.abs().amax(-1)[batch.mask.bool()].tolist() == pytest.approx([radius] * int(batch.mask.sum()))
    noised = first.rerun({"embeddings": d}).logits.softmax(-1)
    p = first.logits.softmax(-1)
    expected = (kl(p, noised) + kl(noised, p)).mean().item()
    assert method.penalty(first, batch, ctx).item() == pytest.approx(expected, rel=1e-6)


def test_smart_finds_worse_noise_than_chance(forward_of: Any) -> None:
    first, batch, ctx, _ = forward_of("bert")
    found = build("smart", {"radius": 1e-2}).penalty(first, batch, ctx).item()
    by_chance = []
    for step in range(5):
        z = ctx.row_noise(batch, first.embeddings.shape[-1], f"chance {step}").double()
        z = 1e-2 * z / z.abs().amax(-1, keepdim=True).clamp_min(1e-30)
        p, q = (out.logits.softmax(-1) for out in (first, first.rerun({"embeddings": z})))
        by_chance.append((kl(p, q) + kl(q, p)).mean().item())
    assert found > max(by_chance)


def test_lnsr_by_hand(forward_of: Any) -> None:
    first, batch, ctx, _ = forward_of("bert")
    state = first.hidden[1].detach()
    noise = ctx.row_noise(batch, state.shape[-1], "lnsr").double()
    noise = 0.05 * state.norm(dim=-1, keepdim=True) / state.shape[-1] ** 0.5 * noise
    changed = first.rerun({"layer.0": noise}).hidden[2] - first.hidden[2]
    expected = 3.0 * changed.square().sum() / batch.mask.sum()
    assert build("lnsr", {"weight": 3.0}).penalty(first, batch, ctx).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", ["r3f", "r4f", "smart", "lnsr", "mmr", "mh-loss"])
def test_loss_methods_change_the_training_and_repeat_it(bert: Encoder, name: str) -> None:
    strong = {"r3f": {"epsilon": 0.1}, "r4f": {"epsilon": 0.1}, "smart": {"radius": 0.1}}.get(name, {})
    first, again = (run(bert, build(name, strong)) for _ in range(2))
    assert first.weights == again.weights
    assert first.weights != run(bert).weights


@pytest.mark.parametrize("name", ["r3f", "smart"])  # lnsr is a mean over tokens, which micro-batches weigh otherwise
def test_noise_survives_micro_batches(bert: Encoder, name: str) -> None:
    strong = {"r3f": {"epsilon": 0.3}, "smart": {"radius": 0.3}}[name]
    recipe = TRAIN.replace(steps=1, dropout=0.3, clip=0)
    whole, parts = (run(bert, build(name, strong), recipe=r) for r in (recipe, recipe.replace(micro_batch=4)))
    for place, size in whole.evaluations[0].gradient_norm.items():
        assert parts.evaluations[0].gradient_norm[place] == pytest.approx(size, rel=1e-4), place


# --- Child-Tuning D


def test_child_tuning_d_keeps_exactly_the_largest(bert: Encoder) -> None:
    names = [f"bert.encoder.layer.{k}.output.dense.weight" for k in range(2)]
    batches = [{names[0]: torch.tensor([0.1, -0.5, 0.0]), names[1]: torch.tensor([0.2, 0.0, 0.3]),
                "classifier.weight": torch.ones(2)}] * 2  # fmt: skip
    method = build("child-tuning-d", {"keep": 0.5})
    state = method.setup({}, context(epoch_gradients=lambda: iter(batches)))
    assert {n: m.tolist() for n, m in state.items()} == {
        names[0]: [False, True, False],
        names[1]: [True, False, True],
    }
    edited = method.edit_gradient(batches[0], state, context())
    assert edited["classifier.weight"] is batches[0]["classifier.weight"]
    assert edited[names[0]].tolist() == [0.0, -0.5, 0.0]


def test_child_tuning_d_clips_each_tensor_before_it_squares() -> None:
    names = [f"bert.encoder.layer.{k}.output.dense.weight" for k in range(2)]
    loud = {names[0]: torch.tensor([30.0, 40.0]), names[1]: torch.tensor([0.7, 0.1])}
    state = build("child-tuning-d", {"keep": 0.5}).setup({}, context(epoch_gradients=lambda: iter([loud])))
    assert state[names[0]].tolist() == [False, True]  # .36 and .64 after clipping, against .49 and .01
    assert state[names[1]].tolist() == [True, False]


def test_child_tuning_d_leaves_the_rest_of_the_layers_where_it_is(bert: Encoder) -> None:
    outcome = run(bert, build("child-tuning-d", {"keep": 0.2}))
    start, end = bert.pretrained_classifier(2).pretrained, outcome.final_weights
    assert end is not None
    layers = [n for n in start if bert.layout.module_group(n) in bert.layout.layers]
    moved = sum(int((end[n] != start[n]).sum()) for n in layers)
    total = sum(start[n].numel() for n in layers)
    assert 0.9 * round(0.2 * total) <= moved <= round(0.2 * total)
    assert not torch.equal(end["bert.pooler.dense.weight"], start["bert.pooler.dense.weight"])


# --- refusals


@pytest.mark.parametrize("name", ["mmr", "r3f", "r4f"])
def test_classification_methods_refuse_regression(bert: Encoder, name: str) -> None:
    with pytest.raises(UserError, match=rf"^{name} cannot work on "):
        resolved(bert, make_task(kind="regression"), TRAIN, (build(name),))


@pytest.mark.parametrize("name", ["mmr", "r3f", "r4f", "smart", "lnsr", "child-tuning-d"])
def test_methods_of_the_encoder_refuse_head_tuning(bert: Encoder, name: str) -> None:
    with pytest.raises(UserError, match=rf"^{name} .*under head tuning"):
        resolved(bert, make_task(), TRAIN.replace(mode="head"), (build(name),))


def test_lnsr_needs_a_layer_above(encoders: dict[str, Encoder]) -> None:
    with pytest.raises(UserError, match=r"^lnsr\.layer = 1: must be below 1, the top layer"):
        resolved(encoders["bert"], make_task(), TRAIN, (build("lnsr", {"layer": 1}),))
    with pytest.raises(UserError, match=r'^lnsr cannot work on "albert"'):
        resolved(encoders["albert"], make_task(), TRAIN, (build("lnsr"),))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("mmr", "alpha", -1.0), ("mh-loss", "heads", 0), ("r3f", "epsilon", -1.0), ("smart", "radius", -1.0),
        ("lnsr", "noise", -0.1), ("child-tuning-d", "keep", 0.0),
    ],
)  # fmt: skip
def test_parameters_out_of_range(name: str, key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^{name}\.{key} = {value}: must "):
        build(name, {key: value})
