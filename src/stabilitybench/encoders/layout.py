"""The architecture map: which tensor of an encoder is embedding, layer k, pooler or head.

A *module group* is one of ``"embeddings"``, ``"layer.0"`` ... ``"layer.<depth-1>"``, ``"pooler"`` and ``"head"``; every
tensor of a supported classifier belongs to exactly one.  ALBERT shares one set of tensors among all its layers:
its group is ``"layer.shared"``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stabilitybench.errors import UserError


@dataclass(frozen=True)
class Architecture:
    """Names of the parts of one family, as its `transformers` classifier spells them (tensors and dropouts).

    Attributes
    ----------
    embeddings : tuple of str
        Prefixes of what belongs to the embeddings.
    layers : str
        Prefix that the number of a layer follows.
    pooler : str or None
        Prefix of the pooler; None where the family has none.
    head : tuple of str
        Prefixes of what belongs to the head.
    words : str
        What reads the states first in the model that fills in hidden words.
    title : str
        The family as its papers write it.
    attention : tuple of str, default BERT's
        Endings of the query, key, value and output projections of a layer.
    output : str, default "classifier"
        The last linear layer.
    depth_key : str, default "num_hidden_layers"
        Entry of config.json with the number of layers.
    shared_layers : bool, default False
        Whether one set of tensors serves as every layer.
    segments : bool, default False
        Whether the family reads ``token_type_ids``.
    positions_after_padding : bool, default False
        Whether the first token has position ``pad_token_id + 1`` instead of 0.
    """

    embeddings: tuple[str, ...]
    layers: str
    pooler: str | None
    head: tuple[str, ...]
    words: str
    title: str
    attention: tuple[str, str, str, str] = (
        "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    )  # fmt: skip
    output: str = "classifier"
    depth_key: str = "num_hidden_layers"
    shared_layers: bool = False
    segments: bool = False
    positions_after_padding: bool = False


ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture(
        ("bert.embeddings.",), "bert.encoder.layer.", "bert.pooler.", ("classifier.", "dropout."), "cls", "BERT",
        segments=True,
    ),
    "roberta": Architecture(
        ("roberta.embeddings.",), "roberta.encoder.layer.", None, ("classifier.",), "lm_head", "RoBERTa",
        output="classifier.out_proj", positions_after_padding=True,
    ),
    "electra": Architecture(
        ("electra.embeddings.", "electra.embeddings_project."), "electra.encoder.layer.", None, ("classifier.",),
        "generator_predictions", "ELECTRA", output="classifier.out_proj", segments=True,
    ),
    "distilbert": Architecture(
        ("distilbert.embeddings.",), "distilbert.transformer.layer.", None,
        ("pre_classifier.", "classifier.", "dropout."), "vocab_transform", "DistilBERT",
        attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        depth_key="n_layers",
    ),
    "albert": Architecture(
        ("albert.embeddings.", "albert.encoder.embedding_hidden_mapping_in."), "albert.encoder.albert_layer_groups.",
        "albert.pooler.", ("classifier.", "dropout."), "predictions", "ALBERT",
        attention=("attention.query", "attention.key", "attention.value", "attention.dense"),
        shared_layers=True, segments=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The architecture map of one encoder.

    Attributes
    ----------
    architecture : str
        The family, a key of `ARCHITECTURES`.
    depth : int
        Number of layers.
    initializer_range : float, default 0.02
        SD of the normal draw of new weights.
    first_position : int, default 0
        What the position table calls the first token.

    Examples
    --------
    >>> layout = Layout("bert", depth=4)
    >>> layout.module_group("bert.encoder.layer.3.output.dense.weight"), layout.module_group("classifier.bias")
    ('layer.3', 'head')
    >>> layout.top(2)
    ('layer.2', 'layer.3')
    """

    architecture: str
    depth: int
    initializer_range: float = 0.02
    first_position: int = 0  # what the position table calls the first token

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UserError(
                f'architecture "{self.architecture}" is not supported: must be one of {", ".join(ARCHITECTURES)}'
            )

    @property
    def parts(self) -> Architecture:
        """Names of the parts of this family."""
        return ARCHITECTURES[self.architecture]

    def output(self, names: Iterable[str]) -> str:
        """Return the last linear layer among tensor names: the whole head under head tuning has a name of its own.

        Parameters
        ----------
        names : iterable of str
            Tensor names of a classifier.

        Returns
        -------
        str
            The name of the module that gives the logits.
        """
        return self.parts.output if f"{self.parts.output}.weight" in names else "classifier"

    @property
    def layers(self) -> tuple[str, ...]:
        """Groups of the layers, bottom first."""
        if self.parts.shared_layers:
            return ("layer.shared",)
        return tuple(f"layer.{k}" for k in range(self.depth))

    @property
    def module_groups(self) -> tuple[str, ...]:
        """Every group, bottom first."""
        pooler = () if self.parts.pooler is None else ("pooler",)
        return ("embeddings", *self.layers, *pooler, "head")

    def top(self, count: int) -> tuple[str, ...]:
        """Return the groups of the layers nearest to the head.

        Parameters
        ----------
        count : int
            How many, in [0, `depth`].
        """
        return self.layers[len(self.layers) - count :] if count else ()

    def bottom(self, count: int) -> tuple[str, ...]:
        """Return the groups of the layers nearest to the embeddings.

        Parameters
        ----------
        count : int
            How many, in [0, `depth`].
        """
        return self.layers[:count]

    def module_group(self, name: str) -> str:
        """Return the module group of a tensor or module.

        Parameters
        ----------
        name : str
            Its dotted name in the `transformers` classifier.

        Returns
        -------
        str
            One of `module_groups`.

        Raises
        ------
        UserError
            Where no part of the architecture has this name.
        """
        parts, dotted = self.parts, name + "."
        if dotted.startswith(parts.layers):
            return "layer.shared" if parts.shared_layers else f"layer.{dotted[len(parts.layers) :].split('.')[0]}"
        if dotted.startswith(parts.embeddings):
            return "embeddings"
        if parts.pooler is not None and dotted.startswith(parts.pooler):
            return "pooler"
        if dotted.startswith(parts.head):
            return "head"
        raise UserError(f'tensor "{name}" belongs to no module group of "{self.architecture}"')

    def names_in(self, names: Iterable[str], groups: Iterable[str]) -> tuple[str, ...]:
        """Return the names that lie in given module groups.

        Parameters
        ----------
        names : iterable of str
            Tensor or module names, as for `module_group`.
        groups : iterable of str
            Some of `module_groups`.

        Returns
        -------
        tuple of str
            Some of `names`, in their order.
        """
        wanted = set(groups)
        return tuple(name for name in names if self.module_group(name) in wanted)


def is_bias(name: str) -> bool:
    """Tell whether a tensor is a bias.

    Parameters
    ----------
    name : str
        Its dotted name.
    """
    return name.endswith("bias")


def is_norm(name: str) -> bool:
    """Tell whether a tensor belongs to a layer norm (``LayerNorm``, ``sa_layer_norm``, ...).

    Parameters
    ----------
    name : str
        Its dotted name.
    """
    return "norm" in name.rsplit(".", 2)[-2].lower() if "." in name else False
