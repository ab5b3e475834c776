"""The pocket encoders before they are trained: the specification of each, and its untrained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stabilitybench.language.tokenizer import MAX_LENGTH, Style, special_id, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class PretrainingSpec:
    """Everything that decides the bytes of a pretrained pocket encoder.

    Attributes
    ----------
    name : str
        Name after ``pocket/``.
    architecture : {"bert", "roberta"}
        Family, and with it the losses.
    layers : int
        Number of layers.
    width : int
        Hidden size; the feed-forward width is 4 times it.
    heads : int
        Attention heads per layer.
    steps : int
        Updates.
    learning_rate : float
        Peak rate, reached after the fraction `warmup` of the steps, then falling linearly to 0.
    finetuning_rate : float
        Peak rate for fine-tuning this encoder, written into its card.
    batch : int, default 64
        Passages per update.
    warmup : float, default 0.06
        Fraction of the steps.
    weight_decay : float, default 0.01
        AdamW's, on matrices alone.
    clip : float, default 1.0
        Largest gradient norm.
    mask : float, default 0.2
        Fraction of words to be predicted.
    seed : int, default 0
        Of weights, data and masks.

    Examples
    --------
    >>> SPECS["bert-small"].layers, SPECS["bert-small"].width
    (4, 128)
    """

    name: str
    architecture: Style
    layers: int
    width: int
    heads: int
    steps: int
    learning_rate: float
    finetuning_rate: float
    batch: int = 64
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    mask: float = 0.2
    seed: int = 0


#: Every pocket encoder by its name, without ``pocket/``.
SPECS: dict[str, PretrainingSpec] = {
    spec.name: spec
    for spec in (
        PretrainingSpec("bert-small", "bert", 4, 128, 4, 8000, learning_rate=1e-3, finetuning_rate=1e-3),
        PretrainingSpec("roberta-small", "roberta", 4, 128, 4, 6000, learning_rate=1e-3, finetuning_rate=8e-4),
        PretrainingSpec("bert-deep", "bert", 12, 64, 4, 5000, learning_rate=8e-4, finetuning_rate=6e-4, warmup=0.1),
        PretrainingSpec("bert-wide", "bert", 3, 256, 4, 1600, learning_rate=7e-4, finetuning_rate=4e-4, batch=48),
    )
}


def build_model(spec: PretrainingSpec) -> PreTrainedModel:
    """Return an untrained model: weights N(0, 0.02²), biases 0, LayerNorm 1 and 0.

    Parameters
    ----------
    spec : PretrainingSpec
        Its shape, and the seed of its weights.

    Returns
    -------
    transformers.PreTrainedModel
        Ready for masked words, under BERT for next sentence too.
    """
    import torch
    from transformers import BertConfig, BertForPreTraining, RobertaConfig, RobertaForMaskedLM

    common: dict[str, Any] = {
        "vocab_size": len(vocabulary(spec.architecture)),
        "hidden_size": spec.width,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "intermediate_size": 4 * spec.width,
        "pad_token_id": special_id(spec.architecture, "pad"),
    }
    with torch.random.fork_rng(devices=[]):  # construction draws weights that are overwritten below
        model: PreTrainedModel
        if spec.architecture == "bert":
            model = BertForPreTraining(BertConfig(max_position_embeddings=MAX_LENGTH, **common))
        else:
            ends: dict[str, Any] = {
                "bos_token_id": special_id("roberta", "cls"),
                "eos_token_id": special_id("roberta", "sep"),
            }
            config = RobertaConfig(max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, **ends, **common)
            model = RobertaForMaskedLM(config)
    generator = torch.Generator().manual_seed(spec.seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, model.config.initializer_range, generator=generator)
    return model
