"""Encoders: a hub id, a local directory or an embedded ``pocket/...``, all through the same code.

Weights are read from ``safetensors`` files alone, remote code is never run, and the hub is asked only for the
files an encoder needs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.encoders.files import PATTERNS, VOCABULARIES, EncoderFiles
from stabilitybench.encoders.layout import ARCHITECTURES, Layout
from stabilitybench.encoders.silence import quiet, quiet_hub
from stabilitybench.encoders.sizes import check_numbers, sizes
from stabilitybench.errors import UserError, shown, suggest
from stabilitybench.recipe import PUBLISHED_RATE
from stabilitybench.storage.foreign import read_json

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

POCKET = Path(__file__).parent / "pocket"
#: A text that no vocabulary holds as a word.
UNKNOWN = "zq\u2603\U0001f9ff"


@dataclass(frozen=True, eq=False)
class PretrainedClassifier:
    """A classifier as a pure function: its modules without weights, and its pretrained tensors beside them.

    Attributes
    ----------
    module : torch.nn.Module
        The modules, on the "meta" device.
    pretrained : dict of str to torch.Tensor
        Tensors of the checkpoint, float32, by Hugging Face name.
    newly_initialized : dict of str to tuple of int
        Shapes of the tensors that the checkpoint lacks (head, sometimes the pooler) and every run must draw.
    buffers : dict of str to torch.Tensor
        Constants such as position ids.
    """

    module: nn.Module
    pretrained: dict[str, Tensor]
    newly_initialized: dict[str, tuple[int, ...]]
    buffers: dict[str, Tensor]


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder on disk.

    Attributes
    ----------
    name : str
        The name it is loaded by.
    folder : Path
        Holds config, tokenizer and safetensors.
    layout : Layout
        Which tensor is embedding, layer k, pooler or head.
    max_length : int
        Tokens it can read.
    learning_rate : float
        Peak rate taken when a recipe names none.
    revision : str or None, default None
        Resolved commit, for hub encoders.
    config : dict of str to object
        The content of config.json.
    """

    name: str
    folder: Path
    layout: Layout
    max_length: int
    learning_rate: float
    revision: str | None = None
    config: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of configuration, tokenizer and weights."""
        return self.files.fingerprint()

    @property
    def files(self) -> EncoderFiles:
        """The files that are read, and no others."""
        return EncoderFiles(self.name, self.folder)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer: a fast one, never from remote code.

        Raises
        ------
        UserError
            Where the folder has none, or one that cannot be read without code of its own.
        """
        from transformers import AutoTokenizer

        if not any((self.folder / name).is_file() for name in VOCABULARIES):
            raise UserError(f'encoder "{self.name}" has no tokenizer: it needs one of {", ".join(VOCABULARIES)}')
        with quiet(), self.files.tokenizer_folder() as copies:
            try:
                found = AutoTokenizer.from_pretrained(copies, local_files_only=True, trust_remote_code=False)
                found(UNKNOWN)  # fails where the vocabulary has no sign for words it does not know
            except Exception as error:
                raise UserError(f'encoder "{self.name}": its tokenizer cannot be read: {_reason(error)}') from None
        if not found.is_fast:  # those in Python read dictionaries of their own
            raise UserError(f'encoder "{self.name}": its tokenizer must be one that a tokenizer.json can hold')
        found.name_or_path = str(self.folder)
        if words := getattr(found, "vocab_file", None):  # copied when the tokenizer is saved
            found.vocab_file = str(self.folder / Path(words).name)
        return found

    def pretrained_classifier(self, outputs: int) -> PretrainedClassifier:
        """Return the classifier; it is loaded once per process and content.

        Parameters
        ----------
        outputs : int
            Width of the head.

        Returns
        -------
        PretrainedClassifier
            Shared by all callers: its tensors must not be changed in place.

        Raises
        ------
        UserError
            Where the weights cannot be read, lack tensors of the encoder or are not finite.
        """
        return _pretrained_classifier(self, self.fingerprint, outputs)


