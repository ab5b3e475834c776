"""Tiny encoders for Trainers."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from stabilitybench.encoders import Encoder, load_encoder
from stabilitybench.tasks.base import Task
from support.families import FAMILIES, make_task, save_family


@pytest.fixture(scope="module", autouse=True)
def _little_garbage() -> Iterator[None]:
    """Spare the collector what was there before: every Trainer starts by collecting, which took half the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    """An encoder of each family, by its name."""
    root = tmp_path_factory.mktemp("bridged")
    return {family: load_encoder(str(save_family(root / family, family))) for family in FAMILIES}


@pytest.fixture(scope="session")
def bert(encoders: dict[str, Encoder]) -> Encoder:
    """A BERT of two layers with a pooler."""
    return encoders["bert"]


@pytest.fixture(scope="session")
def task() -> Task:
    """Two classes, rows of unequal length."""
    return make_task()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a Trainer writes."""
    return tmp_path / "trainer"
