"""What trains before fine-tuning begins, fits the head first, or trains several networks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.encoders.masking import hide_words
from stabilitybench.errors import UserError
from stabilitybench.finetuning import Outcome, finetune, resolved, stage_identity
from stabilitybench.finetuning.stages import prepare
from stabilitybench.optim.adam import AdamState, average_moments
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.stabilizers import Context, Position, Stabilizer, TaskFacts, build, compose
from stabilitybench.stabilizers.lp_ft import LPFT
from stabilitybench.stabilizers.mmr import MMR
from stabilitybench.stabilizers.stages import LabelledTask, MaskedWords, Stage
from stabilitybench.studies.spec import RunSpec
from stabilitybench.tasks import load_task
from support.families import FAMILIES, make_task

TRAIN = Recipe(learning_rate=3e-3, batch_size=8, epochs=2, evaluations=2)
CPU = torch.device("cpu")
MASK, WORDS = 4, 50


def run(
    encoder: Encoder, *methods: Stabilizer, recipe: Recipe = TRAIN, seeds: Seeds | None = None, **more: Any
) -> Outcome:
    return finetune(encoder, make_task(**more), recipe, methods, seeds or Seeds(), keep_weights="last")


def changed(encoder: Encoder, *stages: Stage, seeds: Seeds | None = None) -> dict[str, Tensor]:
    found = prepare(encoder, make_task(), TRAIN, stages, seeds or Seeds(), CPU)
    pretrained = encoder.pretrained_classifier(2).pretrained
    return {n: t for n, t in found.tensors.items() if not torch.equal(t, pretrained[n])}


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[n], b[n]) for n in a)


# --- which words are hidden


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 6), length=st.integers(1, 12), share=st.floats(0.01, 0.99))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_only_words_are_chosen_and_targets_are_what_stood_there(
    seed: int, rows: int, length: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, WORDS, (rows, length))
    mask = (np.arange(length) < rng.integers(1, length + 1, (rows, 1))).astype(np.int64)
    seen, targets = hide_words(
        tokens, (mask == 1) & (tokens >= 3), MASK, (0, WORDS), share, np.random.default_rng(seed)
    )
    chosen = targets != -100
    assert not (chosen & ((mask == 0) | (tokens < 3))).any()
    assert (targets[chosen] == tokens[chosen]).all()
    assert (seen[~chosen] == tokens[~chosen]).all()
    assert ((seen >= 0) & (seen < WORDS)).all()


def test_of_the_chosen_words_eight_tenths_are_hidden_and_one_tenth_replaced() -> None:
    tokens = np.full((400, 50), 9)
    seen, targets = hide_words(tokens, tokens > 0, MASK, (0, WORDS), 0.15, np.random.default_rng(0))
    chosen = targets != -100
    # 20,000 words: three standard errors are .008 of the share, .022 of the parts
    assert abs(chosen.mean() - 0.15) < 0.008
    assert abs((seen[chosen] == MASK).mean() - (0.8 + 0.1 / WORDS)) < 0.022
    assert abs((seen[chosen] == 9).mean() - (0.1 + 0.1 / WORDS)) < 0.022


# --- masked words


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_words_train_embeddings_and_layers_and_nothing_else(encoders: dict[str, Encoder], family: str) -> None:
    encoder = encoders[family]
    places = {encoder.layout.module_group(name) for name in changed(encoder, MaskedWords(2.0, 1e-3))}
    assert places == {"embeddings", *encoder.layout.layers}


def test_masked_words_learn_the_texts() -> None:
    """The embedded encoder knows its language already; what it still learns is which words occur in these texts."""
    encoder, task = load_encoder("pocket/bert-small"), load_task("pocket/acceptability")
    short = replace(task, train=task.train.take(range(64)))
    (record,) = prepare(encoder, short, Recipe(), (MaskedWords(6.0, 5e-4),), Seeds(), CPU).records
    assert record["stage"] == "masked words"
    assert record["steps"] == 24
    assert record["last_loss"] < record["first_loss"] - 0.2
    assert record["moved"] > 0


def test_the_words_own_output_layer_is_read_where_the_checkpoint_has_one() -> None:
    """A new output layer knows nothing: its first loss is about log(vocabulary), that of the checkpoint far less."""
    encoder, task = load_encoder("pocket/bert-small"), load_task("pocket/acceptability")
    short = replace(task, train=task.train.take(range(32)))
    (record,) = prepare(encoder, short, Recipe(), (MaskedWords(1.0, 1e-9),), Seeds(), CPU).records
    assert record["first_loss"] < 0.7 * np.log(len(encoder.tokenizer()))


def test_a_stage_follows_the_prepare_seed_alone(bert: Encoder) -> None:
    stage = MaskedWords(1.0, 1e-3)
    first = changed(bert, stage, seeds=Seeds(prepare=1))
    assert equal(first, changed(bert, stage, seeds=Seeds(init=5, order=6, dropout=7, prepare=1)))
    assert not equal(first, changed(bert, stage, seeds=Seeds(prepare=2)))


def test_stages_follow_each_other(bert: Encoder) -> None:
    """The second begins where the first ended, with noise of its own."""
    one = prepare(bert, make_task(), TRAIN, (MaskedWords(1.0, 1e-3),), Seeds(), CPU)
    two = prepare(bert, make_task(), TRAIN, (MaskedWords(1.0, 1e-3), MaskedWords(1.0, 1e-12)), Seeds(), CPU)
    assert [r["stage"] for r in two.records] == ["masked words", "masked words"]
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], tensor, rtol=0, atol=1e-8)


def test_no_global_generator_is_touched(bert: Encoder) -> None:
    before = torch.get_rng_state()
    changed(bert, MaskedWords(1.0, 1e-3), seeds=Seeds(prepare=3))
    assert torch.equal(before, torch.get_rng_state())


def test_surt_fine_tunes_from_where_its_stage_ended(bert: Encoder) -> None:
    surt = build("surt", {"epochs": 1.0, "stage_rate": 1e-3})
    still = TRAIN.replace(learning_rate=1e-12, weight_decay=0.0)
    outcome = run(bert, surt, recipe=still)
    stage = prepare(bert, make_task(), still, surt.phases(still, bert.layout, FACTS), Seeds(), CPU)
    assert outcome.final_weights is not None
    for name, tensor in stage.tensors.items():
        torch.testing.assert_close(outcome.final_weights[name], tensor, rtol=0, atol=1e-8)
    (record,) = outcome.facts["stages"]
    measures = outcome.evaluations[-1].measures
    assert measures["surt.from_start"] < 1e-5
    assert measures["surt.from_pretrained"] == pytest.approx(record["moved"], rel=1e-4)


def test_surt_records_both_distances(bert: Encoder) -> None:
    outcome = run(bert, build("surt", {"epochs": 1.0, "stage_rate": 1e-3}))
    assert outcome.final_weights is not None
    pretrained = bert.pretrained_classifier(2).pretrained
    square = sum(float((outcome.final_weights[n] - t).double().square().sum()) for n, t in pretrained.items())
    assert outcome.evaluations[-1].measures["surt.from_pretrained"] == pytest.approx(square**0.5, rel=1e-6)


def test_surt_measures_the_weights_that_are_evaluated(bert: Encoder) -> None:
    """LoRA trains A and B and leaves W; what moved is W + B A."""
    surt = build("surt", {"epochs": 1.0, "stage_rate": 1e-3})
    found = run(bert, surt, build("lora", {"pooler": False}), recipe=TRAIN.replace(learning_rate=0.05))
    assert found.final_weights is not None
    assert found.evaluations[-1].measures["surt.from_start"] > 1e-3


def test_surt_changes_the_features_of_head_tuning(bert: Encoder) -> None:
    head = TRAIN.replace(mode="head")
    plain, surt = (run(bert, *methods, recipe=head) for methods in ((), (build("surt", {"stage_rate": 1e-3}),)))
    assert plain.predictions[0].logits.shape == surt.predictions[0].logits.shape
    assert not np.array_equal(plain.predictions[0].logits, surt.predictions[0].logits)
    assert plain.final_weights is not None
    assert surt.final_weights is not None
    assert set(plain.final_weights) == set(surt.final_weights)


def test_no_epoch_of_surt_is_the_plain_recipe(bert: Encoder) -> None:
    neutral = build("surt").neutral()
    assert neutral is not None
    assert run(bert, neutral).weights == run(bert).weights


def test_what_a_stage_depends_on_enters_the_identity_of_a_run(bert: Encoder) -> None:
    def identity(method: Stabilizer) -> list[dict[str, Any]]:
        return stage_identity(bert, make_task(), TRAIN, (method,))

    (surt,) = identity(build("surt"))
    assert surt["rate"] == bert.learning_rate
    (transfer,) = identity(build("intermediate-task", {"task": "pocket/sentiment"}))
    assert transfer["content"] == load_task("pocket/sentiment").fingerprint
    assert stage_identity(bert, make_task(), TRAIN, (build("reinit"),)) == []


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("surt", {"epochs": -1}, "surt.epochs = -1"),
        ("surt", {"mask": 0.0}, "surt.mask = 0"),
        ("surt", {"mask": 1e-9}, "surt.mask = 1e-09"),
        ("surt", {"mask": 1.0}, "surt.mask = 1"),
        ("surt", {"stage_rate": 0.0}, "surt.stage_rate = 0"),
        ("intermediate-task", {"epochs": float("1e9")}, "intermediate-task.epochs"),
        ("lp-ft", {"c": 0.0}, "lp-ft.c = 0"),
        ("lp-ft", {"c": 1e-320}, "lp-ft.c = "),
        ("mh-loss", {"heads": 10**9}, "mh-loss.heads = 1000000000"),
        ("deni", {"networks": 0}, "deni.networks = 0"),
        ("deni", {"noise": -0.1}, "deni.noise = -0.1"),
        ("deni", {"start": 0.0}, "deni.start = 0"),
        ("deni", {"rounds": 0, "start": 1.0}, "deni.rounds = 0"),
        ("deni", {"apart": 0.5}, "deni.apart = 0.5: must be below 0.2"),
    ],
)
def test_parameters_out_of_range_are_named(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        build(name, parameters)


# --- another task first


FACTS = TaskFacts("small", "classification", 2, 24)


def test_the_other_task_trains_everything_but_the_head(bert: Encoder) -> None:
    found = changed(bert, LabelledTask("pocket/sentiment", 0.1, 1e-3))
    assert {bert.layout.module_group(name) for name in found} <= {"embeddings", *bert.layout.layers, "pooler"}
    assert {bert.layout.module_group(name) for name in found} >= {*bert.layout.layers}


def test_the_new_head_is_that_of_a_plain_run(bert: Encoder) -> None:
    still = TRAIN.replace(learning_rate=1e-12, weight_decay=0.0)
    method = build("intermediate-task", {"task": "pocket/sentiment", "epochs": 0.1, "stage_rate": 1e-3})
    plain, other = run(bert, recipe=still).final_weights, run(bert, method, recipe=still).final_weights
    assert plain is not None
    assert other is not None
    torch.testing.assert_close(plain["classifier.weight"], other["classifier.weight"], rtol=0, atol=1e-8)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert (plain[name] - other[name]).norm() > 1e-2


@pytest.mark.parametrize(
    ("target", "said"),
    [("pocket/entailment", "is the target itself"), ("glue/rte", "is in the embedded language")],
)
def test_an_unfit_other_task_is_refused(bert: Encoder, target: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build("intermediate-task").supports(TRAIN, bert.layout, replace(FACTS, name=target))


def rows(folder: Path, count: int) -> str:
    """Write a labelled task of `count` training rows; return its name."""
    folder.mkdir(exist_ok=True)
    for split, n in (("train", count), ("dev", 12)):
        lines = [f"the dog sees a {word}\t{k % 2}" for k, word in zip(range(n), ["cat", "boat"] * n, strict=False)]
        (folder / f"{split}.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    return f"file:{folder}"


def test_another_task_is_read_again_after_it_was_edited(bert: Encoder, tmp_path: Path) -> None:
    name = rows(tmp_path / "other", 40)
    steps = []
    for count in (40, 104):
        rows(tmp_path / "other", count)
        (record,) = prepare(bert, make_task(), TRAIN, (LabelledTask(name, 1.0, 1e-3),), Seeds(), CPU).records
        steps.append(record["steps"])
    assert steps == [5, 13]


def test_the_target_under_another_name_is_the_target(bert: Encoder, tmp_path: Path) -> None:
    name = rows(tmp_path / "other", 40)
    same = name.replace("/other", "/./other")
    with pytest.raises(UserError, match="which is the target itself"):
        stage_identity(bert, load_task(name), TRAIN, (build("intermediate-task", {"task": same}),))


def test_a_run_is_the_same_wherever_its_other_task_lies(bert: Encoder, tmp_path: Path) -> None:
    here, there, other = rows(tmp_path / "here", 40), rows(tmp_path / "there", 40), rows(tmp_path / "more", 48)
    ids = [
        RunSpec(bert, make_task(), None, TRAIN, (build("intermediate-task", {"task": name}),), Seeds()).id
        for name in (here, there, other)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_a_relative_folder_counts_from_the_study_file(tmp_path: Path) -> None:
    from stabilitybench.studies.file import read

    rows(tmp_path / "other", 40)
    (tmp_path / "s.toml").write_text(
        'name = "s"\nencoders = ["pocket/bert-small"]\ntasks = ["pocket/sentiment"]\nseeds = 2\nbaseline = "a"\n'
        '[arms]\na = []\nb = [{ intermediate-task = { task = "file:other" } }]\n'
    )
    (method,) = read(tmp_path / "s.toml").stabilizers("b")
    assert method.parameters() == {"task": f"file:{tmp_path / 'other'}"}


def test_a_checkpoint_without_pooler_gets_one_from_the_other_task(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from support.families import save_family

    folder = save_family(tmp_path / "bert", "bert")
    tensors = {n: t for n, t in load_file(folder / "model.safetensors").items() if "pooler" not in n}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = load_encoder(str(folder))
    found = prepare(encoder, make_task(), TRAIN, (LabelledTask("pocket/sentiment", 0.1, 1e-3),), Seeds(), CPU)
    assert "bert.pooler.dense.weight" in found.tensors
    assert run(encoder, build("intermediate-task", {"task": "pocket/sentiment", "epochs": 0.1})).status in (
        "ok",
        "failed",
    )


def test_a_stage_that_diverges_says_so(bert: Encoder) -> None:
    wild = TRAIN.replace(clip=0.0, weight_decay=1.0)
    outcome = run(bert, build("surt", {"epochs": 20.0, "stage_rate": 100.0}), build("lp-ft"), recipe=wild)
    assert outcome.status == "diverged"
    assert any("masked words) diverged" in text for text in outcome.warnings)


def test_an_unknown_other_task_is_refused_when_the_study_is_read(bert: Encoder) -> None:
    with pytest.raises(UserError, match='task "pocket/nothing" is unknown'):
        stage_identity(bert, make_task(), TRAIN, (build("intermediate-task", {"task": "pocket/nothing"}),))


# --- the head first


def probe(x: np.ndarray, y: np.ndarray, outputs: int, c: float, kind: str = "classification") -> tuple[Tensor, Tensor]:
    """Return weight and bias that LP-FT starts from, on features `x`."""
    facts = TaskFacts("t", kind, outputs, len(x))
    layout = load_encoder("pocket/bert-small").layout
    ctx = Context(
        TRAIN, layout, facts, {}, Seeds(), 1, training_features=lambda _: (torch.from_numpy(x), torch.from_numpy(y))
    )
    start = {
        "classifier.weight": torch.zeros(outputs, x.shape[1], dtype=torch.float64),
        "classifier.bias": torch.zeros(outputs, dtype=torch.float64),
    }
    found = LPFT(c=c).initialize(start, ctx)
    assert set(found) == set(start)
    return found["classifier.weight"].requires_grad_(), found["classifier.bias"].requires_grad_()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("c", [0.1, 10.0])
def test_the_probe_minimises_its_objective(classes: int, c: float) -> None:
    """Sum of cross-entropies + ||W||^2 / (2 c): its gradient vanishes there."""
    rng = np.random.default_rng(classes)
    x, y = rng.normal(size=(60, 5)), np.arange(60) % classes
    x[:, 0] += y
    weight, bias = probe(x, y, classes, c)
    logits = torch.from_numpy(x) @ weight.T + bias
    loss = cross_entropy(logits, torch.from_numpy(y), reduction="sum") + weight.square().sum() / (2 * c)
    grads = torch.autograd.grad(loss, [weight, bias])
    assert max(float(g.abs().max()) for g in grads) < 1e-3 * 60


def test_the_probe_of_a_regression_is_ridge() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    y = x @ np.array([1.0, -2.0, 0.5, 0.0]) + 3 + 0.1 * rng.normal(size=50)
    weight, bias = probe(x, y, 1, 2.0, "regression")
    loss = (torch.from_numpy(x) @ weight[0] + bias - torch.from_numpy(y)).square().sum() + weight.square().sum() / 2.0
    grads = torch.autograd.grad(loss, [weight, bias])
    assert max(float(g.abs().max()) for g in grads) < 1e-9


def test_a_class_without_rows_gets_no_weight_and_the_smallest_bias() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    weight, bias = (t.detach() for t in probe(x, y, 3, 1.0))
    assert weight[2].tolist() == [0.0, 0.0, 0.0]
    assert float(bias[2]) == min(bias[:2].tolist())
    assert weight[0].tolist() == (-weight[1]).tolist()


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_probe_reads_features_without_noise_and_only_the_output_layer_moves(
    encoders: dict[str, Encoder], family: str
) -> None:
    encoder = encoders[family]
    still = TRAIN.replace(learning_rate=1e-12, weight_decay=0.0, dropout=0.0)
    plain, probed = run(encoder, recipe=still), run(encoder, build("lp-ft"), recipe=still)
    assert plain.final_weights is not None
    assert probed.final_weights is not None
    output = encoder.layout.parts.output
    moved = {
        n for n, t in probed.final_weights.items() if not torch.allclose(t, plain.final_weights[n], rtol=0, atol=1e-9)
    }
    assert moved == {f"{output}.weight", f"{output}.bias"}
    assert probed.evaluations[-1].train_loss < plain.evaluations[0].train_loss


def test_two_starts_of_the_head_exclude_each_other() -> None:
    with pytest.raises(UserError, match='"lp-ft" and "zero-head" exclude each other'):
        compose([build("lp-ft"), build("zero-head")])


# --- several networks


def test_moments_are_averaged_and_copied() -> None:
    def state(value: float) -> AdamState:
        return AdamState({"w": torch.full((2,), value)}, {"w": torch.full((2,), value**2)}, 4)

    mean = average_moments([state(1.0), state(3.0)])
    assert mean.first["w"].tolist() == [2.0, 2.0]
    assert mean.second["w"].tolist() == [5.0, 5.0]
    assert mean.step == 4


def test_copies_without_noise_of_any_kind_are_the_plain_run(bert: Encoder) -> None:
    quiet = TRAIN.replace(dropout=0.0)
    plain, split = run(bert, recipe=quiet), run(bert, build("deni", {"noise": 0.0}), recipe=quiet)
    np.testing.assert_allclose(split.predictions[0].logits, plain.predictions[0].logits, rtol=0, atol=1e-5)


def test_copies_differ_by_their_dropout_masks(bert: Encoder) -> None:
    noisy = TRAIN.replace(dropout=0.3)
    plain, split = run(bert, recipe=noisy), run(bert, build("deni", {"noise": 0.0}), recipe=noisy)
    assert not np.allclose(split.predictions[0].logits, plain.predictions[0].logits, rtol=0, atol=1e-4)


@dataclass(frozen=True)
class Counting(Stabilizer):
    """Note how many networks train at each step."""

    name = "tally"  # after deni, with which it shares the position
    position = Position.MEMBERS
    seen: tuple[list[int], ...] = ([],)

    def members(self, members: list[dict[str, Tensor]], ctx: Context) -> list[dict[str, Tensor]]:
        self.seen[0].append(len(members))
        return members


def test_the_timetable_is_what_the_docstring_says(bert: Encoder) -> None:
    """20 steps: apart from 4 to 6 and from 8 to 10 (two rounds before 12), and from 12 to the end."""
    counting = Counting(seen=([],))
    method = build("deni", {"networks": 3, "rounds": 2, "start": 0.6, "apart": 0.1})
    run(bert, method, counting, recipe=TRAIN.replace(steps=20, epochs=3))
    assert counting.seen[0] == [1, 1, 1, 3, 3, 1, 1, 3, 3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3]


def test_no_copy_is_made_that_would_not_train(bert: Encoder) -> None:
    one = TRAIN.replace(steps=1, evaluations=1)
    assert run(bert, build("deni"), recipe=one).weights == run(bert, recipe=one).weights


@pytest.mark.parametrize("total", [2, 5, 12])
@pytest.mark.parametrize("parameters", [{}, {"start": 1.0}, {"start": 1.0, "rounds": 19, "apart": 0.04}])
def test_copies_of_a_round_are_merged_before_anything_else(
    bert: Encoder, total: int, parameters: dict[str, Any]
) -> None:
    counting = Counting(seen=([],))
    run(bert, build("deni", parameters), counting, recipe=TRAIN.replace(steps=total, evaluations=1))
    text = "".join("x" if count > 1 else "." for count in counting.seen[0])
    if parameters:
        assert text.endswith("."), "interpolation alone ends with one network"
    else:
        assert "x" in text, "the delayed ensemble trains for a step at least"
        assert text.rstrip("x")[-1:] in ("", "."), "and is apart at the end alone, or after a merge"


def test_noise_would_move_what_another_method_keeps() -> None:
    for name in ("gradual-unfreezing", "child-tuning-d"):
        with pytest.raises(UserError, match="the first adds noise to every weight"):
            compose([build("deni"), build(name)])


def test_low_rank_changes_that_are_all_frozen_are_refused(bert: Encoder) -> None:
    with pytest.raises(UserError, match="freezes every layer"):
        compose([build("lora"), build("freeze", {"layers": 2})], bert.layout)
    compose([build("lora"), build("freeze", {"layers": 1})], bert.layout)


def test_noise_is_relative_to_the_spread_of_a_tensor(bert: Encoder) -> None:
    deni = build("deni", {"noise": 0.5, "networks": 2, "rounds": 0, "start": 0.5})
    ctx = Context(TRAIN, bert.layout, FACTS, {}, Seeds(), 10, step=5)
    weights = {"big": torch.linspace(-3, 3, 40_000), "one": torch.ones(1)}
    copies = deni.members([weights], ctx)
    assert len(copies) == 2
    assert not torch.equal(copies[0]["big"], copies[1]["big"])
    for copy in copies:
        # the standard error of an SD of 40,000 draws is 0.35 %
        assert float((copy["big"] - weights["big"]).std()) == pytest.approx(0.5 * float(weights["big"].std()), rel=0.02)
        assert torch.equal(copy["one"], weights["one"])


def test_merging_takes_the_mean(bert: Encoder) -> None:
    deni = build("deni", {"networks": 2, "rounds": 1, "start": 0.8, "apart": 0.1})
    ctx = Context(TRAIN, bert.layout, FACTS, {}, Seeds(), 100, step=55)
    (merged,) = deni.members([{"w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}], ctx)
    assert merged["w"].tolist() == [1.5]


def test_an_ensemble_keeps_its_first_network_and_says_so(bert: Encoder) -> None:
    outcome = run(bert, build("deni"))
    assert any("5 networks" in text for text in outcome.warnings)


def test_averages_along_the_training_know_one_network() -> None:
    with pytest.raises(UserError, match="follows one network"):
        compose([build("deni"), build("ema")])


@dataclass(frozen=True)
class Wild(Stabilizer):
    """Turn one network into three and three into two."""

    name = "wild"

    def members(self, members: list[dict[str, Tensor]], ctx: Context) -> list[dict[str, Tensor]]:
        return members * 3 if len(members) == 1 else members[:2]


def test_networks_cannot_be_regrouped_at_will(bert: Encoder) -> None:
    with pytest.raises(UserError, match="made 2 networks of 3"):
        run(bert, Wild())


# --- several methods at an evaluation


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_heads_are_averaged_along_the_training_before_they_are_joined(bert: Encoder, average: str) -> None:
    """The joined head of averaged heads is the average of joined heads: both are linear."""
    plain = run(bert).final_weights
    joined = run(bert, build("mh-loss"), build(average)).final_weights
    alone = run(bert, build("mh-loss")).final_weights
    assert plain is not None
    assert joined is not None
    assert alone is not None
    assert set(joined) == set(plain)
    assert not torch.allclose(joined["classifier.weight"], alone["classifier.weight"])


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_an_averaged_output_layer_is_normalised_after_the_average(bert: Encoder, average: str) -> None:
    found = run(bert, build("r4f"), build(average)).final_weights
    assert found is not None
    assert float(torch.linalg.matrix_norm(found["classifier.weight"], 2)) == pytest.approx(1.0, rel=1e-5)


# --- what MMR records


def margin(x: list[list[float]], y: list[int]) -> dict[str, float]:
    features = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    ctx = Context(
        TRAIN, load_encoder("pocket/bert-small").layout, FACTS, {}, Seeds(), 1, training_features=lambda _: features
    )
    return MMR().measures({}, ctx)


def test_margin_and_radius_of_hand_data() -> None:
    """Two points at distance 6, the boundary half way: margin 3; the longest feature has length 5."""
    found = margin([[3.0, 4.0], [-3.0, 4.0]], [0, 1])
    assert found["mmr.margin"] == pytest.approx(3.0, rel=1e-3)
    assert found["mmr.radius"] == pytest.approx(5.0)
    assert found["mmr.margin_over_radius"] == pytest.approx(0.6, rel=1e-3)


def test_growth_widens_the_margin_but_not_its_ratio() -> None:
    small, large = (margin([[3.0 * s, 4.0 * s], [-3.0 * s, 4.0 * s]], [0, 1]) for s in (1e-3, 1e3))
    assert large["mmr.margin"] == pytest.approx(1e6 * small["mmr.margin"], rel=1e-3)
    assert large["mmr.margin_over_radius"] == pytest.approx(small["mmr.margin_over_radius"], rel=1e-3)


def test_classes_that_lie_in_each_other_have_no_margin() -> None:
    assert margin([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])["mmr.margin"] == 0.0


def test_the_closest_pair_of_classes_decides() -> None:
    assert margin([[0.0], [2.0], [10.0]], [0, 1, 2])["mmr.margin"] == pytest.approx(1.0, rel=1e-3)


def test_a_run_that_diverges_under_mmr_is_recorded_as_diverged(bert: Encoder) -> None:
    assert run(bert, build("mmr", {"alpha": 1e308}), recipe=TRAIN.replace(clip=0.0)).status == "diverged"


def test_mmr_records_them_in_a_run(bert: Encoder) -> None:
    measures = run(bert, build("mmr")).evaluations[-1].measures
    assert set(measures) == {"mmr.radius", "mmr.margin", "mmr.margin_over_radius"}
    assert measures["mmr.radius"] > 0


def test_a_run_says_what_it_really_trains_with(bert: Encoder) -> None:
    """Stages leave the recipe of the fine-tuning alone."""
    assert resolved(bert, make_task(), TRAIN, (build("surt"), build("lp-ft"), build("deni"))) == TRAIN


def test_a_saved_run_has_the_tensors_of_a_plain_classifier(bert: Encoder, tmp_path: Path) -> None:
    plain = run(bert).final_weights
    assert plain is not None
    for name in ("surt", "lp-ft", "deni"):
        own = run(bert, build(name)).final_weights
        assert own is not None
        assert set(own) == set(plain)
