"""Tiny random encoders of every family, and tasks that train in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from stabilitybench.encoders.layout import ARCHITECTURES
from stabilitybench.tasks.base import Kind, Split, Task

FAMILIES = tuple(ARCHITECTURES)
WIDTH, LAYERS, HEADS = 16, 2, 2
SUBJECTS = ("dog", "cat", "teacher", "bird", "doctor")
ENDINGS = ("kind", "rude", "old", "young", "small")


def config_of(family: str, **changes: Any) -> Any:
    """Return a small configuration: 2 layers of width 16, with the vocabulary of the pocket language.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    **changes : Any
        Fields of the configuration; dropout rates are BERT's usual .1 unless changed.

    Returns
    -------
    transformers.PretrainedConfig
        Of the family's own class.
    """
    import transformers as hf

    from stabilitybench.language.tokenizer import special_id, vocabulary

    style: Literal["bert", "roberta"] = "roberta" if family == "roberta" else "bert"
    common: dict[str, Any] = {"vocab_size": len(vocabulary(style)), "pad_token_id": special_id(style, "pad")}
    deep: dict[str, Any] = {
        "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 32,
        "max_position_embeddings": 64, "type_vocab_size": 2,
    }  # fmt: skip
    made = {
        "bert": lambda: hf.BertConfig(**{**common, **deep, **changes}),
        "roberta": lambda: hf.RobertaConfig(
            **{**common, **deep, "max_position_embeddings": 66, "type_vocab_size": 1, "bos_token_id": 0,
               "eos_token_id": 2, **changes}
        ),
        "electra": lambda: hf.ElectraConfig(**{**common, **deep, "embedding_size": 8, **changes}),
        "distilbert": lambda: hf.DistilBertConfig(
            **{**common, "dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 32,
               "max_position_embeddings": 64, **changes}
        ),
        "albert": lambda: hf.AlbertConfig(
            **{**common, **deep, "embedding_size": 8, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
               **changes}
        ),
    }  # fmt: skip
    return made[family]()  # type: ignore[no-untyped-call]


def small_encoder(folder: Path, family: str = "bert", *, seed: int = 7, std: float = 0.2, **changes: Any) -> Path:
    """Write an encoder with random weights (norms and biases too) and its tokenizer to a folder; return the folder.

    Parameters
    ----------
    folder : Path
        Becomes an ordinary checkpoint, for `load_encoder`.
    family : str, default "bert"
        One of `FAMILIES`.
    seed : int, default 7
        Seed of the weights.
    std : float, default 0.2
        Standard deviation of every weight, around 1 for the weights of norms and 0 else.
    **changes : Any
        Fields of the configuration.

    Examples
    --------
    >>> import tempfile
    >>> from stabilitybench.encoders import load_encoder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_encoder(str(small_encoder(Path(folder), "electra"))).layout.depth
    2
    """
    import torch
    from transformers import AutoModel

    from stabilitybench.encoders.silence import quiet
    from stabilitybench.language.tokenizer import build_tokenizer

    with torch.random.fork_rng(devices=[]):
        model = AutoModel.from_config(config_of(family, **changes))  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            tensor.normal_(centre, std, generator=generator)
    with quiet():
        model.save_pretrained(folder)
        build_tokenizer("roberta" if family == "roberta" else "bert").save_pretrained(folder)
    return folder


def small_task(
    *,
    train: int = 24,
    validation: int = 12,
    test: int = 12,
    classes: int = 2,
    pair: bool = False,
    kind: Kind = "classification",
    metrics: tuple[str, ...] = ("accuracy",),
    seed: int = 3,
) -> Task:
    """Return a learnable task of unequal text lengths: the class (or score) shows in the last word.

    Parameters
    ----------
    train, validation, test : int, default 24, 12 and 12
        Rows of each split.
    classes : int, default 2
        From 2 to 5; not read under regression.
    pair : bool, default False
        Whether each row is a pair of texts.
    kind : {"classification", "regression"}, default "classification"
        What the labels are.
    metrics : tuple of str, default ("accuracy",)
        The headline metric first; Spearman's correlation under regression.
    seed : int, default 3
        Seed of texts and scores.

    Examples
    --------
    >>> task = small_task(train=4, classes=2)
    >>> [text.split()[-1] for text in task.train.first], task.train.labels.tolist()
    (['kind', 'rude', 'kind', 'rude'], [0, 1, 0, 1])
    """
    rng = np.random.default_rng(seed)
    words = ENDINGS[: classes if kind == "classification" else 5]

    def split(name: str, rows: int) -> Split:
        labels = np.arange(rows) % len(words)
        fill = [" ".join(["the", *rng.choice(SUBJECTS, size=rng.integers(1, 6)), "is"]) for _ in range(rows)]
        ends = [words[label] for label in labels]
        first = tuple(fill) if pair else tuple(f"{a} {b}" for a, b in zip(fill, ends, strict=True))
        second = tuple(f"the {rng.choice(SUBJECTS)} is {b}" for b in ends) if pair else None
        # Scores that float32 holds exactly.
        values = labels if kind == "classification" else labels + rng.integers(-2, 3, rows) / 16
        return Split(tuple(f"{name}-{i}" for i in range(rows)), first, second, values)

    return Task(
        name="small",
        kind=kind,
        classes=tuple(words) if kind == "classification" else (),
        metrics=metrics if kind == "classification" else ("spearman",),
        train=split("train", train),
        validation=split("validation", validation),
        test=split("test", test),
    )
