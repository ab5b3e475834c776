"""Is this machine fit for a study?  Versions, cores, devices, folders, hub, and whether numbers repeat."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from stabilitybench.encoders import load_encoder, pocket_encoders
from stabilitybench.errors import UserError
from stabilitybench.finetuning import finetune
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.studies.store import versions
from stabilitybench.tasks import load_task

if TYPE_CHECKING:
    from rich.console import Console

Verdict = Literal["ok", "note", "bad"]
STYLES: dict[Verdict, str] = {"ok": "green", "note": "yellow", "bad": "red"}
HUB_SECONDS = 3.0
#: A run of a large encoder with ``--save`` takes more than this; records alone take far less.
ROOM_BYTES = 2 * 10**9


@dataclass(frozen=True)
class HealthCheck:
    """What was found about one thing.

    Attributes
    ----------
    what : str
        The thing, in a word.
    verdict : {"ok", "note", "bad"}
        "bad" where no study can run.
    words : str
        What was found.
    """

    what: str
    verdict: Verdict
    words: str


def print_doctor(console: Console, store: Path, results: Path) -> bool:
    """Print what was found about this machine, as it comes, and tell whether nothing is bad.

    Parameters
    ----------
    console : Console
        Where to print.
    store, results : Path
        Folders of runs and of results, there or not; nothing is left in them.
    """
    healthy = True
    for finding in _findings(store, results):
        line = Text(f"{finding.verdict:<5}", style=STYLES[finding.verdict])
        console.print(line.append(f"{finding.what:<10} {finding.words}", style="default"), soft_wrap=True)
        healthy = healthy and finding.verdict != "bad"
    console.print("this machine is fit" if healthy else "this machine is not fit: see the lines that begin with bad")
    return healthy


def _findings(store: Path, results: Path) -> Iterator[HealthCheck]:
    """Yield the findings, cheap ones first."""
    yield HealthCheck("versions", "ok", ", ".join(f"{name} {version}" for name, version in versions().items()))
    yield from (_cores(), _memory(), _devices())
    yield _folder("store", store)
    yield _folder("results", results)
    yield _hub()
    yield from _embedded()


def _cores() -> HealthCheck:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return HealthCheck("cores", "ok", f"{cores} usable; a study gets one single-threaded worker for each")


def _memory() -> HealthCheck:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return HealthCheck("memory", "note", "unknown on this system")
    words = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < 1e9:
        return HealthCheck(
            "memory", "note", f"{words}; a worker takes about 1 GB with a small encoder: use fewer --jobs"
        )
    return HealthCheck("memory", "ok", words)


def _devices() -> HealthCheck:
    import torch

    if not torch.cuda.is_available():
        return HealthCheck("devices", "ok", f"CPU ({platform.machine()}); no CUDA device")
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return HealthCheck("devices", "ok", "; ".join(f"cuda:{k} {name}" for k, name in enumerate(names)))


def _folder(what: str, folder: Path) -> HealthCheck:
    """Write into `folder`, or into the folder above it that exists already; leave nothing behind."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not place.is_dir():
        return HealthCheck(what, "bad", f"{place} is a file; give a folder")
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as probe:
            (Path(probe) / "probe").write_text("x")
        free = shutil.disk_usage(place).free
    except OSError as error:
        return HealthCheck(what, "bad", f"{place} cannot be written ({error.strerror or error})")
    state = "can be written" if place == folder.absolute() else f"can be made in {place}"
    return HealthCheck(what, "ok" if free > ROOM_BYTES else "note", f"{folder} {state}, {free / 1e9:.1f} GB free")


def _hub() -> HealthCheck:
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return HealthCheck("hub", "note", "switched off by HF_HUB_OFFLINE; only what is cached or embedded can be used")
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception:
        return HealthCheck(
            "hub", "note", f"{constants.ENDPOINT} cannot be reached; what is cached or embedded can be used"
        )
    return HealthCheck("hub", "ok", f"{constants.ENDPOINT} answers")


def _embedded() -> Iterator[HealthCheck]:
    names = list(pocket_encoders())
    if not names:
        yield HealthCheck("embedded", "bad", "no embedded encoder was shipped; install stabilitybench again")
        return
    try:
        for name in names:
            load_encoder(name).pretrained_classifier(2)
            load_encoder(name).tokenizer()
    except UserError as error:
        yield HealthCheck("embedded", "bad", f"{error}; install stabilitybench again")
        return
    yield HealthCheck("embedded", "ok", ", ".join(names))
    yield _repeats(names[0])


def _repeats(name: str) -> HealthCheck:
    encoder, task = load_encoder(name), load_task("pocket/sentiment")
    recipe = Recipe(steps=3, evaluations=1)
    one, two, other = (finetune(encoder, task, recipe, (), Seeds(s, s, s)).weights for s in (0, 0, 1))
    if one != two:
        return HealthCheck("repeats", "bad", "two trainings with equal seeds gave different weights")
    if one == other:
        return HealthCheck("repeats", "bad", "trainings with different seeds gave the same weights")
    return HealthCheck("repeats", "ok", "equal seeds gave equal weights to the last bit, other seeds gave others")
