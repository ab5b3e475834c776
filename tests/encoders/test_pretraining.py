import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import stabilitybench.encoders
from stabilitybench.encoders.masking import hide_words
from stabilitybench.encoders.pretraining import pretrain
from stabilitybench.encoders.specification import SPECS, PretrainingSpec, build_model
from stabilitybench.errors import EnvironmentFailure

SHIPPED = Path(stabilitybench.encoders.__file__).parent / "pocket"
TINY = PretrainingSpec("tiny", "bert", 2, 32, 2, 60, learning_rate=3e-3, finetuning_rate=1e-3, batch=16)


@pytest.fixture(params=["bert", "roberta"])
def tiny(request):
    return replace(TINY, architecture=request.param)


def global_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()  # noqa: NPY002


def test_learns_repeats_to_the_byte_and_leaves_the_world_alone(tiny, tmp_path):
    before, threads = global_states(), torch.get_num_threads()
    first = pretrain(tiny, tmp_path / "a")
    assert global_states() == before
    assert torch.get_num_threads() == threads
    torch.manual_seed(1234)  # what others do with the global generator must not matter
    second = pretrain(tiny, tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert first.curve == second.curve
    assert first.curve[-1][1] < first.curve[0][1] - 0.5
    assert first.held_out_loss < np.log(len(AutoTokenizer.from_pretrained(tmp_path / "a")))
    other = pretrain(replace(tiny, seed=1), tmp_path / "c", steps=20)
    assert other.curve[0] != first.curve[0]


def test_stopping_early_replays_the_beginning(tiny, tmp_path):
    whole, part = pretrain(tiny, tmp_path / "a"), pretrain(tiny, tmp_path / "b", steps=20)
    assert part.curve == whole.curve[:2]


def test_the_folder_is_a_plain_transformers_model(tiny, tmp_path):
    report = pretrain(tiny, tmp_path / "e", steps=3)
    stored = load_file(tmp_path / "e/model.safetensors")
    model = AutoModel.from_pretrained(tmp_path / "e")
    for name, tensor in model.state_dict().items():
        if tiny.architecture == "roberta" and name.startswith("pooler."):
            continue  # like the published RoBERTa, it has none
        assert torch.equal(tensor, stored[f"{tiny.architecture}.{name}"])
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "e", num_labels=3)
    assert classifier.config.hidden_dropout_prob == 0.1
    tokens = AutoTokenizer.from_pretrained(tmp_path / "e")("the dog is kind", "a cat is kind", return_tensors="pt")
    assert classifier(**tokens).logits.shape == (1, 3)
    card = json.loads((tmp_path / "e/card.json").read_text())
    assert card["learning_rate"] == tiny.finetuning_rate
    assert PretrainingSpec(**card["spec"]) == tiny
    assert card["parameters"] == report.parameters
    assert (report.next_sentence_accuracy is None) == (tiny.architecture == "roberta")


def test_an_older_folder_is_replaced_and_nothing_else_is_left(tmp_path):
    pretrain(TINY, tmp_path / "e", steps=1)
    (tmp_path / "e/stale").write_text("")
    pretrain(TINY, tmp_path / "e", steps=1)
    assert [p.name for p in tmp_path.iterdir()] == ["e"]
    assert not (tmp_path / "e/stale").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match=r"file/e: cannot be written: "):
        pretrain(TINY, tmp_path / "file" / "e", steps=1)


def test_fresh_weights_come_from_the_seed_alone(tiny):
    torch.manual_seed(0)
    a = build_model(tiny).state_dict()
    torch.manual_seed(1)
    b = build_model(tiny).state_dict()
    other = build_model(replace(tiny, seed=1)).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    embedding = f"{tiny.architecture}.embeddings.word_embeddings.weight"
    assert not torch.equal(a[embedding], other[embedding])
    assert a[embedding].std().item() == pytest.approx(0.02, rel=0.05)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["bert", "roberta"]))
def test_masking_hides_words_only_in_the_published_shares(seed, style):
    spec = replace(TINY, architecture=style)
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 100, (200, 100))
    visible, targets = hide_words(ids, ids >= 5, 4, (5, 100), spec.mask, rng)
    chosen = targets != -100
    assert (ids[chosen] >= 5).all()
    assert (targets[chosen] == ids[chosen]).all()
    assert (visible[~chosen] == ids[~chosen]).all()
    mask = 4
    n = chosen.sum()
    assert abs(chosen.sum() / (ids >= 5).sum() - spec.mask) < 0.02
    assert abs((visible[chosen] == mask).mean() - 0.8) < 5 * (0.16 / n) ** 0.5
    kept = (visible[chosen] == ids[chosen]).mean()
    assert abs(kept - (0.1 + 0.1 / 95)) < 5 * (0.09 / n) ** 0.5


def test_every_shipped_encoder_has_a_recipe_and_every_recipe_is_shipped():
    assert {path.name for path in SHIPPED.iterdir() if path.is_dir()} == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_the_recipe_of_a_shipped_encoder_reproduces_the_beginning_of_its_record(name, tmp_path):
    card = json.loads((SHIPPED / name / "card.json").read_text())
    assert PretrainingSpec(**card["spec"]) == SPECS[name]
    assert card["learning_rate"] == SPECS[name].finetuning_rate
    report = pretrain(SPECS[name], tmp_path / name, steps=30 if name == "bert-small" else 10)
    for (step, loss), (recorded_step, recorded) in zip(report.curve, card["curve"], strict=False):
        assert step == recorded_step
        assert loss == pytest.approx(recorded, rel=1e-4)


@pytest.mark.parametrize("name", SPECS)
def test_shipped_encoders_learned_their_language_and_are_small(name):
    card = json.loads((SHIPPED / name / "card.json").read_text())
    config = AutoConfig.from_pretrained(SHIPPED / name)
    assert (config.num_hidden_layers, config.hidden_size) == (SPECS[name].layers, SPECS[name].width)
    assert (SHIPPED / name / "model.safetensors").stat().st_size < 12e6
    assert card["curve"][-1][0] == SPECS[name].steps
    assert card["held_out_loss"] < 2.6  # an untrained one: 6.0, one that knows the frequencies: 4.9
    if config.model_type == "bert":
        assert card["next_sentence_accuracy"] > 0.6  # guessing: 0.5
