"""The architecture map against the tensors and dropouts that transformers really has."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from stabilitybench.encoders.layout import ARCHITECTURES, Layout, is_bias, is_norm
from stabilitybench.errors import UserError
from support.families import FAMILIES, LAYERS, config_of


def classifier(family: str, **changes: Any) -> nn.Module:
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(config_of(family, **changes))  # type: ignore[no-any-return]


def test_the_five_families_are_mapped() -> None:
    assert set(ARCHITECTURES) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_and_every_dropout_has_exactly_one_place(family: str) -> None:
    model = classifier(family)
    layout = Layout(family, LAYERS)
    names = [n for n, _ in model.named_parameters()] + [n for n, _ in model.named_buffers()]
    names += [n for n, part in model.named_modules() if isinstance(part, nn.Dropout)]
    places = {name: layout.module_group(name) for name in names}
    assert set(places.values()) == set(layout.module_groups)
    by_group = [layout.names_in(names, [place]) for place in layout.module_groups]
    assert Counter(n for group in by_group for n in group) == Counter(names)


TENSORS = {  # of a model with 2 layers: embeddings, each layer, pooler, head
    "bert": {"embeddings": 5, "layer.0": 16, "layer.1": 16, "pooler": 2, "head": 2},
    "roberta": {"embeddings": 5, "layer.0": 16, "layer.1": 16, "head": 4},
    "electra": {"embeddings": 7, "layer.0": 16, "layer.1": 16, "head": 4},
    "distilbert": {"embeddings": 4, "layer.0": 16, "layer.1": 16, "head": 4},
    "albert": {"embeddings": 7, "layer.shared": 16, "pooler": 2, "head": 2},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_places_hold_the_tensors_they_should(family: str) -> None:
    layout = Layout(family, LAYERS)
    names = [name for name, _ in classifier(family).named_parameters()]
    assert Counter(layout.module_group(name) for name in names) == TENSORS[family]
    for name in names:
        place = layout.module_group(name)
        digits = [part for part in name.split(".") if part.isdigit()]
        if place.startswith("layer.") and family != "albert":
            assert place == f"layer.{digits[0]}", name
        assert (place == "embeddings") == ("embedding" in name), name
        assert (place == "pooler") == ("pooler" in name), name
        assert (place == "head") == ("classifier" in name), name


def test_layers_with_two_digits_are_told_apart() -> None:
    layout = Layout("bert", 12)
    names = [name for name, _ in classifier("bert", num_hidden_layers=12).named_parameters()]
    assert [len(layout.names_in(names, [f"layer.{k}"])) for k in range(12)] == [16] * 12
    assert layout.module_group("bert.encoder.layer.11.output.dense.weight") == "layer.11"
    assert layout.module_group("bert.encoder.layer.1.output.dense.weight") == "layer.1"


def test_top_and_bottom() -> None:
    layout = Layout("bert", 4)
    assert layout.layers == ("layer.0", "layer.1", "layer.2", "layer.3")
    assert [layout.top(k) for k in (0, 1, 4)] == [(), ("layer.3",), layout.layers]
    assert [layout.bottom(k) for k in (0, 1, 4)] == [(), ("layer.0",), layout.layers]
    assert layout.module_groups == ("embeddings", *layout.layers, "pooler", "head")
    assert Layout("roberta", 4).module_groups == ("embeddings", *layout.layers, "head")


@pytest.mark.parametrize(
    "name", ["bert.something.weight", "roberta.encoder.layer.0.x", "", "bert", "classifierx.weight", "xpooler"]
)
def test_an_unknown_tensor_is_no_guess(name: str) -> None:
    with pytest.raises(UserError, match=rf'^tensor "{name}" belongs to no module group of "bert"$'):
        Layout("bert", 2).module_group(name)


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match=r'^architecture "xlnet" is not supported: must be one of bert, roberta, electra,'
    ):
        Layout("xlnet", 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_and_biases_are_recognised_by_what_they_are(family: str) -> None:
    model = classifier(family)
    norms = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for part in ("weight", "bias")
    }
    for name, tensor in model.named_parameters():
        assert is_norm(name) == (name in norms), name
        assert is_bias(name) == (name.endswith(".bias")), name
        if not is_norm(name) and not is_bias(name):
            assert tensor.dim() == 2, f"{name}: what is drawn is a matrix"


def test_norm_is_not_fooled_by_a_name_without_dots() -> None:
    assert not is_norm("normal")
    assert not is_norm("weight")
