"""Tiny encoders of every family, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from stabilitybench.encoders import Encoder, load_encoder
from support.families import FAMILIES, save_family


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    """An encoder of each family, by its name."""
    root = tmp_path_factory.mktemp("families")
    return {family: load_encoder(str(save_family(root / family, family))) for family in FAMILIES}


@pytest.fixture(scope="session")
def quiet_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose own configuration has no dropout."""
    folder = tmp_path_factory.mktemp("families") / "quiet-bert"
    return save_family(folder, "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="session")
def bert(encoders: dict[str, Encoder]) -> Encoder:
    """A BERT with a pooler."""
    return encoders["bert"]


@pytest.fixture(scope="session")
def roberta(encoders: dict[str, Encoder]) -> Encoder:
    """A RoBERTa: no pooler."""
    return encoders["roberta"]
