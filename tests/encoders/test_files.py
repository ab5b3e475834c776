"""What is hashed is what is loaded: no file that can change a number stays outside the fingerprint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.errors import UserError
from support.families import save_family

DENSE = "encoder.layer.0.output.dense.weight"
REFUSED = "refused"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good BERT, never to be changed."""
    return save_family(tmp_path_factory.mktemp("good") / "bert", "bert")


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "mine"))


def edit_json(path: Path, **changes: Any) -> None:
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**kept, **changes}))


def shard(folder: Path, name: str) -> Path:
    """Move the weights to another file, to which an index points."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    if target.suffix == ".bin":
        torch.save(tensors, target)
    else:
        save_file(tensors, target, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return target


def explicit(folder: Path) -> Path:
    edit_json(folder / "config.json", transformers_weights="other.safetensors")
    return Path(shutil.copy(folder / "model.safetensors", folder / "other.safetensors"))


def adapter(folder: Path) -> Path:
    """Put a LoRA adapter beside the weights, which transformers adds to them where peft is installed."""
    settings = {"peft_type": "LORA", "r": 1, "lora_alpha": 8, "target_modules": ["query"], "task_type": "SEQ_CLS"}
    edit_json(folder / "adapter_config.json", **settings, base_model_name_or_path=str(folder))
    at = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_{}.weight"
    save_file({at.format("A"): torch.ones(1, 16), at.format("B"): torch.ones(16, 1)}, folder / "adapter.safetensors")
    return (folder / "adapter.safetensors").rename(folder / "adapter_model.safetensors")


def linked(folder: Path) -> Path:
    """Replace the weights by a link out of the folder, as a hub cache holds them."""
    blob = (folder / "model.safetensors").rename(folder.parent / "blob")
    (folder / "model.safetensors").symlink_to("../blob")
    return blob


def versioned_configuration(folder: Path) -> Path:
    edit_json(folder / "config.json", configuration_files=["config.4.0.0.json"])
    return Path(shutil.copy(folder / "config.json", folder / "config.4.0.0.json"))


def beside(name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copy(folder / "model.safetensors", folder / name))


def versioned_tokenizer(folder: Path) -> Path:
    edit_json(folder / "tokenizer_config.json", fast_tokenizer_files=["tokenizer.4.0.0.json"])
    return Path(shutil.copy(folder / "tokenizer.json", folder / "tokenizer.4.0.0.json"))


def tokenizer_elsewhere(file: str, key: str) -> Callable[[Path], Path]:
    """Let a setting of the tokenizer name a file outside."""

    def act(folder: Path) -> Path:
        outside = Path(shutil.copy(folder / "tokenizer.json", folder.parent / "tokenizer.json"))
        edit_json(folder / file, **{key: str(outside)})
        return outside

    return act


def words_elsewhere(file: str) -> Callable[[Path], Path]:
    """Take the words from a vocabulary, and let a setting name another one outside."""

    def act(folder: Path) -> Path:
        words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n")
        edit_json(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
        outside = Path(shutil.copy(folder / "vocab.txt", folder.parent / "vocab.txt"))
        edit_json(folder / file, vocab_file=str(outside), vocab=str(outside))
        return outside

    return act


def tekken(folder: Path) -> Path:
    """Leave the words to a file of another family, which transformers finds by its name."""
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    edit_json(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n")
    return folder / "tokenizer.model"


def change(path: Path) -> None:
    """Change what a file says, whatever it is."""
    if path.suffix == ".bin":
        torch.save({name: tensor + 1 for name, tensor in torch.load(path).items()}, path)
    elif path.suffix == ".json" and "config" in path.name:
        edit_json(path, hidden_act="relu")
    elif path.suffix == ".json":
        path.write_text(path.read_text().replace('"lowercase":true', '"lowercase":false').replace("the", "eht"))
    elif path.suffix in (".txt", ".model"):
        path.write_text("\n".join(reversed(path.read_text().splitlines())))
    else:
        save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def look(folder: Path) -> tuple[str, Any]:
    """Return the fingerprint and all numbers that a folder leads to; a refusal has neither."""
    try:
        encoder = load_encoder(str(folder))
        tensors = {n: t.tolist() for n, t in encoder.pretrained_classifier(2).pretrained.items()}
        tokens = encoder.tokenizer()(["the dog is kind", "a cat sat on the mat"])["input_ids"]
    except UserError as error:
        return REFUSED, str(error)
    return encoder.fingerprint, (tensors, encoder.config["hidden_act"], tokens)


LAYOUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a shard of the usual name": (lambda f: shard(f, "model-00001-of-00001.safetensors"), "hashed"),
    "a shard of another name": (lambda f: shard(f, "weights_1.safetensors"), "hashed"),
    "a shard outside": (lambda f: shard(f, "../outside.safetensors"), 'names "../outside.safetensors"; weights must'),
    "a shard in a folder": (lambda f: shard(f, "deep/model.safetensors"), 'names "deep/model.safetensors"; weights'),
    "a pickled shard": (lambda f: shard(f, "weights.bin"), 'names "weights.bin"; weights must be safetensors files'),
    "weights named in the configuration": (explicit, 'its config.json has "transformers_weights"; name the weights'),
    "an adapter": (adapter, "has an adapter beside its weights (adapter_config.json); merge it into them, or remove"),
    "a link": (linked, "hashed"),
    "another configuration": (versioned_configuration, 'its config.json has "configuration_files"; keep one'),
    "weights of a variant": (beside("model.fp16.safetensors"), "unread"),
    "a shard without an index": (beside("model-00001-of-00002.safetensors"), "unread"),
    "a checkpoint of ten years ago": (beside("pytorch_model.safetensors"), "unread"),
    "another tokenizer": (versioned_tokenizer, 'its tokenizer_config.json has "fast_tokenizer_files"; keep one'),
    "a tokenizer outside": (tokenizer_elsewhere("tokenizer_config.json", "tokenizer_file"), "unread"),
    "a tokenizer outside, in the map": (tokenizer_elsewhere("special_tokens_map.json", "tokenizer_file"), "unread"),
    "words outside": (words_elsewhere("tokenizer_config.json"), "unread"),
    "words outside, in the map": (words_elsewhere("special_tokens_map.json"), "unread"),
    "words of another family": (tekken, "unread"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_is_loaded_is_hashed(folder: Path, layout: str) -> None:
    build, expected = LAYOUTS[layout]
    other = build(folder)
    before = look(folder)
    change(other)
    after = look(folder)
    if expected == "hashed":
        assert before[0] != after[0]
        assert before[1] != after[1], "this file holds numbers"
        assert REFUSED not in (before[0], after[0])
    elif expected == "unread":
        assert before == after
        assert before[0] != REFUSED
    else:
        assert (before[0], after[0]) == (REFUSED, REFUSED)
        assert expected in before[1]
        assert before[1].startswith(f'encoder "{folder}"')
        assert "\n" not in before[1]


def test_shards_hold_the_same_encoder_as_one_file(good: Path, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = {name: f"part{k % 3}.safetensors" for k, name in enumerate(sorted(tensors))}
    for file in set(names.values()):
        save_file({n: t for n, t in tensors.items() if names[n] == file}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    whole, parts = (load_encoder(str(f)).pretrained_classifier(2).pretrained for f in (good, folder))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


BAD_INDEX = {
    "no JSON": ("{", "names no weights"),
    "a list": ("[]", "names no weights"),
    "no map": ('{"metadata": {}}', "names no weights"),
    "a map of numbers": ('{"weight_map": {"x": 3}}', 'names "3"; weights must be safetensors files in the folder'),
    "a map of lists": ('{"weight_map": {"x": []}}', "names no weights"),
    "a lost shard": ('{"weight_map": {"x": "lost.safetensors"}}', 'names "lost.safetensors", which is not there'),
    "an absolute place": ('{"weight_map": {"x": "/tmp/x.safetensors"}}', 'names "/tmp/x.safetensors"; weights must'),
    "the folder above": ('{"weight_map": {"x": ".."}}', 'names ".."; weights must'),
}


@pytest.mark.parametrize("case", BAD_INDEX)
def test_an_index_that_leads_nowhere(folder: Path, case: str) -> None:
    content, sentence = BAD_INDEX[case]
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(UserError, match=r"its model\.safetensors\.index\.json ") as caught:
        load_encoder(str(folder))
    assert sentence in str(caught.value)


def test_code_of_the_hub_named_as_attention_is_refused(folder: Path) -> None:
    edit_json(folder / "config.json", attn_implementation="org/kernel")
    with pytest.raises(UserError, match=r'attn_implementation = "org/kernel"; code from elsewhere is never run$'):
        load_encoder(str(folder))


def test_places_that_a_tokenizer_was_saved_with_do_no_harm(good: Path, folder: Path) -> None:
    """Well-known repositories carry the path of a file on the machine of whoever saved them."""
    edit_json(folder / "tokenizer_config.json", special_tokens_map_file="/root/.cache/gone.json", vocab_file="/gone")
    assert load_encoder(str(folder)).tokenizer()("the dog") == load_encoder(str(good)).tokenizer()("the dog")


def read(folder: Path, kind: torch.dtype, name: str = DENSE) -> Encoder:
    tensors: dict[str, Tensor] = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name].to(kind) if name in tensors else torch.arange(64).to(kind)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return load_encoder(str(folder))


@pytest.mark.parametrize("kind", [torch.int64, torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_weights_that_are_no_floats_are_one_sentence(folder: Path, kind: torch.dtype) -> None:
    with pytest.raises(UserError) as caught:
        read(folder, kind).pretrained_classifier(2)
    said = str(caught.value)
    assert f'tensor "{DENSE}" holds {str(kind).removeprefix("torch.")} numbers; must be one of float16, ' in said


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_other_widths_are_read_as_float32(good: Path, folder: Path, kind: torch.dtype) -> None:
    found = read(folder, kind).pretrained_classifier(2).pretrained[f"bert.{DENSE}"]
    assert torch.equal(found, load_file(good / "model.safetensors")[DENSE].to(kind).float())


def test_positions_and_other_constants_may_be_integers(folder: Path) -> None:
    assert read(folder, torch.int64, "embeddings.position_ids").pretrained_classifier(2)
