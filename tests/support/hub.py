"""A model and dataset hub on loopback, so that the hub's code paths run without a network.

A repository is a folder ``{models,datasets}/{id}/{revision}/`` below the folder served; each of its folders
is a branch, and its commit is the checksum of its files.  Libraries of Hugging Face read HF_ENDPOINT when
they are imported: set it in the environment of a child process.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Hub:
    """A running hub: its address, and every request so far as ``"GET /path"``."""

    url: str
    folder: Path
    moved: dict[str, str]
    requests: list[str] = field(default_factory=list)

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables that point a child process at this hub, with its cache in `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_XET": "1",
        }


def commit_of(revision: Path) -> str:
    """Return the 40 hex digits that name the contents of a revision's folder."""
    digest = hashlib.sha1(revision.parent.name.encode())
    for file in _files(revision):
        digest.update(file.relative_to(revision).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def _files(revision: Path) -> list[Path]:
    return sorted(file for file in revision.rglob("*") if file.is_file())


@contextmanager
def serve(folder: Path, moved: dict[str, str] | None = None) -> Iterator[Hub]:
    """Serve the repositories in `folder` until the block ends.

    moved : old id -> id, answered with a redirect, as the hub does for names without an organisation.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_port}", folder, moved or {})
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Missing(Exception):
    """Answered with 404 and the hub's code for what is missing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Keep the test output clean."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(f"{self.command} {self.path}")
        try:
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            for old, new in hub.moved.items():
                if old in parts and f"/{new}" not in self.path:
                    return self._send(307, b"", {"Location": self.path.replace(f"/{old}", f"/{new}", 1)})
            if parts[0] == "api":
                self._api(hub.folder / parts[1], parts[2:], body)
            else:
                kind = parts.pop(0) if parts[0] == "datasets" else "models"
                self._file(hub.folder / kind, parts)
        except _Missing as missing:
            self._send(404, b'{"error": "not found"}', {"X-Error-Code": str(missing), "X-Error-Message": "not found"})

    def _api(self, kind: Path, parts: list[str], body: bytes) -> None:
        name, rest = _repository(kind, parts)
        what, wanted, path = (
            rest[0] if rest else "revision",
            rest[1] if len(rest) > 1 else "main",
            "/".join(rest[2:]),
        )
        revision = _revision(kind / name, wanted)
        if what == "revision":
            answer: Any = {
                "id": name,
                "modelId": name,
                "sha": commit_of(revision),
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": f.relative_to(revision).as_posix()} for f in _files(revision)],
            }
        elif what == "tree":
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in (
                "true",
                "1",
            )
            folder = revision / path
            if not folder.is_dir():
                raise _Missing("EntryNotFound")
            found = folder.rglob("*") if recursive else folder.iterdir()
            answer = [_entry(entry, revision) for entry in sorted(found)]
        elif what == "paths-info":
            text = body.decode()
            paths = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
            answer = [_entry(revision / p, revision) for p in paths if (revision / p).exists()]
        else:
            raise _Missing("EntryNotFound")
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, kind: Path, parts: list[str]) -> None:
        name, rest = _repository(kind, parts)
        if len(rest) < 3 or rest[0] not in ("resolve", "raw"):
            raise _Missing("EntryNotFound")
        revision = _revision(kind / name, rest[1])
        file = revision / "/".join(rest[2:])
        if not file.is_file():
            raise _Missing("EntryNotFound")
        raw = file.read_bytes()
        headers = {"X-Repo-Commit": commit_of(revision), "ETag": f'"{hashlib.sha1(raw).hexdigest()}"'}
        self._send(200, raw, headers | {"Content-Type": "application/octet-stream"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _repository(kind: Path, parts: list[str]) -> tuple[str, list[str]]:
    """Split a path into a repository's id ("org/name" or "name") and the rest."""
    for length in (2, 1):
        name = "/".join(parts[:length])
        if (kind / name / "main").is_dir():
            return name, parts[length:]
    raise _Missing("RepoNotFound")


def _revision(repository: Path, wanted: str) -> Path:
    for revision in sorted(repository.iterdir()):
        if wanted in (revision.name, commit_of(revision)):
            return revision
    raise _Missing("RevisionNotFound")


def _entry(path: Path, revision: Path) -> dict[str, Any]:
    name = path.relative_to(revision).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
    raw = path.read_bytes()
    return {"type": "file", "path": name, "oid": hashlib.sha1(raw).hexdigest(), "size": len(raw)}


Columns = dict[str, list[Any]]


def add_dataset(
    folder: Path,
    name: str,
    configs: dict[str, dict[str, Columns]],
    *,
    classes: dict[str, list[str]] | None = None,
    revision: str = "main",
) -> str:
    """Write a dataset repository, ``configs[configuration][split][column]``, and return its commit.

    classes : names of the label's classes per configuration, declared in README.md as the hub does.
    """
    import pandas as pd

    root = folder / "datasets" / name / revision
    card: list[str] = ["---", "dataset_info:"]
    for config, splits in configs.items():
        first = next(iter(splits.values()))
        card += [f"- config_name: {config}", "  features:"]
        for column, values in first.items():
            card.append(f"  - name: {column}")
            if column == "label" and classes and config in classes:
                card += ["    dtype:", "      class_label:", "        names:"]
                card += [f"          '{k}': {c}" for k, c in enumerate(classes[config])]
            else:
                dtype = {str: "string", int: "int64", float: "float32"}[type(values[0])]
                card.append(f"    dtype: {dtype}")
        card.append("  splits:")
        for split, columns in splits.items():
            card += [f"  - name: {split}", f"    num_examples: {len(next(iter(columns.values())))}"]
    card.append("configs:")
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, columns in splits.items():
            card += [f"  - split: {split}", f"    path: {config}/{split}-*"]
            file = root / config / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(columns).to_parquet(file, index=False)
    (root / "README.md").write_text("\n".join([*card, "---", "# A dataset for tests", ""]))
    return commit_of(root)


def add_model(folder: Path, name: str, kind: str, *, revision: str = "main", seed: int = 0) -> str:
    """Write a tiny pretrained encoder (`kind` "bert" or "roberta") with its tokenizer, and return its commit."""
    root = folder / "models" / name / revision
    root.mkdir(parents=True, exist_ok=True)
    _write_encoder(root, kind, _write_tokenizer(root, kind), seed)
    return commit_of(root)


def _write_encoder(root: Path, kind: str, vocabulary: int, seed: int) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
    }
    with torch.device("meta"):  # shapes only: nothing is drawn from torch's global generator
        if kind == "bert":
            model: Any = BertModel(BertConfig(**shape, architectures=["BertModel"]))
        else:
            model = RobertaModel(RobertaConfig(**shape, architectures=["RobertaModel"], type_vocab_size=1))
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, tensor in model.named_parameters():
        noise = 0.02 * torch.randn(tensor.shape, generator=generator)
        tensors[f"{kind}.{key}"] = noise + 1 if key.endswith("LayerNorm.weight") else noise
    # The best-known repositories keep the names of their first frameworks, and heads that nobody asks for.
    if kind == "bert":
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for new, name in old.items():
            tensors = {key.replace(new, name): tensor for key, tensor in tensors.items()}
        tensors["cls.predictions.bias"] = torch.zeros(vocabulary)
    else:
        tensors["lm_head.bias"] = torch.zeros(vocabulary)
    model.config.save_pretrained(root)
    save_file(tensors, root / "model.safetensors", metadata={"format": "pt"})
    # Traps: weights that would have to be unpickled, and code.
    (root / "pytorch_model.bin").write_bytes(b"never opened")
    (root / "modeling_custom.py").write_text("raise SystemExit('never run')\n")


def _write_tokenizer(root: Path, kind: str) -> int:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "not", "##s", ".", ",", "?"]
    if kind == "bert":
        special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        special["mask_token"] = "[MASK]"
        vocabulary = {word: k for k, word in enumerate([*special.values(), *words])}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
        (root / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
        name = "BertTokenizer"
    else:
        special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {word: k for k, word in enumerate([*special.values(), *alphabet, "<mask>"])}
        special |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        (root / "vocab.json").write_text(json.dumps(vocabulary))
        (root / "merges.txt").write_text("#version: 0.2\n")
        name = "RobertaTokenizer"
    tokenizer.add_special_tokens(sorted(set(special.values()), key=vocabulary.__getitem__))
    tokenizer.save(str(root / "tokenizer.json"))
    configuration = {"tokenizer_class": name, "model_max_length": 32, **special}
    (root / "tokenizer_config.json").write_text(json.dumps(configuration, indent=2))
    return len(vocabulary)
