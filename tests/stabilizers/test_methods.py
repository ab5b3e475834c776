"""Effect tests of the shipped methods: what each claims to touch changed, nothing else did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stabilitybench.encoders import Encoder, Layout, load_encoder
from stabilitybench.encoders.layout import is_bias, is_norm
from stabilitybench.errors import UserError
from stabilitybench.finetuning import Outcome, finetune, resolved
from stabilitybench.optim.adam import bias_ratio
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Position, Stabilizer, TaskFacts, build, catalogue, compose
from support.families import LAYERS, make_task, save_family

FACTS = TaskFacts("small", "classification", 2, 24)
TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=2, weight_decay=0.5)
PLAIN = Recipe()


def run(encoder: Encoder, *stabilizers: Stabilizer, recipe: Recipe = TRAIN, seeds: Seeds | None = None) -> Outcome:
    return finetune(encoder, make_task(), recipe, stabilizers, seeds, keep_weights="last")


def context(encoder: Encoder, seeds: Seeds | None = None) -> Context:
    return Context(TRAIN, encoder.layout, FACTS, encoder.pretrained_classifier(2).pretrained, seeds or Seeds(), 10)


@pytest.mark.parametrize("name", [name for name, cls in catalogue().items() if cls().neutral() is not None])
def test_the_neutral_instance_is_the_plain_recipe_bit_for_bit(bert: Encoder, name: str) -> None:
    neutral = build(name).neutral()
    assert neutral is not None
    plain, same = run(bert), run(bert, neutral)
    assert same.weights == plain.weights
    assert same.scores == plain.scores
    assert same.evaluations == plain.evaluations
    assert not same.reinitialized
    assert not same.frozen


@pytest.mark.parametrize("name", catalogue())
def test_every_method_tells_what_it_is(name: str) -> None:
    cls = catalogue()[name]
    assert cls.summary().endswith(".")
    assert "arXiv:" in cls.paper
    assert "Modifies:" in (cls.__doc__ or "")
    assert cls().describe() == name


# --- the two Adams


@pytest.mark.parametrize(
    ("variant", "clip_scope", "epsilon", "order"),
    [("hf", "global", 1e-8, "after"), ("original", "tensor", 1e-6, "before")],
)
def test_bert_adam_changes_the_optimizer_and_nothing_else(
    bert: Encoder, variant: str, clip_scope: str, epsilon: float, order: str
) -> None:
    start = Recipe(epsilon=1e-3, clip_scope="tensor" if clip_scope == "global" else "global", learning_rate=1e-3)
    changed = resolved(bert, make_task(), start, (build("bert-adam", {"variant": variant}),))
    expected = {"bias_correction": False, "clip_scope": clip_scope, "epsilon": epsilon, "decay_order": order}
    assert changed == start.replace(**expected)


@pytest.mark.parametrize("variant", ["hf", "original"])
def test_bert_adam_is_the_same_run_as_its_recipe_spelled_out(bert: Encoder, variant: str) -> None:
    method = build("bert-adam", {"variant": variant})
    spelled = resolved(bert, make_task(), TRAIN, (method,))
    assert run(bert, method).weights == run(bert, recipe=spelled).weights
    assert run(bert, method).weights != run(bert).weights


def test_the_first_step_of_bert_adam_is_longer_by_the_bias_ratio(bert: Encoder) -> None:
    """No warm-up, no decay, negligible eps: after one step every tensor has moved 3.16 times as far."""
    recipe = TRAIN.replace(steps=1, warmup=0, weight_decay=0, epsilon=1e-30, dropout=0, learning_rate=1e-3, clip=0)
    moved = {}
    for arm, changes in {"corrected": {}, "uncorrected": {"bias_correction": False}}.items():
        moved[arm] = run(bert, recipe=recipe.replace(**changes)).evaluations[0].distance
    assert bias_ratio(1) == pytest.approx(3.1623, abs=1e-4)
    for place, distance in moved["corrected"].items():
        assert moved["uncorrected"][place] / distance == pytest.approx(bias_ratio(1), rel=1e-3), place


def test_debiased_adam_is_the_plain_recipe_and_undoes_a_biased_one(bert: Encoder) -> None:
    method = build("debiased-adam")
    assert run(bert, method).weights == run(bert).weights
    biased = TRAIN.replace(bias_correction=False)
    assert run(bert, method, recipe=biased).weights == run(bert).weights != run(bert, recipe=biased).weights


# --- reinit


def initialised(
    encoder: Encoder, method: Stabilizer, seeds: Seeds | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    before = dict(encoder.pretrained_classifier(2).pretrained)
    copies = {name: t.clone() for name, t in before.items()}
    after = method.initialize(before, context(encoder, seeds))
    assert all(torch.equal(before[n], copies[n]) for n in copies), "the pretrained tensors themselves stay"
    assert set(after) == set(before)
    return before, after


@pytest.mark.parametrize("layers", [0, 1, LAYERS])
@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_reinit_changes_exactly_pooler_and_top_layers(encoders: dict[str, Encoder], family: str, layers: int) -> None:
    encoder = encoders[family]
    before, after = initialised(encoder, build("reinit", {"layers": layers}))
    top = [f"layer.{k}" for k in range(LAYERS - layers, LAYERS)]
    chosen = {*top, "pooler"} if family == "bert" else set(top)
    touched = 0
    for name, old in before.items():
        if encoder.layout.module_group(name) not in chosen:
            assert after[name] is old, f"{name} must be passed on as it is"
            continue
        touched += 1
        assert after[name].shape == old.shape
        assert after[name].dtype == old.dtype
        assert (after[name] != old).all(), f"every number of {name} is new"
        if is_bias(name):
            assert (after[name] == 0).all(), name
        elif is_norm(name):
            assert (after[name] == 1).all(), name
        else:
            n = after[name].numel()
            assert after[name].std().item() == pytest.approx(0.02, abs=5 * 0.02 / np.sqrt(2 * n)), name
            assert abs(after[name].mean().item()) < 5 * 0.02 / np.sqrt(n), name
    assert touched == 16 * layers + (2 if family == "bert" else 0)


def test_reinit_draws_by_the_init_seed_alone(bert: Encoder) -> None:
    method = build("reinit", {"layers": 2})
    first = initialised(bert, method, Seeds(init=1))[1]
    again = initialised(bert, method, Seeds(init=1, order=9, dropout=9, subset=9, prepare=9))[1]
    other = initialised(bert, method, Seeds(init=2))[1]
    weights = [n for n in first if first[n].dim() == 2]
    drawn = [n for n in weights if bert.layout.module_group(n) in ("layer.0", "layer.1", "pooler")]
    assert len(drawn) == 13
    for name in drawn:
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
    flat = [first[n].flatten()[:256] for n in drawn if first[n].numel() == 256]
    assert max(abs(torch.corrcoef(torch.stack(flat))[i, j].item()) for i in range(len(flat)) for j in range(i)) < 0.3


def test_reinit_of_fewer_layers_draws_the_same_numbers(bert: Encoder) -> None:
    one, two = (initialised(bert, build("reinit", {"layers": k}))[1] for k in (1, 2))
    for name in one:
        if bert.layout.module_group(name) in ("layer.1", "pooler"):
            assert torch.equal(one[name], two[name])


def test_reinit_really_starts_the_training_there(bert: Encoder) -> None:
    outcome = run(bert, build("reinit"))
    places = {bert.layout.module_group(name) for name in outcome.reinitialized}
    assert places == {"layer.1", "pooler"}
    assert len(outcome.reinitialized) == 18
    # With a vanishing rate the trained weights are the starting ones.
    still = run(bert, build("reinit"), recipe=TRAIN.replace(learning_rate=1e-30)).final_weights
    file = load_file(bert.folder / "model.safetensors")
    assert still is not None
    for name, tensor in file.items():
        fresh = bert.layout.module_group(f"bert.{name}") in ("layer.1", "pooler")
        assert torch.equal(still[f"bert.{name}"], tensor) != fresh, name


def test_reinit_without_the_pooler(bert: Encoder) -> None:
    before, after = initialised(bert, build("reinit", {"layers": 1, "pooler": False}))
    changed = {bert.layout.module_group(n) for n in before if not torch.equal(before[n], after[n])}
    assert changed == {"layer.1"}


def test_reinit_leaves_the_next_runs_alone(bert: Encoder) -> None:
    """The pretrained tensors are shared by all runs of a process."""
    first = run(bert).weights
    run(bert, build("reinit", {"layers": 2}))
    assert run(bert).weights == first


@pytest.mark.parametrize(
    ("family", "name", "parameters", "sentence"),
    [
        ("albert", "reinit", {}, 'reinit cannot work on "albert": all its layers share one set of weights'),
        ("roberta", "reinit", {"pooler": True}, 'reinit.pooler = true: "roberta" classifiers have no pooler; '
         "leave pooler out or set it to false"),
        ("bert", "reinit", {"layers": 3}, "reinit.layers = 3: the encoder has 2 layers"),
        ("albert", "freeze", {}, 'freeze cannot work on "albert": all its layers share one set of weights'),
        ("bert", "freeze", {"layers": 3}, "freeze.layers = 3: the encoder has 2 layers"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_in_one_sentence(
    encoders: dict[str, Encoder], family: str, name: str, parameters: dict[str, Any], sentence: str
) -> None:
    for attempt in (finetune, resolved):
        with pytest.raises(UserError) as caught:
            attempt(encoders[family], make_task(), TRAIN, (build(name, parameters),))  # type: ignore[operator]
        assert str(caught.value) == sentence


# --- freeze


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
@pytest.mark.parametrize(("layers", "embeddings"), [(0, True), (1, True), (1, False), (LAYERS, True)])
def test_frozen_tensors_end_where_they_started_and_all_others_move(
    encoders: dict[str, Encoder], family: str, layers: int, embeddings: bool
) -> None:
    encoder = encoders[family]
    outcome = run(encoder, build("freeze", {"layers": layers, "embeddings": embeddings}))
    places = {*(["embeddings"] if embeddings else []), *(f"layer.{k}" for k in range(layers))}
    assert {encoder.layout.module_group(n) for n in outcome.frozen} == places
    assert outcome.final_weights is not None
    pretrained = encoder.pretrained_classifier(2).pretrained
    for name, start in pretrained.items():
        if encoder.layout.module_group(name) in places:
            assert torch.equal(outcome.final_weights[name], start), name
        else:
            assert not torch.equal(outcome.final_weights[name], start), name
    assert set(outcome.evaluations[-1].gradient_norm) == set(encoder.layout.module_groups) - places


def test_frozen_albert_embeddings(encoders: dict[str, Encoder]) -> None:
    outcome = run(encoders["albert"], build("freeze", {"layers": 0}))
    assert {encoders["albert"].layout.module_group(n) for n in outcome.frozen} == {"embeddings"}


def test_gradients_of_the_rest_do_not_depend_on_what_is_frozen(bert: Encoder) -> None:
    """First step, no clipping: a frozen part is still read."""
    recipe = TRAIN.replace(steps=1, clip=0)
    whole, part = run(bert, recipe=recipe), run(bert, build("freeze"), recipe=recipe)
    for place in ("layer.1", "pooler", "head"):
        a, b = (o.evaluations[0].gradient_norm[place] for o in (whole, part))
        assert a == pytest.approx(b, rel=1e-5)


def test_silencing_the_frozen_part_silences_it_alone(bert: Encoder) -> None:
    on, off = build("freeze", {"dropout": True}), build("freeze", {"dropout": False})
    recipe = TRAIN.replace(dropout=0.5, steps=2)
    assert resolved(bert, make_task(), recipe, (off,)).dropout_off == ("embeddings", "layer.0")
    assert resolved(bert, make_task(), recipe, (on,)).dropout_off == ()
    spelled = recipe.replace(dropout_off=("embeddings", "layer.0"))
    assert run(bert, off, recipe=recipe).weights == run(bert, on, recipe=spelled).weights
    assert run(bert, off, recipe=recipe).weights != run(bert, on, recipe=recipe).weights
    # The rest keeps its noise: another dropout seed still matters.
    assert run(bert, off, recipe=recipe).weights != run(bert, off, recipe=recipe, seeds=Seeds(dropout=1)).weights
    everything = build("freeze", {"layers": 2, "dropout": False})
    silent = recipe.replace(dropout_off=("pooler", "head"))
    seeds = [run(bert, everything, recipe=silent, seeds=Seeds(dropout=s)).weights for s in (0, 1)]
    assert seeds[0] == seeds[1], "with every place silent no noise is left"


# --- composition


def test_composition_orders_by_what_must_come_first() -> None:
    orders = [("bert-adam", "freeze", "reinit"), ("reinit", "bert-adam", "freeze"), ("freeze", "reinit", "bert-adam")]
    names = [[s.name for s in compose(map(build, order))] for order in orders]
    assert names[0] == names[1] == names[2]
    assert names[0].index("reinit") < names[0].index("freeze")
    assert compose(()) == ()


def test_composition_does_not_depend_on_the_order_given(bert: Encoder) -> None:
    a, b = build("reinit"), build("bert-adam")
    assert run(bert, a, b).weights == run(bert, b, a).weights


@pytest.mark.parametrize("order", [("bert-adam", "debiased-adam"), ("debiased-adam", "bert-adam")])
def test_both_adams_at_once_are_refused_with_the_remedy(order: tuple[str, str]) -> None:
    with pytest.raises(
        UserError, match=r'^arms\.x: "bert-adam" and "debiased-adam" exclude|^arms\.x: "debiased-adam" and'
    ):
        compose(map(build, order), where="arms.x")
    with pytest.raises(UserError, match=r"keep one of them$"):
        compose(map(build, order))


def test_the_same_method_twice_is_refused() -> None:
    with pytest.raises(UserError, match=r'^"reinit" stands 2 times: give it once$'):
        compose([build("reinit", {"layers": 1}), build("reinit", {"layers": 2})])


def test_training_the_biases_alone_of_what_is_drawn_anew_is_refused(bert: Encoder) -> None:
    both = [build("reinit"), build("bitfit")]
    with pytest.raises(UserError, match=r"exclude each other: layer\.1, pooler would start anew and only the biases"):
        compose(both, bert.layout)


@dataclass(frozen=True)
class FreezeAllWeights(Stabilizer):
    """Train the head and the biases; say nothing about what else is composed."""

    name = "freeze-all-weights"
    position = Position.FREEZE

    def frozen(self, name: str, layout: Layout) -> bool:
        return not is_bias(name) and layout.module_group(name) != "head"


def test_nothing_that_is_random_is_ever_frozen(bert: Encoder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"would stay random: reinit draws it, another freezes it$"):
        run(bert, build("reinit"), FreezeAllWeights())
    folder = save_family(tmp_path, "bert")
    tensors = load_file(folder / "model.safetensors")
    save_file({n: t for n, t in tensors.items() if "pooler" not in n}, folder / "model.safetensors", {"format": "pt"})
    without = load_encoder(str(folder))
    assert "bert.pooler.dense.weight" in without.pretrained_classifier(2).newly_initialized
    with pytest.raises(UserError, match=r'^"bert\.pooler\.dense\.weight" would stay random: the checkpoint lacks it'):
        run(without, build("bitfit"))


def test_reinitialising_nothing_is_refused(encoders: dict[str, Encoder]) -> None:
    with pytest.raises(UserError, match=r'^reinit\.layers = 0: "roberta" classifiers have no pooler'):
        run(encoders["roberta"], build("reinit", {"layers": 0}))


@pytest.mark.parametrize("order", [("freeze", "reinit"), ("reinit", "freeze")])
def test_freezing_what_is_drawn_anew_is_refused_once_the_encoder_is_known(
    bert: Encoder, order: tuple[str, str]
) -> None:
    both = [build(name, {"layers": 1 if name == "freeze" else 2}) for name in order]
    compose(both)  # in a deep encoder they would not meet
    with pytest.raises(UserError, match=r"exclude each other: layer\.0 would start anew and never train; let fewer"):
        compose(both, bert.layout)
    with pytest.raises(UserError, match=r"layer\.0 would start anew"):
        run(bert, *both)
    compose(both, Layout("bert", depth=3))


def test_reinit_above_and_freeze_below_do_both(bert: Encoder) -> None:
    outcome = run(bert, build("freeze"), build("reinit"))
    assert {bert.layout.module_group(n) for n in outcome.reinitialized} == {"layer.1", "pooler"}
    assert {bert.layout.module_group(n) for n in outcome.frozen} == {"embeddings", "layer.0"}
