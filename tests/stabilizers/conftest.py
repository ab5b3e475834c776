"""Tiny encoders of every family, loaded once."""

from __future__ import annotations

import pytest

from stabilitybench.encoders import Encoder, load_encoder
from support.families import FAMILIES, save_family


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    """An encoder of each family, by its name."""
    root = tmp_path_factory.mktemp("stabilized")
    return {family: load_encoder(str(save_family(root / family, family))) for family in FAMILIES}


@pytest.fixture(scope="session")
def bert(encoders: dict[str, Encoder]) -> Encoder:
    """A BERT of two layers with a pooler."""
    return encoders["bert"]
