"""Encoders and tasks from the hub: download, pinned revision, cache, second use without a network.

The hub is a server on loopback.  Three child processes make the same calls one after the other: while it serves,
after it stopped, and with HF_HUB_OFFLINE set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.hub import add_dataset, add_model, commit_of, serve

CHILD = """
import json, sys
from stabilitybench.encoders import load_encoder
from stabilitybench.errors import UserError
from stabilitybench.tasks import load_task

def encoder(name, revision):
    e = load_encoder(name, revision=revision)
    weights = e.pretrained_classifier(2).pretrained
    word = next(t for n, t in weights.items() if "word_embeddings" in n)
    norm = next(t for n, t in weights.items() if "embeddings.LayerNorm.weight" in n)
    return {"commit": e.revision, "fingerprint": e.fingerprint, "depth": e.layout.depth, "tensors": len(weights),
            "word": float(word.sum()), "norm": float(norm.mean()), "tokens": e.tokenizer()("the cat")["input_ids"]}

def task(name, revision):
    t = load_task(name, revision=revision)
    return {"fingerprint": t.fingerprint, "rows": [len(t.train), len(t.validation), len(t.test)], "notes": t.notes,
            "classes": t.classes, "first": t.train.first[0], "labels": t.train.labels[:4].tolist()}

def files(name, revision):
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars
    disable_progress_bars()
    return {"folder": snapshot_download(name, repo_type="dataset", revision=revision)}

for kind, name, revision in json.loads(sys.argv[1]):
    try:
        answer = {"encoder": encoder, "task": task, "files": files}[kind](name, revision)
    except UserError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""

NETWORK = "is not in the local cache and the hub cannot be reached. Download it where there is a network, or give a"


def rows(tag: str, n: int, **more: list[Any]) -> dict[str, list[Any]]:
    first = {"sentence1": [f"{tag} {k}" for k in range(n)], "sentence2": [f"other {k}" for k in range(n)]}
    return first | more | {"label": [k % 2 for k in range(n)], "idx": list(range(n))}


def entailment(tag: str) -> dict[str, dict[str, list[Any]]]:
    unlabelled = rows(tag, 3) | {"label": [-1, -1, -1]}
    return {"train": rows(tag, 12), "validation": rows(tag, 9), "test": unlabelled}


@dataclass
class Visit:
    """What one child process saw: an answer per call, what it wrote on stderr, what it asked of the hub."""

    answers: dict[tuple[str, str, str | None], dict[str, Any]]
    stderr: str
    requests: list[str] = field(default_factory=list)

    def __getitem__(self, call: tuple[str, str, str | None]) -> dict[str, Any]:
        return self.answers[call]