def load_encoder(name: str, revision: str | None = None) -> Encoder:
    """Find an encoder.

    Parameters
    ----------
    name : str
        ``pocket/...``, an existing directory, or a hub id.
    revision : str, optional
        Branch, tag or commit of a hub id; the main branch where it is left out.

    Returns
    -------
    Encoder
        Its weights are read when they are asked for.

    Raises
    ------
    UserError
        When it is unknown, unreachable, has no safetensors, or an unsupported architecture.

    Examples
    --------
    >>> load_encoder("pocket/bert-small").layout.depth
    4
    """
    if not isinstance(name, str):
        raise UserError(f"encoder {shown(name)}: must be a name, such as pocket/bert-small, or a folder as a text")
    commit: str | None = None
    if name.startswith("pocket/"):
        folder = _pocket_folder(name)
    elif (local := _local_folder(name)) is not None:
        folder = local
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f'encoder "{name}": there is no such directory')
    else:
        folder, commit = _download(name, revision)
    if revision is not None and commit is None:
        raise UserError(f'encoder "{name}": revision = "{revision}": only encoders of the hub have revisions')
    return _describe(name, folder, commit)


def _local_folder(name: str) -> Path | None:
    try:
        folder = Path(name).expanduser()
        return folder.resolve() if name and folder.is_dir() else None
    except (OSError, RuntimeError):  # a name too long for a path, or "~" of nobody
        return None


def pocket_encoders() -> dict[str, dict[str, Any]]:
    """Return the card of every embedded encoder, by name.

    Returns
    -------
    dict of str to dict
        Name to card: specification, learning rate, loss curve, held-out scores, versions.

    Examples
    --------
    >>> sorted(pocket_encoders())
    ['pocket/bert-deep', 'pocket/bert-small', 'pocket/bert-wide', 'pocket/roberta-small']
    """
    return {f"pocket/{p.parent.name}": json.loads(p.read_text("utf-8")) for p in sorted(POCKET.glob("*/card.json"))}


def _pocket_folder(name: str) -> Path:
    known = list(pocket_encoders())
    if name not in known:
        raise UserError(f'encoder "{name}" is unknown: must be one of {", ".join(known)}{suggest(name, known)}')
    return POCKET / name.removeprefix("pocket/")


def _download(name: str, revision: str | None) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with quiet_hub():
            path = Path(snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS)))
    except HFValidationError:
        raise UserError(f'encoder "{name}": neither a directory nor a valid hub id') from None
    except GatedRepoError:
        raise UserError(f'encoder "{name}" is gated: accept its terms on the hub and log in first') from None
    except RepositoryNotFoundError:
        raise UserError(f'encoder "{name}": neither a directory nor a repository of the hub') from None
    except RevisionNotFoundError:
        raise UserError(f'encoder "{name}" has no revision "{revision}"') from None
    except Exception as error:
        if (
            isinstance(error, OSError)
            and error.errno is not None
            and not isinstance(error, (ConnectionError, TimeoutError))
        ):
            raise
        at = f' (revision "{revision}")' if revision else ""
        raise UserError(
            f'encoder "{name}"{at} is not in the local cache and the hub cannot be reached. '
            "Download it where there is a network, or give a directory."
        ) from None
    return path, path.name


def _describe(name: str, folder: Path, commit: str | None) -> Encoder:
    try:
        config = read_json(folder / "config.json")
        architecture = config.get("model_type")
    except FileNotFoundError:
        raise UserError(f'encoder "{name}": {folder} has no config.json') from None
    except UserError as error:
        raise error.within(f'encoder "{name}"') from None
    except (ValueError, AttributeError):
        raise UserError(f'encoder "{name}": its config.json is not a JSON object') from None
    except OSError as error:
        raise UserError(f'encoder "{name}": its config.json cannot be read: {error.strerror}') from None
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise UserError(f'encoder "{name}" is a "{architecture}" model: must be one of {", ".join(ARCHITECTURES)}')
    EncoderFiles(name, folder).check(config)
    parts = ARCHITECTURES[architecture]
    card_path = folder / "card.json"
    card = json.loads(card_path.read_text("utf-8")) if folder.parent == POCKET and card_path.exists() else {}
    depth, first, positions, spread = sizes(name, config, parts)
    return Encoder(
        name=name,
        folder=folder,
        layout=Layout(architecture, depth, spread, first),
        max_length=positions,
        learning_rate=float(card.get("learning_rate", PUBLISHED_RATE)),
        revision=commit,
        config=config,
    )


