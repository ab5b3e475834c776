"""Folders of encoders that are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from support.bad_input import DEEP, DIGITS, EVIL, LONG, BadInput, Prepare, write


def encoders() -> Iterator[BadInput]:
    def config(**changes: Any) -> Prepare:
        def prepare(folder: Path) -> None:
            file = folder / "enc/config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

        return prepare

    inspect, certify = ("inspect", "task", "--encoder", "enc"), ("certify", "enc", "task", "--n", "20", "--steps", "1")
    texts = [
        "",
        "x",
        "[]",
        "1",
        DEEP,
        "{" * 99,
        f'{{"model_type": "bert", "x": {DIGITS}}}',
        '{"model_type": "gpt2"}',
        json.dumps({"model_type": EVIL}),
        '{"model_type": 1}',
        b"\xff",
        "{}",
    ]
    for place, text in enumerate(texts):
        yield BadInput(f"config {place}", inspect, write("enc/config.json", text))
    changes: list[dict[str, Any]] = [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 1e9},
        {"num_hidden_layers": "1000000000"},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "x"},
        {"num_hidden_layers": None},
        {"num_hidden_layers": 10**400 // 7},
        {"hidden_size": 10**9},
        {"hidden_size": 10**12},
        {"vocab_size": 10**9},
        {"intermediate_size": 10**8},
        {"max_position_embeddings": 10**9},
        {"max_position_embeddings": 0},
        {"hidden_size": "wide"},
        {"hidden_size": 7},
        {"num_attention_heads": 0},
        {"hidden_act": EVIL},
        {"pad_token_id": 10**12},
        {"type_vocab_size": -2},
        {"initializer_range": "x"},
        {"quantization_config": {}},
        {"transformers_weights": "x"},
        {"attn_implementation": "evil/kernel"},
        {"hidden_dropout_prob": 2.0},
        {"layer_norm_eps": "\x1b[31m"},
    ]
    for place, change in enumerate(changes):
        yield BadInput(f"config entry {place}", certify, config(**change))
    for place, text in enumerate(
        ["", "{}", "x", DEEP, '{"model": 1}', '{"version": "1.0", "model": {"type": "' + "\\u001b[31m" + '"}}']
    ):
        yield BadInput(f"tokenizer {place}", inspect, write("enc/tokenizer.json", text))
    yield BadInput("tokenizer without a word for unknown ones", inspect, _no_unknown)
    yield BadInput(
        "tokenizer that is a link in a circle", inspect, lambda f: _replace(f / "enc/tokenizer.json", "tokenizer.json")
    )
    for place, content in enumerate([b"", b"x" * 7, struct.pack("<Q", 2**62), struct.pack("<Q", 10) + b"{" * 10]):
        yield BadInput(f"weights {place}", certify, write("enc/model.safetensors", content))
    yield BadInput("integer weights", certify, _integer_weights)
    yield BadInput("weights that are not there", certify, lambda f: (f / "enc/model.safetensors").unlink())
    for place, text in enumerate(
        ["", "[]", DEEP, '{"weight_map": {"a": "../x.safetensors"}}', '{"weight_map": {"a": "\\u001b.safetensors"}}']
    ):
        yield BadInput(f"index {place}", certify, _index(text))
    for place, name in enumerate(
        ["", "~no-such-user", LONG, "/dev/zero", "a/b/c", "pocket/none", EVIL, "enc/config.json"]
    ):
        yield BadInput(f"encoder {place}", ("inspect", "task", "--encoder", name))


def _replace(file: Path, to: str) -> None:
    file.unlink()
    file.symlink_to(to)


def _no_unknown(folder: Path) -> None:
    file = folder / "enc/tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"] = {word: k for word, k in content["model"]["vocab"].items() if word != "[UNK]"}
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "[UNK]"]
    file.write_text(json.dumps(content))
    for name in ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / "enc" / name).unlink(missing_ok=True)


def _integer_weights(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file = folder / "enc/model.safetensors"
    save_file({name: tensor.astype(np.int32) for name, tensor in load_file(file).items()}, file)


def _index(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / "enc/model.safetensors").unlink()
        write("enc/model.safetensors.index.json", text)(folder)

    return prepare
