"""Every reader of files, fed with what nobody would write: it answers with its result or with one sentence."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stabilitybench.comparison.score_files import read_scores
from stabilitybench.encoders import load_encoder
from stabilitybench.errors import UserError
from stabilitybench.printing import LONGEST, printable
from stabilitybench.storage.toml import read_toml
from stabilitybench.studies import Store
from stabilitybench.studies.file import parse
from stabilitybench.studies.file import read as read_study
from stabilitybench.studies.record_form import well_formed
from stabilitybench.studies.study_json import read_known
from stabilitybench.suites.file import parse_suite, read_suite
from stabilitybench.tasks.reading import read_table
from support.run_records import record

bounded = settings(
    deadline=None, derandomize=True, max_examples=150, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

#: Signs that mean something to a parser, and some that mean something to a terminal.
TEXT = st.text(st.sampled_from("ab01.-+e=,;:\t\n\r \"'[]{}#\\/\x00\x1b\u202e\ud800é") | st.characters(), max_size=60)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from([10**400, -1, "pocket/bert-small"])
)
DATA = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=12
)


def answers(read: Callable[[], object]) -> None:
    """Read; what is refused is refused in one printable sentence."""
    said = "a result"
    try:
        read()
    except UserError as error:
        said = str(error)
    assert said == printable(said)
    assert 5 < len(said) <= LONGEST


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def mutated(good: bytes) -> st.SearchStrategy[bytes]:
    """Bytes with a piece cut out and another put in its place, so that most of a file stays well-formed."""
    place = st.integers(0, len(good))
    piece = st.binary(max_size=6) | TEXT.map(raw) | place.map(lambda at: good[at : at + 40])
    return st.builds(lambda at, n, new: good[:at] + new + good[at + n :], place, st.integers(0, 8), piece)


STUDY: dict[str, Any] = {
    "name": "tiny", "encoders": ["pocket/bert-small"], "tasks": [{"name": "pocket/sentiment", "n": 20}],
    "seeds": {"init": 2}, "baseline": "plain",
    "recipe": {"steps": 2}, "arms": {"plain": [], "reinit": [{"reinit": {"layers": 1}}]},
    "tune": {"seeds": 2, "grid": {"steps": [1, 2]}},
}  # fmt: skip
SUITE: dict[str, Any] = {
    "name": "mine", "title": "t", "factor": "n", "about": "x", "generator": "separable-ball", "datasets": 2,
    "parameters": {"d": 3}, "vary": {"n": [8, 16]}, "measure": {"kind": "max-margin", "bounds": ["B2 refit"]},
    "predictions": [{"quantity": "data", "direction": "falls", "by": "B2"}],
}  # fmt: skip


def spoiled(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with one entry, anywhere in it, replaced, left out or added."""

    def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [at, *(place for key, item in inner for place in places(item, (*at, key)))]

    def put(place: tuple[Any, ...], new: Any, key: str | None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(good))
        inner: Any = found
        for step in place[:-1]:
            inner = inner[step]
        if key is not None and isinstance(inner, dict):
            inner[key] = new
        else:
            inner[place[-1]] = new
        return found

    return st.builds(put, st.sampled_from(places(good)[1:]), DATA, st.none() | TEXT)


@bounded
@given(spoiled(STUDY))
def test_studies(data: dict[str, Any]) -> None:
    answers(lambda: parse(data))


@bounded
@given(spoiled(SUITE))
def test_suites(data: dict[str, Any]) -> None:
    answers(lambda: parse_suite(data))


@bounded
@given(mutated(tomli_w.dumps(STUDY).encode()), mutated(tomli_w.dumps(SUITE).encode()))
def test_study_and_suite_files(tmp_path: Path, study: bytes, suite: bytes) -> None:
    for read, content in ((read_study, study), (read_suite, suite)):
        (tmp_path / "x.toml").write_bytes(content)
        answers(lambda read=read: read(tmp_path / "x.toml"))


@bounded
@given(TEXT | st.builds("{}={}".format, st.sampled_from(["recipe.steps", "name", "a.b.c", "arms.plain", ""]), TEXT))
def test_overrides(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(tomli_w.dumps(STUDY))
    answers(lambda: read_toml(tmp_path / "x.toml", [text], "a study file", "hint"))
    answers(lambda: read_study(tmp_path / "x.toml", [text]))


TABLES = {
    ".tsv": b"sentence\tlabel\na dog\t1\na cat\t0\n", ".csv": b'sentence,label\n"a, dog",1\na cat,0\n',
    ".jsonl": b'{"sentence": "a dog", "label": 1}\n{"sentence": "a cat", "label": 0}\n',
}  # fmt: skip


@pytest.mark.parametrize("suffix", TABLES)
@bounded
@given(st.data())
def test_tables_of_texts(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    file = tmp_path / f"train{suffix}"
    file.write_bytes(data.draw(mutated(TABLES[suffix]) | TEXT.map(raw) | st.binary(max_size=60)))
    answers(lambda: read_table(file))


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"sentence": ["a dog", "a cat", None], "label": [1, 0, 1]}), stream)
    return stream.getvalue()


@bounded
@given(mutated(parquet()))
def test_parquet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.parquet").write_bytes(content)
    answers(lambda: read_table(tmp_path / "train.parquet"))


@bounded
@given(
    mutated(b"score,task,seed,status,failed\n0.5,a,1,ok,false\n0.6,a,2,ok,false\n0.7,a,3,failed,true\n") | TEXT.map(raw)
)
def test_tables_of_scores(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    answers(lambda: read_scores(tmp_path / "x.csv", "x", column="score", points=False, no_skill=0.4))


@bounded
@given(spoiled(record()) | DATA)
def test_records(tmp_path: Path, data: Any) -> None:
    store = Store(tmp_path / "store")
    folder = store.path("0123456789abcdef")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(data))
    assert store.read("0123456789abcdef") is None  # its id is not that of its content
    answers(lambda: store.find("0123"))
    if isinstance(data, dict):
        assert well_formed(data, finished=True) in (True, False)


@bounded
@given(mutated(b'{"spec": {"name": "a"}, "runs": ["0123456789abcdef"], "notes": []}') | TEXT.map(raw))
def test_study_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.json").write_bytes(content)
    known = read_known(tmp_path)
    assert known == {} or {"spec", "runs", "notes"} <= known.keys()


@bounded
@given(st.data())
def test_configurations(tmp_path: Path, tiny_bert: Path, data: st.DataObject) -> None:
    folder = tmp_path / "enc"
    if not folder.exists():
        folder.mkdir()
        for name in ("model.safetensors", "tokenizer.json"):
            os.link(tiny_bert / name, folder / name)
    good = json.loads((tiny_bert / "config.json").read_text())
    content = data.draw(spoiled(good).map(lambda d: json.dumps(d).encode()) | mutated(json.dumps(good).encode()))
    (folder / "config.json").write_bytes(content)
    with suppress(OSError):
        answers(lambda: load_encoder(str(folder)))
