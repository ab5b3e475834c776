"""Loading encoders: what is read is what is on disk, and every broken folder ends in one clear sentence."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stabilitybench.encoders import load_encoder
from stabilitybench.encoders.silence import quiet
from stabilitybench.errors import UserError
from stabilitybench.finetuning import finetune
from stabilitybench.recipe import Recipe
from support.families import FAMILIES, make_task, save_family

ONE_STEP = Recipe(learning_rate=1e-3, steps=1, evaluations=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good folder of each family, never to be changed."""
    root = tmp_path_factory.mktemp("good")
    return {family: save_family(root / family, family) for family in FAMILIES}


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the BERT that a test may break."""
    return Path(shutil.copytree(folders["bert"], tmp_path / "mine"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_weights(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def use(folder: Path) -> None:
    """Load and train one step: everything that can go wrong with a folder goes wrong in here."""
    finetune(load_encoder(str(folder)), make_task(), ONE_STEP)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_tells_what_it_is(folders: dict[str, Path], family: str) -> None:
    encoder = load_encoder(str(folders[family]))
    assert encoder.layout.architecture == family
    assert encoder.layout.depth == 2
    assert encoder.max_length == 64
    assert encoder.learning_rate == 2e-5
    assert encoder.revision is None


@pytest.mark.parametrize("family", FAMILIES)
def test_pretrained_tensors_are_those_of_the_file_and_only_head_and_pooler_may_be_new(
    folders: dict[str, Path], family: str
) -> None:
    encoder = load_encoder(str(folders[family]))
    classifier = encoder.pretrained_classifier(3)
    file = load_file(folders[family] / "model.safetensors")
    loaded = {name.removeprefix(f"{family}."): t for name, t in classifier.pretrained.items()}
    assert set(loaded) <= set(file)
    assert all(torch.equal(loaded[name], file[name]) for name in loaded)
    unused = {name for name in set(file) - set(loaded) if not name.startswith("pooler.")}
    assert not unused
    assert {encoder.layout.module_group(name) for name in classifier.newly_initialized} == {"head"}
    assert all(t.dtype == torch.float32 for t in classifier.pretrained.values())
    assert all(p.is_meta for p in classifier.module.parameters()), "weights travel beside the module, not inside"


def test_loading_touches_no_global_generator(folder: Path) -> None:
    def state() -> Any:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = state()
    use(folder)
    assert state() == before


def test_half_precision_weights_are_read_as_float32(folder: Path) -> None:
    edit_weights(folder, lambda t: t.update({n: x.half() for n, x in t.items()}))
    classifier = load_encoder(str(folder)).pretrained_classifier(2)
    assert {t.dtype for t in classifier.pretrained.values()} == {torch.float32}
    stored = load_file(folder / "model.safetensors")
    assert torch.equal(classifier.pretrained["bert.pooler.dense.weight"], stored["pooler.dense.weight"].float())


def test_a_head_in_the_checkpoint_is_not_kept(folder: Path) -> None:
    """A fine-tuned classifier brings a head of the right size; every run draws its own."""

    def grow(tensors: dict[str, Tensor]) -> None:
        base = {f"bert.{n}": t for n, t in tensors.items()}
        tensors.clear()
        tensors.update({**base, "classifier.weight": torch.ones(2, 16), "classifier.bias": torch.ones(2)})

    edit_weights(folder, grow)
    classifier = load_encoder(str(folder)).pretrained_classifier(2)
    assert set(classifier.newly_initialized) == {"classifier.weight", "classifier.bias"}
    assert "bert.encoder.layer.1.output.dense.weight" in classifier.pretrained
    assert set(load_encoder(str(folder)).pretrained_classifier(3).newly_initialized) == {
        "classifier.weight",
        "classifier.bias",
    }


def test_a_missing_pooler_is_drawn_like_a_head(folder: Path) -> None:
    edit_weights(folder, lambda t: [t.pop(n) for n in list(t) if n.startswith("pooler")])
    classifier = load_encoder(str(folder)).pretrained_classifier(2)
    assert {"bert.pooler.dense.weight", "bert.pooler.dense.bias"} < set(classifier.newly_initialized)
    use(folder)


@pytest.mark.parametrize(
    "switch", [{"return_dict": False}, {"chunk_size_feed_forward": 3}, {"gradient_checkpointing": True},
               {"output_attentions": True, "output_hidden_states": True}, {"torchscript": True}, {"is_decoder": True}]
)  # fmt: skip
def test_switches_of_a_configuration_that_are_not_about_numbers_change_none(
    folders: dict[str, Path], folder: Path, switch: dict[str, Any]
) -> None:
    edit_config(folder, **switch)
    mine, plain = (finetune(load_encoder(str(f)), make_task(), ONE_STEP) for f in (folder, folders["bert"]))
    assert mine.weights == plain.weights


# --- fingerprints


def test_the_fingerprint_is_of_content_not_of_place(folder: Path, tmp_path: Path) -> None:
    first = load_encoder(str(folder)).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_encoder(str(moved)).fingerprint == first
    (moved / "README.md").write_text("notes")
    (moved / "optimizer.pt").write_bytes(b"x")
    assert load_encoder(str(moved)).fingerprint == first, "files that are never read do not count"


CHANGES: dict[str, Callable[[Path], Any]] = {
    "one weight": lambda f: edit_weights(f, lambda t: t["pooler.dense.bias"][:1].add_(1e-6)),
    "the configuration": lambda f: edit_config(f, hidden_dropout_prob=0.2),
    "the vocabulary": lambda f: (f / "tokenizer.json").write_text((f / "tokenizer.json").read_text() + "\n"),
    "a new vocabulary file": lambda f: (f / "vocab.txt").write_text("the"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_follows(folder: Path, change: str) -> None:
    first = load_encoder(str(folder)).fingerprint
    CHANGES[change](folder)
    assert load_encoder(str(folder)).fingerprint != first


def test_an_edit_that_keeps_size_and_time_of_another_file_is_seen(folder: Path) -> None:
    """Digests are kept by place, size and time; a rewritten file has a new time."""
    path = folder / "model.safetensors"
    first, before = load_encoder(str(folder)).fingerprint, path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert load_encoder(str(folder)).fingerprint != first


# --- broken folders


def only_bin(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def unlink(*names: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return act


def config(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit_config(folder, **changes)


def text(name: str, content: str | bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def weights(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    return lambda folder: edit_weights(folder, change)


def as_folder(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return act


def no_padding(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    kept = json.loads(path.read_text())
    del kept["pad_token"]
    path.write_text(json.dumps(kept))


DENSE = "encoder.layer.0.output.dense.weight"
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no configuration": (unlink("config.json"), "has no config.json"),
    "empty configuration": (text("config.json", ""), "its config.json is not a JSON object"),
    "configuration is a list": (text("config.json", "[1]"), "its config.json is not a JSON object"),
    "configuration is binary": (text("config.json", b"\xff\xfe\x00"), "its config.json is not a JSON object"),
    "configuration is a bomb": (text("config.json", "[" * 100_000), "its config.json is not a JSON object"),
    "configuration is a folder": (as_folder("config.json"), "its config.json cannot be read: Is a directory"),
    "unsupported": (config(model_type="gpt2"), 'is a "gpt2" model: must be one of bert, roberta, electra,'),
    "no model type": (config(model_type=None), 'is a "None" model: must be one of bert,'),
    "model type of a wrong type": (config(model_type=["bert"]), "model: must be one of bert,"),
    "infinite depth": (config(num_hidden_layers=float("inf")), "its config.json has a size that is not a number"),
    "depth in words": (config(num_hidden_layers="two"), "its config.json has a size that is not a number"),
    "no layers": (config(num_hidden_layers=0), "its config.json says 0 layers and 64 positions; at least 1 is needed"),
    "more layers than weights": (config(num_hidden_layers=5), "its weights lack 48 tensors of the encoder, such as"),
    "wrong width": (config(hidden_size=32), "its weights lack "),
    "width in words": (config(hidden_size="wide"), "its weights cannot be read: "),
    "heads that do not divide": (config(num_attention_heads=3), "its weights cannot be read: "),
    "no heads": (config(num_attention_heads=0), "its weights cannot be read: "),
    "unknown activation": (config(hidden_act="nope"), "its weights cannot be read: "),
    "positions below zero": (config(max_position_embeddings=-5), "layers and -5 positions; at least 1 is needed"),
    "gigantic positions": (config(max_position_embeddings=2**42), "must be at most 1000000000"),
    "everything is dropped": (config(hidden_dropout_prob=1.0), 'sets dropout "bert.embeddings.dropout" to 1; must be'),
    "rate above one": (config(hidden_dropout_prob=2.0), "its weights cannot be read: "),
    "quantised": (config(quantization_config={"quant_method": "bitsandbytes"}), "of full precision"),
    "no weights": (unlink("model.safetensors"), "has no safetensors weights; other formats are never loaded"),
    "pickled weights alone": (only_bin, "has no safetensors weights; other formats are never loaded"),
    "weights are rubbish": (text("model.safetensors", b"rubbish" * 50), "its weights cannot be read: "),
    "weights are empty": (text("model.safetensors", b""), "its weights cannot be read: "),
    "weights are a folder": (as_folder("model.safetensors"), "has no safetensors weights"),
    "no tensors": (weights(lambda t: t.clear()), "its weights lack 37 tensors of the encoder, such as"),
    "a tensor is missing": (weights(lambda t: t.pop(DENSE)), f'lack 1 tensors of the encoder, such as "bert.{DENSE}"'),
    "a tensor has another shape": (
        weights(lambda t: t.update({DENSE: torch.zeros(3, 3)})),
        f'lack 1 tensors of the encoder, such as "bert.{DENSE}"',
    ),
    "NaN": (weights(lambda t: t[DENSE][0].fill_(torch.nan)), f'tensor "bert.{DENSE}" holds values that are not finite'),
    "infinity": (weights(lambda t: t[DENSE][0].fill_(torch.inf)), f'tensor "bert.{DENSE}" holds values that are not'),
    "no tokenizer": (unlink("tokenizer.json", "tokenizer_config.json"), "has no tokenizer: it needs one of tokenizer"),
    "no vocabulary": (unlink("tokenizer.json"), "has no tokenizer: it needs one of tokenizer.json, vocab.txt, "),
    "broken tokenizer": (text("tokenizer.json", "{"), "its tokenizer cannot be read: "),
    "broken tokenizer configuration": (text("tokenizer_config.json", "[]"), "its tokenizer cannot be read: "),
    "no padding": (no_padding, "its tokenizer has no padding token"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_one_clear_sentence(folder: Path, case: str) -> None:
    break_it, sentence = BROKEN[case]
    break_it(folder)
    with pytest.raises(UserError) as caught:
        use(folder)
    said = str(caught.value)
    assert sentence in said
    assert f'"{folder}"' in said, "the encoder is named"
    assert "\n" not in said
    assert len(said) < 500


def test_truncated_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="its weights cannot be read: "):
        use(folder)


def test_a_vocabulary_larger_than_the_weights_is_refused(folder: Path) -> None:
    """Token ids beyond the embeddings would be an index error deep inside."""
    edit_config(folder, vocab_size=10)
    edit_weights(folder, lambda t: t.update({"embeddings.word_embeddings.weight": torch.zeros(10, 16)}))
    with pytest.raises(UserError, match=r"its tokenizer writes token \d+, its weights know 10 tokens$"):
        use(folder)


def test_a_text_without_any_token_is_refused(folder: Path) -> None:
    """A tokenizer that adds no special tokens turns an empty text into nothing."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "post_processor": None}))
    task = make_task()
    empty = replace(task, test=replace(task.test, first=("", *task.test.first[1:])))
    with pytest.raises(UserError, match=r'its tokenizer finds no token in row "test-0"$'):
        finetune(load_encoder(str(folder)), empty, ONE_STEP)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./nope", "there is no such directory"),
        ("/nope/nope", "there is no such directory"),
        ("a/b/c", "there is no such directory"),
        ("~nobody-here", "there is no such directory"),
        ("pocket/nope", "is unknown: must be one of"),
        ("pocket/../../tests", "is unknown: must be one of"),
        ("", "neither a directory nor a valid hub id"),
        ("two words", "neither a directory nor a valid hub id"),
        ("a" * 300, "neither a directory nor a valid hub id"),
    ],
)
def test_names_that_lead_nowhere(name: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        load_encoder(name)
    assert str(caught.value).startswith(f'encoder "{name}"'[:100])
    assert sentence in str(caught.value)


def test_a_file_is_no_encoder(folder: Path) -> None:
    with pytest.raises(UserError, match="there is no such directory"):
        load_encoder(str(folder / "config.json"))


# --- hostile folders


def test_code_in_the_folder_is_never_run(folder: Path) -> None:
    marker = folder / "marker"
    code = f"open({str(marker)!r}, 'w').write('run')\nclass Evil:\n    pass\n"
    for name in ("modeling_evil", "configuration_evil", "tokenization_evil", "__init__", "sitecustomize"):
        (folder / f"{name}.py").write_text(code)
    remote = {
        "AutoConfig": "configuration_evil.Evil",
        "AutoModel": "modeling_evil.Evil",
        "AutoModelForSequenceClassification": "modeling_evil.Evil",
        "AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"],
    }
    edit_config(folder, auto_map=remote)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": remote}))
    use(folder)
    assert not marker.exists()


def test_a_pickle_beside_the_weights_is_never_opened(folder: Path) -> None:
    marker = folder / "marker"

    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(marker), "w"))

    torch.save({"x": Evil()}, folder / "pytorch_model.bin")
    use(folder)
    assert not marker.exists()


def test_logging_and_progress_bars_are_put_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from transformers.utils import logging as log

    def state() -> Any:
        return log.get_verbosity(), log.is_progress_bar_enabled(), are_progress_bars_disabled()

    before = state()
    use(folder)
    assert state() == before
    with pytest.raises(ZeroDivisionError), quiet():
        1 / 0  # noqa: B018
    assert state() == before
    printed = capsys.readouterr()
    assert printed.out == printed.err == "", "loading is silent"
