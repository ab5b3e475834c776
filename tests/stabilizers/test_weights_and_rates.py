"""Effect tests and oracles of the methods that act on weights, rates or gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from stabilitybench.encoders import Encoder, Layout
from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.errors import UserError
from stabilitybench.finetuning import Outcome, finetune, resolved
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Stabilizer, TaskFacts, build
from support.families import LAYERS, make_task

TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=2, weight_decay=0.0, dropout=0.0)
FACTS = TaskFacts("small", "classification", 2, 24)
LAYOUT = Layout("bert", depth=LAYERS)
LINEAR, NORM, BIAS = (
    f"bert.encoder.layer.1.output.{leaf}" for leaf in ("dense.weight", "LayerNorm.weight", "dense.bias")
)
TABLE, HEAD = "bert.embeddings.word_embeddings.weight", "classifier.weight"


def run(encoder: Encoder, *stabilizers: Stabilizer, recipe: Recipe = TRAIN) -> Outcome:
    return finetune(encoder, make_task(), recipe, stabilizers, Seeds(), keep_weights="last")


def context(**more: Any) -> Context:
    return replace(Context(TRAIN, LAYOUT, FACTS, {}, Seeds(), 10), **more)


def moved(outcome: Outcome, encoder: Encoder) -> set[str]:
    assert outcome.final_weights is not None
    start = encoder.pretrained_classifier(2).pretrained
    return {n for n, t in outcome.final_weights.items() if n in start and not torch.equal(t, start[n])}


# --- mixout


def drawn_pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    start, weight = (torch.randn(5, 6, dtype=torch.float64, generator=generator) for _ in range(2))
    return start, weight.requires_grad_()


def test_mixout_is_right_on_average() -> None:
    start, weight = drawn_pair()
    method = build("mixout", {"p": 0.3})
    mixed = [
        method.forward_weights({LINEAR: weight}, context(start={LINEAR: start}, step=k))[LINEAR] for k in range(4000)
    ]
    mean = torch.stack(mixed).mean(0)
    error = (weight - start).abs() * (0.3 / 0.7 / 4000) ** 0.5  # of the mean of M / (1 - p)
    assert ((mean - weight).abs() < 5 * error).all()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_mixouts_gradient_is_the_mask_over_one_minus_p_and_constant_across_rows(p: float) -> None:
    start, weight = drawn_pair()
    mixed = build("mixout", {"p": p}).forward_weights({LINEAR: weight}, context(start={LINEAR: start}))[LINEAR]
    (grad,) = torch.autograd.grad(mixed.sum(), weight)
    assert (grad == grad[0]).all(), "a neuron is dropped for every output"
    assert all(g == 0 or g == pytest.approx(1 / (1 - p)) for g in grad[0].tolist())
    kept = grad[0] > 0
    assert torch.allclose(mixed[:, kept], ((weight - p * start) / (1 - p))[:, kept])
    assert torch.allclose(mixed[:, ~kept], start[:, ~kept])


def test_the_references_gradient_lacks_the_factor_and_nothing_else() -> None:
    start, weight = drawn_pair()
    at = context(start={LINEAR: start})
    paper, reference = (
        build("mixout", {"p": 0.5, "variant": v}).forward_weights({LINEAR: weight}, at)[LINEAR]
        for v in ("paper", "reference")
    )
    assert torch.allclose(paper, reference)
    full, short = (torch.autograd.grad((m * m.detach()).sum(), weight)[0] for m in (paper, reference))
    assert torch.allclose(full, 2 * short)


def test_mixouts_limits() -> None:
    start, weight = drawn_pair()
    at = context(start={LINEAR: start})
    assert build("mixout", {"p": 0.0}).forward_weights({LINEAR: weight}, at)[LINEAR] is weight
    assert build("mixout", {"p": 1.0}).forward_weights({LINEAR: weight}, at)[LINEAR] is start


def test_mixout_mixes_linear_layers_alone() -> None:
    params = {name: torch.ones(4, 4).requires_grad_() for name in (LINEAR, TABLE, HEAD)}
    params |= {name: torch.ones(4).requires_grad_() for name in (BIAS, NORM)}
    start = {name: torch.zeros_like(t) for name, t in params.items()}
    out = build("mixout", {"p": 0.5}).forward_weights(params, context(start=start))
    assert {name for name in params if out[name] is not params[name]} == {LINEAR, HEAD}


def test_mixout_replaces_dropout_and_trains(bert: Encoder) -> None:
    recipe = TRAIN.replace(dropout=0.5)
    assert resolved(bert, make_task(), recipe, (build("mixout"),)).dropout == 0.0
    assert resolved(bert, make_task(), recipe, (build("mixout", {"keep_dropout": True}),)).dropout == 0.5
    outcome = run(bert, build("mixout", {"p": 0.5}), recipe=recipe)
    assert outcome.weights != run(bert).weights
    assert outcome.weights == run(bert, build("mixout", {"p": 0.5}), recipe=recipe).weights


def test_where_nothing_of_the_weights_is_left_nothing_but_biases_and_norms_move(bert: Encoder) -> None:
    changed = moved(run(bert, build("mixout", {"p": 1.0})), bert)
    assert changed
    assert all(is_bias(n) or is_norm(n) or bert.layout.module_group(n) == "embeddings" for n in changed)


# --- rates


def test_llrd_gives_each_layer_its_power() -> None:
    layout = Layout("bert", depth=4)
    at = context(layout=layout)
    rates = {place: build("llrd", {"decay": 0.5}).rate(name, at) for place, name in {
        "head": HEAD, "pooler": "bert.pooler.dense.weight", "top": "bert.encoder.layer.3.output.dense.weight",
        "bottom": "bert.encoder.layer.0.output.dense.weight", "embeddings": TABLE,
    }.items()}  # fmt: skip
    assert rates == {"head": 1, "pooler": 1, "top": 0.5, "bottom": 0.5**4, "embeddings": 0.5**5}


def test_llrd_scales_the_first_step_of_each_layer(bert: Encoder) -> None:
    """Adam's first step is as long as the rate, whatever the gradient: no eps, no decay, no clipping."""
    recipe = TRAIN.replace(steps=1, warmup=0, clip=0, epsilon=1e-30)
    plain, scaled = run(bert, recipe=recipe), run(bert, build("llrd", {"decay": 0.5}), recipe=recipe)
    for place, power in {"head": 0, "pooler": 0, "layer.1": 1, "layer.0": 2, "embeddings": 3}.items():
        ratio = scaled.evaluations[0].distance[place] / plain.evaluations[0].distance[place]
        assert ratio == pytest.approx(0.5**power, rel=1e-3), place


