"""The files an encoder consists of: what is hashed is what is loaded, and nothing else.

``transformers`` finds files by many routes: an index that names any path, entries of a configuration, adapters and
versioned files beside the ones known.  None of them is left to it.  Weights are read here, from exactly the files that
the fingerprint covers, and a tokenizer is built in a folder that holds nothing but copies of the files covered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from stabilitybench.errors import UserError
from stabilitybench.storage.foreign import open_foreign, read_foreign, read_json

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
#: One of these holds the words of a tokenizer; without any, transformers makes one that knows no word at all.
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
#: Settings of the tokenizer; both can name further files, which are never opened.
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
TEXTS = (CONFIG, *VOCABULARIES, *SETTINGS, "added_tokens.json", "merges.txt")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: What is fetched from a hub repository; weights in other formats are left there.
PATTERNS = (*TEXTS, WEIGHTS, "model-*.safetensors", INDEX)
#: Number types of weights that float32 can stand for; others are quantised, and mean nothing without their scales.
FLOATS = ("float16", "bfloat16", "float32", "float64")
#: Entries of config.json that would have other files or numbers read than those hashed, and what to do about them.
REFUSED = {
    "transformers_weights": f"name the weights {WEIGHTS} and remove the entry",
    "configuration_files": f"keep one {CONFIG} and remove the entry",
    "quantization_config": "weights of full precision are needed to fine-tune",
}
ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class EncoderFiles:
    """The files of one encoder.

    Attributes
    ----------
    encoder : str
        Name of the encoder, for messages.
    folder : Path
        Where the files lie; links are followed, as a hub cache consists of them.
    """

    encoder: str
    folder: Path

    def weights(self) -> tuple[str, ...]:
        """Return the names of the files that hold the weights: one, or those that the index names.

        Returns
        -------
        tuple of str
            File names, sorted.

        Raises
        ------
        UserError
            Where there are none, or the index names anything but safetensors files in the folder itself.
        """
        if (self.folder / WEIGHTS).is_file():
            return (WEIGHTS,)
        if not (self.folder / INDEX).is_file():
            raise UserError(f'encoder "{self.encoder}" has no safetensors weights; other formats are never loaded')
        try:
            shards = set(read_json(self.folder / INDEX)["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f'encoder "{self.encoder}": its {INDEX} names no weights') from None
        for shard in shards:
            plain = isinstance(shard, str) and Path(shard).name == shard and "\\" not in shard
            if not plain or not shard.endswith(".safetensors"):
                raise UserError(
                    f'encoder "{self.encoder}": its {INDEX} names "{shard}"; '
                    "weights must be safetensors files in the folder itself"
                )
            if not (self.folder / shard).is_file():
                raise UserError(f'encoder "{self.encoder}": its {INDEX} names "{shard}", which is not there')
        return tuple(sorted(shards))

    def names(self) -> tuple[str, ...]:
        """Return the names of all files that are loaded, and so hashed, sorted.

        Raises
        ------
        UserError
            As `weights` raises it.
        """
        weights = self.weights()
        index = () if weights == (WEIGHTS,) else (INDEX,)
        return tuple(sorted([*weights, *index, *(name for name in TEXTS if (self.folder / name).is_file())]))

    def fingerprint(self) -> str:
        """Return the SHA-256 of configuration, tokenizer and weights.

        Returns
        -------
        str
            64 hexadecimal digits, over the names and contents of `names`.

        Raises
        ------
        UserError
            As `weights` raises it.
        """
        digest = hashlib.sha256()
        for name in self.names():
            path = self.folder / name
            digest.update(name.encode() + b"\0")
            digest.update(_file_digest(path, path.stat().st_size, path.stat().st_mtime_ns))
        return digest.hexdigest()

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse a folder that asks for files that are not hashed.

        Parameters
        ----------
        config : mapping of str to object
            The content of config.json.

        Raises
        ------
        UserError
            Where an entry of the configuration, an adapter or a versioned tokenizer file leads elsewhere; and as
            `weights` raises it.
        """
        self.weights()
        for key, remedy in REFUSED.items():
            if config.get(key) is not None:
                raise UserError(f'encoder "{self.encoder}": its {CONFIG} has "{key}"; {remedy}')
        for key in ("attn_implementation", "_attn_implementation"):
            if "/" in str(config.get(key)):
                raise UserError(
                    f'encoder "{self.encoder}": its {CONFIG} has {key} = "{config[key]}"; '
                    "code from elsewhere is never run"
                )
        if (self.folder / ADAPTER).exists():
            raise UserError(
                f'encoder "{self.encoder}" has an adapter beside its weights ({ADAPTER}); merge it into them, '
                "or remove it"
            )
        versioned = self._settings(SETTINGS[0]).get("fast_tokenizer_files")
        if versioned not in (None, [], [VOCABULARIES[0]]):
            raise UserError(
                f'encoder "{self.encoder}": its {SETTINGS[0]} has "fast_tokenizer_files"; '
                f"keep one {VOCABULARIES[0]} and remove the entry"
            )

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the checkpoint by name, as they are stored.

        Returns
        -------
        dict of str to torch.Tensor
            On the CPU, each of the number type it was saved in.

        Raises
        ------
        UserError
            Where one holds numbers that are no floats; ids of positions and segments may.
        """
        from safetensors.torch import load_file

        found = {name: tensor for file in self.weights() for name, tensor in load_file(self.folder / file).items()}
        for name, tensor in found.items():
            kind = str(tensor.dtype).removeprefix("torch.")
            if kind not in FLOATS and not name.endswith("_ids"):
                raise UserError(
                    f'encoder "{self.encoder}": tensor "{name}" holds {kind} numbers; '
                    f"must be one of {', '.join(FLOATS)}"
                )
        return found

    @contextmanager
    def tokenizer_folder(self) -> Iterator[Path]:
        """Lend a folder with copies of configuration and tokenizer files, in which no entry leads to another file.

        Yields
        ------
        Path
            A temporary folder, gone afterwards.
        """
        with TemporaryDirectory() as place:
            for name in TEXTS:
                if (self.folder / name).is_file():
                    (Path(place) / name).write_bytes(read_foreign(self.folder / name))
            for name in SETTINGS:
                if found := self._settings(name):
                    kept = {key: value for key, value in found.items() if not _leads_away(key, value)}
                    (Path(place) / name).write_text(json.dumps(kept), "utf-8")
            yield Path(place)

    def _settings(self, name: str) -> dict[str, Any]:
        """Return settings of the tokenizer; what is no JSON object is left for transformers to complain about."""
        try:
            found = read_json(self.folder / name)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _leads_away(key: str, value: Any) -> bool:
    """Tell whether a setting of a tokenizer can name a file; many were saved with the place of one long gone."""
    words = key in ("vocab", "merges") and isinstance(value, str)
    return words or key.endswith(("_file", "_files")) or key == "init_inputs"


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, modified: int) -> bytes:
    """Digest of a file; size and modification time are part of the cache key, so that an edit is seen."""
    with open_foreign(path, most=None) as stream:
        return hashlib.file_digest(stream, "sha256").digest()