def visit(calls: list[tuple[str, str, str | None]], environment: dict[str, str]) -> Visit:
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(calls)],
        env={**keep, **environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Visit(dict(zip(calls, map(json.loads, done.stdout.splitlines()), strict=True)), done.stderr)


@dataclass
class World:
    """The commits that the hub holds, and the three visits to it."""

    commits: dict[str, str]
    online: Visit
    stopped: Visit
    offline: Visit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder: Path = tmp_path_factory.mktemp("hub")
    names = {"rte": ["entailment", "not_entailment"]}
    unlabelled = {"train": rows("bad", 4), "validation": rows("bad", 4) | {"label": [0, 1, -1, 1]}}
    glue = {"rte": entailment("new"), "mrpc": unlabelled}
    commits = {
        "bert": add_model(folder, "google-bert/bert-large-uncased", "bert"),
        "bert v1": add_model(folder, "google-bert/bert-large-uncased", "bert", revision="v1", seed=1),
        "roberta": add_model(folder, "FacebookAI/roberta-large", "roberta"),
        "rte": add_dataset(folder, "nyu-mll/glue", glue, classes=names),
    }
    for revision, tag in (("v1", "old"), ("v2", "raw")):
        content = {"rte": entailment(tag)}
        commits[f"rte {revision}"] = add_dataset(folder, "nyu-mll/glue", content, classes=names, revision=revision)
    wic = {"train": rows("a", 4, word=["bank"] * 4), "validation": rows("a", 4, word=["bank"] * 4)}
    add_dataset(folder, "aps/super_glue", {"wic": wic})
    (folder / "datasets" / "aps" / "super_glue" / "code").mkdir()
    (folder / "datasets" / "aps" / "super_glue" / "code" / "super_glue.py").write_text("raise SystemExit")
    home = tmp_path_factory.mktemp("home")
    calls: list[tuple[str, str, str | None]] = [
        ("encoder", "bert-large-uncased", None),
        ("encoder", "bert-large-uncased", "v1"),
        ("encoder", "bert-large-uncased", commits["bert v1"]),
        ("encoder", "FacebookAI/roberta-large", None),
        ("encoder", "FacebookAI/roberta-large", "v1"),
        ("encoder", "org/unknown", None),
        ("task", "glue/rte", None),
        ("task", "glue/rte", "v1"),
        ("files", "nyu-mll/glue", "v2"),
        ("task", "glue/rte", commits["rte v1"]),
        ("task", "glue/rte", "v7"),
        ("task", "glue/cola", None),
        ("task", "glue/mrpc", None),
        ("task", "superglue/wic", None),
        ("task", "superglue/wic", "code"),
    ]
    with serve(folder, moved={"bert-large-uncased": "google-bert/bert-large-uncased"}) as hub:
        environment = hub.environment(home)
        online = visit(calls, environment)
        online.requests = hub.requests
    calls += [("task", "superglue/cb", None), ("task", "glue/rte", "v2")]
    with ThreadPoolExecutor() as pool:
        stopped = pool.submit(visit, calls, environment)
        offline = pool.submit(visit, calls, {**environment, "HF_HUB_OFFLINE": "1"})
    return World(commits, online, stopped.result(), offline.result())


def test_encoders_are_downloaded_by_name_and_by_revision(world: World) -> None:
    new, old = (
        world.online["encoder", "bert-large-uncased", None],
        world.online["encoder", "bert-large-uncased", "v1"],
    )
    assert new["commit"] == world.commits["bert"]
    assert old["commit"] == world.commits["bert v1"]
    assert new["fingerprint"] != old["fingerprint"]
    assert new["word"] != old["word"]
    assert world.online["encoder", "bert-large-uncased", world.commits["bert v1"]] == old


def test_weights_and_tokenizers_of_both_architectures_arrive(world: World) -> None:
    bert = world.online["encoder", "bert-large-uncased", None]
    roberta = world.online["encoder", "FacebookAI/roberta-large", None]
    assert bert["depth"] == roberta["depth"] == 2
    # Layer norms start near 1 whether the file says gamma or weight: were the name lost, they would be exactly 1.
    for encoder in (bert, roberta):
        assert encoder["norm"] == pytest.approx(1, abs=0.05)
        assert encoder["norm"] != 1
    assert bert["tokens"] == [2, 5, 7, 3]
    assert (roberta["tokens"][0], roberta["tokens"][-1], len(roberta["tokens"])) == (0, 2, 9)


def test_tasks_are_downloaded_by_name_and_by_revision(world: World) -> None:
    new, old = world.online["task", "glue/rte", None], world.online["task", "glue/rte", "v1"]
    assert (new["first"], old["first"]) == ("new 0", "old 0")
    assert new["rows"] == [12, 4, 5]
    assert new["classes"] == ["entailment", "not_entailment"]
    assert new["labels"] == [0, 1, 0, 1]
    assert new["notes"][0] == f"nyu-mll/glue, configuration rte, commit {world.commits['rte']}"
    assert old["notes"][0].endswith(world.commits["rte v1"])
    assert world.online["task", "glue/rte", world.commits["rte v1"]] == old
    assert world.online["task", "superglue/wic", None]["first"] == "bank: a 0"


def test_each_file_is_downloaded_once_and_code_and_pickles_never(world: World) -> None:
    bodies = [request for request in world.online.requests if request.startswith("GET") and "/resolve/" in request]
    assert len(bodies) == len(set(bodies))
    assert sum("model.safetensors" in body for body in bodies) == 3
    assert sum("train-00000" in body and "/rte/" in body for body in bodies) == 3
    assert not [body for body in bodies if body.endswith((".bin", ".py"))]


@pytest.mark.parametrize("visit", ["stopped", "offline"])
def test_second_use_needs_no_network(world: World, visit: str) -> None:
    again: Visit = getattr(world, visit)
    for call, answer in world.online.answers.items():
        if "error" not in answer:
            assert again[call] == answer, call


@pytest.mark.parametrize("visit", ["stopped", "offline"])
def test_files_downloaded_beforehand_are_enough(world: World, visit: str) -> None:
    """On clusters data is often fetched on one machine, as files, and used on another without a network."""
    task = getattr(world, visit)["task", "glue/rte", "v2"]
    assert task["first"] == "raw 0"
    assert task["notes"][0].endswith(world.commits["rte v2"])


@pytest.mark.parametrize("visit", ["stopped", "offline"])
def test_without_network_and_cache_there_is_one_sentence(world: World, visit: str) -> None:
    again: Visit = getattr(world, visit)
    for name, revision in (("glue/rte", "v7"), ("glue/cola", None), ("superglue/cb", None)):
        assert again["task", name, revision]["error"] == f'task "{name}" {NETWORK} folder as file:DIR.'
    assert again["encoder", "org/unknown", None]["error"] == f'encoder "org/unknown" {NETWORK} directory.'
    assert NETWORK in again["encoder", "FacebookAI/roberta-large", "v1"]["error"]


def test_what_the_hub_does_not_have_is_said_as_such(world: World) -> None:
    says = {
        (
            "task",
            "glue/rte",
            "v7",
        ): 'task "glue/rte": revision "v7" does not exist in the hub dataset nyu-mll/glue',
        (
            "task",
            "glue/cola",
            None,
        ): 'the hub dataset nyu-mll/glue has no configuration "cola" at this revision',
        ("task", "glue/mrpc", None): 'task "glue/mrpc": validation row 2: label -1 ',
        ("task", "superglue/wic", "code"): "holds code at this revision, which is never run",
        (
            "encoder",
            "org/unknown",
            None,
        ): 'encoder "org/unknown": neither a directory nor a repository of the hub',
        ("encoder", "FacebookAI/roberta-large", "v1"): 'has no revision "v1"',
    }
    for call, sentence in says.items():
        assert sentence in world.online[call]["error"]


@pytest.mark.parametrize("visit", ["online", "stopped", "offline"])
def test_nothing_else_is_printed(world: World, visit: str) -> None:
    assert getattr(world, visit).stderr == ""


def test_a_commit_names_the_contents(tmp_path: Path) -> None:
    first = add_dataset(tmp_path, "a/b", {"rte": entailment("x")})
    assert first == commit_of(tmp_path / "datasets" / "a" / "b" / "main")
    assert add_dataset(tmp_path, "a/b", {"rte": entailment("y")}, revision="v1") != first