def test_gradual_unfreezing_wakes_layers_from_the_top() -> None:
    method, layout = build("gradual-unfreezing", {"over": 0.5}), Layout("bert", depth=4)
    names = {k: f"bert.encoder.layer.{k}.output.dense.weight" for k in range(4)}
    for step in range(11):
        at = context(layout=layout, step=step)
        awake = {k for k, name in names.items() if method.rate(name, at)}
        assert awake == {k for k in range(4) if step / 10 >= 0.5 * (4 - k) / 5}
        assert bool(method.rate(TABLE, at)) == (step >= 5)
        assert method.rate(HEAD, at) == 1


def test_a_layer_that_waits_does_not_move(bert: Encoder) -> None:
    method = build("gradual-unfreezing", {"over": 1.0})
    assert resolved(bert, make_task(), TRAIN, (method,)).schedule == "slanted"
    changed = moved(run(bert, method, recipe=TRAIN.replace(steps=4, evaluations=1, weight_decay=0.5)), bert)
    assert {bert.layout.module_group(n) for n in changed} == {"pooler", "layer.1", "layer.0"}


def test_longer_training_is_more_steps_and_nothing_else(bert: Encoder) -> None:
    task = make_task()
    assert resolved(bert, task, TRAIN.replace(steps=5), (build("longer", {"epochs": 7.0}),)) == TRAIN.replace(
        epochs=7.0
    )
    slow = build("small-rate", {"epochs": 7.0, "factor": 0.1})
    biased = TRAIN.replace(bias_correction=False)
    assert resolved(bert, task, biased, (slow,)) == TRAIN.replace(epochs=7.0)
    spelled = run(bert, recipe=TRAIN.replace(epochs=7.0, learning_rate=3e-4))
    assert run(bert, slow).evaluations[-1].validation_loss == pytest.approx(spelled.evaluations[-1].validation_loss)


def test_bitfit_trains_biases_and_head_alone(bert: Encoder) -> None:
    outcome = run(bert, build("bitfit"))
    changed = moved(outcome, bert)
    assert changed == {n for n in bert.pretrained_classifier(2).pretrained if is_bias(n)}
    assert "classifier.weight" not in outcome.frozen