def load_model(encoder: Encoder, classes: Mapping[type, Any], **changes: Any) -> tuple[nn.Module, set[str]]:
    """Return a model with the weights of an encoder, and the names of tensors that the checkpoint lacks.

    transformers is handed configuration and tensors, never a folder in which it could find others.

    Parameters
    ----------
    encoder : Encoder
        Where the weights come from.
    classes : mapping of type to type
        The model of each configuration class, which decides on the head.
    **changes : object
        Entries of the configuration to set.

    Returns
    -------
    module : torch.nn.Module
        The model, in float32; what the checkpoint lacks is drawn at random.
    absent : set of str
        Names of those tensors, missing or of another shape.

    Raises
    ------
    UserError
        Where the weights cannot be read.
    """
    import torch
    from transformers import AutoConfig

    # A new head draws from torch's global generator: give it a copy to spend, since every run draws its own anyway.
    with quiet(), torch.random.fork_rng(devices=[]):
        try:
            config = AutoConfig.for_model(**{**copy.deepcopy(encoder.config), **changes})
            tensors = encoder.files.tensors()
            with torch.device("meta"):
                check_numbers(encoder.name, classes[type(config)](config), tensors)
            module, info = classes[type(config)].from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except UserError:
            raise
        except Exception as error:
            raise UserError(f'encoder "{encoder.name}": its weights cannot be read: {_reason(error)}') from None
    module.config.return_dict = True
    return module, set(info["missing_keys"]) | {key[0] for key in info["mismatched_keys"]}


@lru_cache(maxsize=2)
def _pretrained_classifier(encoder: Encoder, fingerprint: str, outputs: int) -> PretrainedClassifier:
    """Load the classifier; the fingerprint is part of the cache key, so that edited weights are read again."""
    import torch
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    module, absent = load_model(encoder, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, num_labels=outputs)
    # Ways to compute that a configuration may ask for and that change no number.
    for name, part in module.named_modules():
        for switch in ("gradient_checkpointing", "chunk_size_feed_forward"):
            if getattr(part, switch, None):
                setattr(part, switch, 0)
        if isinstance(part, torch.nn.Dropout) and part.p >= 1:
            raise UserError(f'encoder "{encoder.name}": its config.json sets dropout "{name}" to 1; must be below 1')
    layout = encoder.layout
    lost = [name for name in sorted(absent) if layout.module_group(name) not in ("pooler", "head")]
    if lost:
        raise UserError(
            f'encoder "{encoder.name}": its weights lack {len(lost)} tensors of the encoder, such as "{lost[0]}"'
        )
    # The head is always new, even where a checkpoint carries one of the right size.
    absent |= {name for name, _ in module.named_parameters() if layout.module_group(name) == "head"}
    tensors = {name: p.detach().clone() for name, p in module.named_parameters()}
    for name, tensor in tensors.items():
        if name not in absent and not torch.isfinite(tensor).all():
            raise UserError(f'encoder "{encoder.name}": tensor "{name}" holds values that are not finite')
    return PretrainedClassifier(
        pretrained={name: t for name, t in tensors.items() if name not in absent},
        newly_initialized={name: tuple(t.shape) for name, t in tensors.items() if name in absent},
        buffers={name: b.detach().clone() for name, b in module.named_buffers()},
        module=module.to("meta"),
    )


def _reason(error: BaseException) -> str:
    """Return what an error of another library says, on one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."