# --- towards the start


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_pretrained_decay_pulls_by_rate_times_strength_times_distance(variant: str) -> None:
    names = (LINEAR, HEAD, BIAS, NORM)
    start = {n: torch.full((3,), 1.0, dtype=torch.float64) for n in names}
    before = {n: torch.full((3,), 2.0, dtype=torch.float64) for n in names}
    after = {n: torch.full((3,), 2.5, dtype=torch.float64) for n in names}
    at = context(start=start, rates=dict.fromkeys(names, 0.1))
    out, _ = build("pretrained-decay", {"strength": 0.5, "variant": variant}).after_step(after, before, None, at)
    assert torch.allclose(out[LINEAR], torch.tensor(2.5 - 0.1 * 0.5 * (2 - 1), dtype=torch.float64))
    head = 2 if variant == "paper" else 2 - 1
    assert torch.allclose(out[HEAD], torch.tensor(2.5 - 0.1 * 0.5 * head, dtype=torch.float64))
    assert out[BIAS] is after[BIAS]
    assert out[NORM] is after[NORM]


def test_strong_decay_keeps_the_encoder_near_its_start_and_shrinks_the_head(bert: Encoder) -> None:
    recipe = TRAIN.replace(epochs=10, learning_rate=0.05, schedule="constant", warmup=0, weight_decay=0.3)
    method = build("pretrained-decay", {"strength": 1.0})
    assert resolved(bert, make_task(), recipe, (method,)).weight_decay == 0
    plain, pulled = run(bert, recipe=recipe.replace(weight_decay=0.0)), run(bert, method, recipe=recipe)
    for place in ("layer.0", "layer.1", "embeddings"):
        assert pulled.evaluations[-1].distance[place] < plain.evaluations[-1].distance[place]
    assert pulled.final_weights is not None
    assert plain.final_weights is not None
    assert pulled.final_weights[HEAD].norm() < plain.final_weights[HEAD].norm()


def test_l2_sp_is_the_gradient_of_its_penalty() -> None:
    start = {n: torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) for n in (LINEAR, BIAS)}
    params = {
        n: torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) for n in (LINEAR, BIAS)
    }
    params[HEAD] = torch.tensor([3.0], dtype=torch.float64)

    def grad_at(point: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return sum((t.square().sum() for t in point.values()), torch.zeros(())), {n: 2 * t for n, t in point.items()}

    method = build("l2-sp", {"alpha": 0.2, "beta": 0.6})
    loss, grads = method.gradient(grad_at, params, None, context(start={**start, HEAD: params[HEAD] * 0}))
    leaves = {n: t.clone().requires_grad_() for n, t in params.items()}
    expected = sum(t.square().sum() for t in leaves.values()) + 0.1 * (leaves[LINEAR] - start[LINEAR]).square().sum()
    expected = expected + 0.3 * leaves[HEAD].square().sum()
    assert loss.item() == pytest.approx(expected.item())
    for name, grad in zip(leaves, torch.autograd.grad(expected, list(leaves.values())), strict=True):
        assert torch.allclose(grads[name], grad), name


# --- averages


def walk(method: Stabilizer, steps: int) -> tuple[list[Tensor], Any]:
    """Take steps whose weights are known; return them and the method's state."""
    weights = [torch.tensor([float(k**2)], dtype=torch.float64) for k in range(steps + 1)]
    state = method.setup({LINEAR: weights[0]}, context())
    for k in range(1, steps + 1):
        _, state = method.after_step({LINEAR: weights[k]}, {LINEAR: weights[k - 1]}, state, context(step=k))
    return weights, state


def test_the_moving_average_has_its_closed_form() -> None:
    method = build("ema", {"decay": 0.8})
    weights, state = walk(method, 10)
    expected = 0.8**10 * weights[0] + sum(0.2 * 0.8 ** (10 - k) * weights[k] for k in range(1, 11))
    (evaluated,) = method.evaluation({LINEAR: weights[-1], HEAD: weights[0]}, state)
    assert evaluated[LINEAR].item() == pytest.approx(expected.item())
    assert evaluated[HEAD] is weights[0]


def test_swa_is_the_mean_of_the_later_weights() -> None:
    method = build("swa", {"start": 0.5, "every": 2})
    weights, state = walk(method, 10)
    (evaluated,) = method.evaluation({LINEAR: weights[-1]}, state)
    assert evaluated[LINEAR].item() == pytest.approx((6**2 + 8**2 + 10**2) / 3)
    early = method.evaluation({LINEAR: weights[3]}, method.setup({}, context()))
    assert early[0][LINEAR] is weights[3]


@pytest.mark.parametrize(
    ("start", "every", "right"), [(0.5, 10, True), (0.5, 11, False), (0.8, 8, False), (0.8, 9, True)]
)
def test_swa_that_would_average_no_step_is_refused(start: float, every: int, right: bool) -> None:
    method, ten_steps = build("swa", {"start": start, "every": every}), context()
    if right:
        assert method.setup({}, ten_steps) == (0, {})
        return
    with pytest.raises(UserError, match=rf"^swa\.every = {every}: no such step lies in the last \d+% of 10 steps$"):
        method.setup({}, ten_steps)


@pytest.mark.parametrize("name", ["ema", "swa"])
def test_averaging_changes_what_is_evaluated_and_not_the_training(bert: Encoder, name: str) -> None:
    plain, averaged = run(bert), run(bert, build(name))
    assert averaged.weights == plain.weights
    assert averaged.evaluations[-1].train_loss == plain.evaluations[-1].train_loss
    assert averaged.evaluations[-1].validation_loss != plain.evaluations[-1].validation_loss


# --- gradients


def test_sam_on_a_quadratic() -> None:
    """f = w' A w / 2: SAM's gradient is A (w + r A w / |A w|)."""
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    weight = torch.tensor([1.0, -2.0], dtype=torch.float64)
    visited = []

    def grad_at(point: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        visited.append(point[LINEAR])
        return (scale * point[LINEAR] ** 2).sum() / 2, {LINEAR: scale * point[LINEAR]}

    loss, grads = build("sam", {"radius": 0.3}).gradient(grad_at, {LINEAR: weight}, None, context())
    slope = scale * weight
    assert torch.allclose(grads[LINEAR], scale * (weight + 0.3 * slope / slope.norm()))
    assert loss.item() == pytest.approx((scale * weight**2).sum().item() / 2)
    assert (visited[1] - weight).norm().item() == pytest.approx(0.3)


def test_sam_stands_still_where_there_is_no_slope() -> None:
    params = {LINEAR: torch.zeros(2)}
    _, grads = build("sam").gradient(lambda p: (torch.zeros(()), {LINEAR: torch.zeros(2)}), params, None, context())
    assert torch.equal(grads[LINEAR], torch.zeros(2))


def test_child_tuning_masks_layers_alone_and_keeps_the_mean() -> None:
    method = build("child-tuning-f", {"keep": 0.25})
    grads = {LINEAR: torch.ones(40, 50), HEAD: torch.ones(3), TABLE: torch.ones(3)}
    first, second = (method.edit_gradient(grads, None, context(step=k)) for k in (0, 1))
    assert first[HEAD] is grads[HEAD]
    assert first[TABLE] is grads[TABLE]
    assert set(first[LINEAR].unique().tolist()) == {0.0, 4.0}
    assert first[LINEAR].mean().item() == pytest.approx(1, abs=5 * (3 / 2000) ** 0.5)
    assert not torch.equal(first[LINEAR], second[LINEAR])
    assert torch.equal(first[LINEAR], method.edit_gradient(grads, None, context(step=0))[LINEAR])


# --- bad parameters and places


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("mixout", "p", 1.5), ("llrd", "decay", 0.0), ("pretrained-decay", "strength", -0.1), ("l2-sp", "alpha", -1.0),
        ("ema", "decay", 1.0), ("swa", "start", 1.0), ("swa", "every", 0), ("sam", "radius", -0.1),
        ("gradual-unfreezing", "over", 2.0), ("longer", "epochs", 0.0), ("small-rate", "factor", 0.0),
        ("child-tuning-f", "keep", 0.0),
    ],
)  # fmt: skip
def test_a_parameter_out_of_range_is_named_with_its_range(name: str, key: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^arms\.x: {name}\.{key} = {value}: must "):
        build(name, {key: value}, where="arms.x")


HEAD_TUNING = ["mixout", "llrd", "pretrained-decay", "l2-sp", "bitfit", "gradual-unfreezing", "child-tuning-f"]


@pytest.mark.parametrize("name", HEAD_TUNING)
def test_what_needs_the_encoder_refuses_head_tuning(bert: Encoder, name: str) -> None:
    with pytest.raises(UserError, match=rf"^{name} .*under head tuning"):
        resolved(bert, make_task(), TRAIN.replace(mode="head"), (build(name),))


@pytest.mark.parametrize("name", ["llrd", "gradual-unfreezing"])
def test_shared_layers_have_no_rates_of_their_own(encoders: dict[str, Encoder], name: str) -> None:
    with pytest.raises(UserError, match=rf'^{name} cannot work on "albert"'):
        resolved(encoders["albert"], make_task(), TRAIN, (build(name),))
