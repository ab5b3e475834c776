"""Three hundred bad inputs for the command line: what is written before, and the command that meets it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LONG = "n" * 300
DEEP = "[" * 100_000
DIGITS = "9" * 5_000
EVIL = "\x1b[31mred\x1b]0;title\x07\u202eabc"
Prepare = Callable[[Path], object]


@dataclass(frozen=True)
class BadInput:
    """A command in a folder that `prepare` spoils; the folder holds a valid study.toml, task, encoder and scores."""

    name: str
    args: tuple[str, ...]
    prepare: Prepare = lambda folder: None


def bad_inputs() -> list[BadInput]:
    found = [
        *_study_files(), *_overrides(), *_options(), *_tables(), *_encoders(), *_scores(), *_special_files(), *_suites(),
        *_arguments(), *_records(),
    ]  # fmt: skip
    assert len({case.name for case in found}) == len(found)
    return found


def write(name: str, content: str | bytes) -> Prepare:
    def prepare(folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    return prepare


# -- study files ---------------------------------------------------------------------------------------------------------

STUDY = {
    "name": '"tiny"', "encoders": '["enc"]', "tasks": '["file:task"]', "seeds": "2", "baseline": '"plain"',
    "recipe": "{ steps = 2, evaluations = 1, learning_rate = 1e-3 }", "arms": '{ plain = [], reinit = ["reinit"] }',
}  # fmt: skip


def study(**changes: str | None) -> str:
    kept = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
    return "\n".join(f"{key} = {value}" for key, value in kept.items()) + "\n"


def _study_files() -> Iterator[BadInput]:
    texts: dict[str, str | bytes] = {
        "empty": "", "blank": "\n\n", "comment": "# x", "binary": bytes(range(256)), "NUL": 'name = "\0"',
        "not toml": "a b c", "open bracket": "[", "open text": 'name = "x', "utf-16": "name = 1".encode("utf-16"),
        "lone surrogate": b'name = "\xed\xa0\x80"', "large": "#" * 1_000_001, "twice": study() + 'name = "b"\n',
        "deep list": f"x = {DEEP}", "deep closed list": f"x = {'[' * 900}{']' * 900}", "depth 70": study(
            arms="{ plain = " + "[" * 70 + "]" * 70 + " }"
        ), "deep tables": "[" + ".".join(["a"] * 300) + "]\nx = 1\n", "deep inline": "x = " + "{a=" * 500 + "1" + "}" * 500,
        "digits": f"x = {DIGITS}", "hex digits": study(seeds="0x" + "f" * 5_000), "digits of seeds": study(seeds=DIGITS),
        "bad date": "x = 2020-99-99", "bad zone": "x = 2020-01-01T00:00:00+99:99", "escape": 'x = "\\q"',
        "many keys": "".join(f"key{i} = 1\n" for i in range(20_000)), "json": '{"name": "tiny"}', "html": "<html></html>",
        "escape characters": f'name = "{EVIL}"', "evil key": study() + '"\\u001b[2J" = 1\n',
        "newline in key": study() + '"a\\nb" = 1\n', "long key": study() + f"{'k' * 5000} = 1\n",
    }  # fmt: skip
    for name, text in texts.items():
        yield BadInput(f"study {name}", ("status", "study.toml"), write("study.toml", text))
    values: dict[str, list[str | None]] = {
        "name": [None, "1", '""', '"../up"', '"a/b"', f'"{LONG}"', '"\\u001b[31m"', '"a\\nb"', "[]", "nan", '"-x"', "{}"],
        "encoders": [
            None, "[]", '"enc"', "[1]", '["nowhere/at/all"]', '["./none"]', '["~no-such-user"]', f'["/{LONG}"]', '["\\u0000"]',
            '["\\u001b[31m/x"]', '[{ name = "enc", revision = "main" }]', '["enc", "enc"]', "[{}]", '["pocket/none"]',
            f'["{"x" * 1001}"]', '[{ nam = "enc" }]', '["enc\\n/x"]',
        ],
        "tasks": [
            None, "[]", "[1]", '["none"]', '["file:none"]', '["file:~no-such-user"]', f'["file:{LONG}"]', '["file:\\u0000"]',
            '["file:task\\u001b]0;x\\u0007"]', '[{ name = "file:task", n = 1 }]', '[{ name = "file:task", n = 10000 }]',
            '[{ name = "file:task", metric = "beauty" }]', '["file:task", "file:task"]', '["file:enc"]',
            f'[{{ name = "file:task", n = {DIGITS} }}]', '["glue/none"]',
        ],
        "seeds": [
            None, "0", "-1", "2.5", '"2"', "true", "nan", "inf", "10001", "{}", "{ luck = 2 }", "{ init = 0 }",
            "{ init = 9999, order = 9999 }", "{ init = 1000, order = 1000, dropout = 1000 }", "[1, 2]",
        ],
        "baseline": [None, '"none"', "1", '""', '"\\u001b[0m"'],
        "arms": [
            None, "{}", "[]", "{ plain = 1 }", '{ plain = ["none"] }', '{ plain = [], "\\u001b[31m" = [] }',
            '{ plain = [], "a b" = [] }', "{ plain = [{ reinit = { layers = -1 } }] }", "{ plain = [{ reinit = 1 }] }",
            "{ plain = [{ mixout = { p = nan } }] }", '{ plain = ["mixout", "mixout"] }', "{ plain = [[]] }",
            f"{{ plain = [{{ reinit = {{ layers = {DIGITS} }} }}] }}", "{ plain = [], same = [] }",
            '{ plain = [{ "\\u001b[2J\\nx" = {} }] }', '{ plain = [], [red] = [] }',
        ],
        "recipe": [
            "1", "[]", "{ lr = 1 }", "{ learning_rate = nan }", "{ steps = 0 }", "{ batch_size = 1.5 }", '{ mode = "half" }',
            "{ learning_rate = 1e300 }", "{ steps = 1e9 }", "{ \"\\u202e\" = 1 }", "{ max_length = 100000000000 }",
        ],
        "tune": [
            "1", "{}", "{ grid = {} }", "{ grid = { steps = [] } }", "{ grid = { lr = [1] } }", "{ seeds = 0, grid = { steps = [1] } }",
            "{ grid = { steps = [" + "1," * 2000 + "], batch_size = [" + "1," * 2000 + "] } }",
            '{ scope = "all", grid = { steps = [1] } }', '{ grid = { mode = ["full", "half"] } }',
        ],
        "paired": ["1", '"yes"'],
    }  # fmt: skip
    for key, many in values.items():
        for place, value in enumerate(many):
            text = study(**{key: value})
            yield BadInput(f"study {key} {place}", ("status", "study.toml"), write("study.toml", text))


def _overrides() -> Iterator[BadInput]:
    texts = [
        "", "=", "=1", "seeds", "seeds=", "seeds=two", ".seeds=1", "seeds.=1", "seeds..init=1", "name.x=1", "seeds=1\nname=2",
        "seeds=2\n", "se\neds=2", f"seeds={DIGITS}", f"x={DEEP}", "a." * 2000 + "b=1", ".".join("a" * 100) + "=1",
        f"{EVIL}=1", f"name={EVIL}", f"recipe.{LONG}=1", "recipe.steps=1e9", "recipe.steps=inf", "arms=1",
        "arms.new=none", "tasks=[]", "encoders=[[[[]]]]", 'name="a/b"', "seeds=2020-99-99", "recipe.\x7f=1", "baseline=[red]",
    ]  # fmt: skip
    for place, text in enumerate(texts):
        yield BadInput(f"set {place}", ("status", "study.toml", "--set", text))


def _options() -> Iterator[BadInput]:
    values = {
        "--jobs": ["0", "-1", "x", "", "1.5", DIGITS, "1e9"],
        "--device": ["", "gpu", "cuda:", "cuda:x", "cuda:\u00b2", f"cuda:{DIGITS}", EVIL, "cuda:-1"],
        "--timeout": ["0", "-1", "nan", "inf", "x", "", "-inf"],
        "--save": ["", "all", EVIL],
        "--shard": ["", "0/2", "3/2", "a/b", "1", "1/", "/2", "\u00b2/\u00b3", f"1/{DIGITS}", "1/2/3", "-1/2", "1\n/2", " 1/2"],
        "--with": ["none.py", "task", "study.toml", "~no-such-user/x.py", f"{LONG}.py", "broken.py", "loop.py", ""],
        "--store": ["study.toml", LONG, "~no-such-user", f"a/{LONG}/b"],
        "--results": ["study.toml", LONG, "~no-such-user"],
        "--nonsense": ["1"],
    }  # fmt: skip

    def prepare(folder: Path) -> None:
        (folder / "broken.py").write_text("raise ValueError('\\x1b[31m' + 'x' * 9999)\n")
        (folder / "loop.py").symlink_to("loop.py")

    for option, many in values.items():
        for place, value in enumerate(many):
            yield BadInput(f"option {option} {place}", ("run", "study.toml", option, value, "--dry-run"), prepare)


# -- tables of texts -----------------------------------------------------------------------------------------------------


def _tables() -> Iterator[BadInput]:
    header = "sentence\tlabel\n"
    rows = "".join(f"a text {i}\t{i % 2}\n" for i in range(8))
    lines = "".join(json.dumps({"sentence": f"a {i}", "label": i % 2}) + "\n" for i in range(8))
    texts: dict[str, list[str | bytes]] = {
        "tsv": [
            "", "\n", b"\xff\xfe", "a\0b", header, "label\n0\n", "sentence\nx\n", header + "x\n", header + "x\t\n" * 3,
            header + "\t1\n", header + "x\t1\n" * 4, header + "x" * 1_000_001 + "\t1\n", "sentence\tsentence\tlabel\nx\ty\t1\n",
            header + "x\t0.5\ny\t1.5\n", f"sentence\tlabel\t{EVIL}\n" + rows, "\t".join(f"c{i}" for i in range(20_000)) + "\n",
            "sentence\tscore\n" + "x\tnan\n" * 4, "sentence\tscore\n" + f"x\t{DIGITS}\n" * 4, "sentence\tscore\nx\t1\ny\t1\n",
            f"{EVIL}\t{EVIL}\n" + rows, f"sentence\tlabel\nx\t{EVIL}\n" * 2,
        ],
        "csv": [
            "", '"', 'sentence,label\n"x,1\n', "sentence,label\n" + "x" * 200_000 + ",1\n", 'sentence,label\nx,1,2\n',
            "sentence,label\n\n\n", f'sentence,"{EVIL}"\nx,1\n',
        ],
        "jsonl": [
            "", "x", "[]", "1", "{}", '{"sentence": "x"}', '{"sentence": "x", "label": 1, "label": 2}', DEEP, "{" + DEEP,
            '{"sentence": "x", "label": ' + "[" * 500 + "]" * 500 + "}", f'{{"sentence": "x", "label": {DIGITS}}}',
            '{"sentence": 1, "label": 1}', '{"sentence": "\\ud800", "label": 1}', lines + '{"sentence": null, "label": 1}',
            lines + '{"sentence": "x", "label": []}', lines + '{"sentence": "x", "label": NaN}',
            "{" + ", ".join(f'"k{i}": 1' for i in range(20_000)) + "}",
            "".join(f'{{"sentence": "x", "label": 1, "k{i}": 1}}\n' for i in range(20_000)),
            json.dumps({EVIL: "x", "label": 1}), lines + json.dumps({"sentence": EVIL, "label": ""}),
        ],
        "parquet": ["", "x", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1"],
    }  # fmt: skip
    for suffix, many in texts.items():
        for place, text in enumerate(many):
            yield BadInput(f"table {suffix} {place}", ("inspect", "mine"), _task(suffix, text))
    for name, make in PARQUET.items():
        yield BadInput(f"parquet {name}", ("inspect", "mine"), _parquet(make))
    yield BadInput("labels that dev alone has", ("inspect", "mine"), _dev(f"sentence\tlabel\nx\t{EVIL}\n"))
    yield BadInput("two train files", ("inspect", "mine"), _task("tsv", header + rows, "train.csv"))
    yield BadInput("a link out of the folder", ("inspect", "mine"), lambda f: _linked(f, "/etc/passwd"))
    yield BadInput("a link in a circle", ("inspect", "mine"), lambda f: _linked(f, "train.tsv"))
    yield BadInput("a table of a terabyte", ("inspect", "mine"), _sparse)
    for place, task in enumerate(["", "none", "~no-such-user", "file:", f"file:{LONG}", EVIL, "glue/", "/", LONG, "study.toml", "[red]"]):
        yield BadInput(f"inspect {place}", ("inspect", task))
    yield BadInput("inspect metric", ("inspect", "task", "--metric", EVIL))


def _dev(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        write("mine/train.tsv", "sentence\tlabel\n" + "".join(f"t {i}\t{i % 2}\n" for i in range(8)))(folder)
        write("mine/dev.tsv", text)(folder)

    return prepare


def _task(suffix: str, text: str | bytes, second: str = "") -> Prepare:
    def prepare(folder: Path) -> None:
        write(f"mine/train.{suffix}", text)(folder)
        write("mine/dev.tsv", "sentence\tlabel\nx\t0\ny\t1\nz\t0\nw\t1\n")(folder)
        if second:
            write(f"mine/{second}", text)(folder)

    return prepare


def _linked(folder: Path, to: str) -> None:
    _task("csv", "")(folder)
    (folder / "mine/train.csv").unlink()
    (folder / "mine/train.tsv").symlink_to(to)


def _sparse(folder: Path) -> None:
    _task("tsv", "")(folder)
    os.truncate(folder / "mine/train.tsv", 10**12)


def _many_rows() -> Any:
    import pyarrow as pa

    return pa.table({"sentence": pa.DictionaryArray.from_arrays(np.zeros(30_000_000, np.int8), ["x"])})


def _long_texts() -> Any:
    import pyarrow as pa

    places = np.zeros(50_000, np.int8)
    return pa.table({"sentence": pa.DictionaryArray.from_arrays(places, ["x" * 900_000]), "label": places})


def _old_times() -> Any:
    import pyarrow as pa

    far = pa.array([2**62] * 4, pa.timestamp("us"))
    return pa.table({"sentence": ["a", "b", "c", "d"], "label": far})


def _nested() -> Any:
    import pyarrow as pa

    return pa.table({"sentence": [["a"], ["b"]], "label": [0, 1]})


def _bytes() -> Any:
    import pyarrow as pa

    return pa.table({"sentence": [b"a", b"b"], "label": [0, 1]})


def _wide() -> Any:
    import pyarrow as pa

    return pa.table({f"c{i}": [1] for i in range(3_000)})


def _evil_names() -> Any:
    import pyarrow as pa

    return pa.table({EVIL: ["a"], "x\ny": [0]})


PARQUET: dict[str, Callable[[], Any]] = {
    "of many rows": _many_rows, "of long texts": _long_texts, "of times out of range": _old_times, "of lists": _nested,
    "of bytes": _bytes, "of many columns": _wide, "of evil names": _evil_names,
}  # fmt: skip


def _parquet(make: Callable[[], Any]) -> Prepare:
    def prepare(folder: Path) -> None:
        import pyarrow.parquet as pq

        _task("parquet", "")(folder)
        pq.write_table(make(), folder / "mine/train.parquet", store_schema=False)

    return prepare


# -- encoders ------------------------------------------------------------------------------------------------------------


def _encoders() -> Iterator[BadInput]:
    def config(**changes: Any) -> Prepare:
        def prepare(folder: Path) -> None:
            file = folder / "enc/config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

        return prepare

    inspect, certify = ("inspect", "task", "--encoder", "enc"), ("certify", "enc", "task", "--n", "20", "--steps", "1")
    texts = ["", "x", "[]", "1", DEEP, "{" * 99, f'{{"model_type": "bert", "x": {DIGITS}}}', '{"model_type": "gpt2"}',
             json.dumps({"model_type": EVIL}), '{"model_type": 1}', b"\xff", "{}"]  # fmt: skip
    for place, text in enumerate(texts):
        yield BadInput(f"config {place}", inspect, write("enc/config.json", text))
    changes: list[dict[str, Any]] = [
        {"num_hidden_layers": 10**9}, {"num_hidden_layers": -1}, {"num_hidden_layers": "x"}, {"num_hidden_layers": None},
        {"num_hidden_layers": 10**400 // 7}, {"hidden_size": 10**9}, {"hidden_size": 10**12}, {"vocab_size": 10**9},
        {"intermediate_size": 10**8}, {"max_position_embeddings": 10**9}, {"max_position_embeddings": 0},
        {"hidden_size": "wide"}, {"hidden_size": 7}, {"num_attention_heads": 0}, {"hidden_act": EVIL}, {"pad_token_id": 10**12},
        {"type_vocab_size": -2}, {"initializer_range": "x"}, {"quantization_config": {}}, {"transformers_weights": "x"},
        {"attn_implementation": "evil/kernel"}, {"hidden_dropout_prob": 2.0}, {"layer_norm_eps": "\x1b[31m"},
    ]  # fmt: skip
    for place, change in enumerate(changes):
        yield BadInput(f"config entry {place}", certify, config(**change))
    for place, text in enumerate(["", "{}", "x", DEEP, '{"model": 1}', '{"version": "1.0", "model": {"type": "' + "\\u001b[31m" + '"}}']):
        yield BadInput(f"tokenizer {place}", inspect, write("enc/tokenizer.json", text))
    yield BadInput("tokenizer without a word for unknown ones", inspect, _no_unknown)
    yield BadInput("tokenizer that is a link in a circle", inspect, lambda f: _replace(f / "enc/tokenizer.json", "tokenizer.json"))
    for place, content in enumerate([b"", b"x" * 7, struct.pack("<Q", 2**62), struct.pack("<Q", 10) + b"{" * 10]):
        yield BadInput(f"weights {place}", certify, write("enc/model.safetensors", content))
    yield BadInput("integer weights", certify, _integer_weights)
    yield BadInput("weights that are not there", certify, lambda f: (f / "enc/model.safetensors").unlink())
    for place, text in enumerate(["", "[]", DEEP, '{"weight_map": {"a": "../x.safetensors"}}', '{"weight_map": {"a": "\\u001b.safetensors"}}']):
        yield BadInput(f"index {place}", certify, _index(text))
    for place, name in enumerate(["", "~no-such-user", LONG, "/dev/zero", "a/b/c", "pocket/none", EVIL, "enc/config.json"]):
        yield BadInput(f"encoder {place}", ("inspect", "task", "--encoder", name))


def _replace(file: Path, to: str) -> None:
    file.unlink()
    file.symlink_to(to)


def _no_unknown(folder: Path) -> None:
    file = folder / "enc/tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"] = {word: k for word, k in content["model"]["vocab"].items() if word != "[UNK]"}
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "[UNK]"]
    file.write_text(json.dumps(content))
    for name in ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / "enc" / name).unlink(missing_ok=True)


def _integer_weights(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file = folder / "enc/model.safetensors"
    save_file({name: tensor.astype(np.int32) for name, tensor in load_file(file).items()}, file)


def _index(text: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / "enc/model.safetensors").unlink()
        write("enc/model.safetensors.index.json", text)(folder)

    return prepare


# -- scores --------------------------------------------------------------------------------------------------------------


def _scores() -> Iterator[BadInput]:
    texts: list[str | bytes] = [
        "", "\n", "x", b"\xff\xfe\x00", "a\0", "score\n", "score\n0.5\n", "score\nx\ny\n", "score\nnan\nnan\n", "score\n70\n80\n",
        "score\n1e999\n0.1\n", f"score\n{DIGITS}\n0.1\n", "score,score\n1,2\n", "accuracy\n0.5\n0.6\n", f"{EVIL}\n0.5\n0.6\n",
        f"score,status\n0.5,{EVIL}\n0.6,ok\n", "score,failed\n0.5,perhaps\n0.6,true\n", "score,seed\n0.5,1\n0.6,1\n",
        "score,no_skill\n0.5,9\n0.6,9\n", ",".join(f"c{i}" for i in range(20_000)) + "\n", 'score\n"0.5\n', "score\n0.5,1,2\n0.6\n",
        "score;task\n0.5;a\n", "score\n0_5\n0_6\n", '"' + "x" * 200_000 + '"\n1\n', "score,metric\n0.5,a\n0.6,b\n",
        "{\"score\": 1}", "<html>", "score\n" + "[" * 10_000 + "\n1\n", "\u202escore\n0.5\n0.6\n",
    ]  # fmt: skip
    for place, text in enumerate(texts):
        yield BadInput(f"scores {place}", ("compare", "bad.csv", "b.csv"), write("bad.csv", text))
    for place, args in enumerate([
        ("a.csv",), ("a.csv", "a.csv"), ("a.csv", "none.csv"), ("a.csv", "~no-such-user/x.csv"), ("a.csv", LONG), ("a.csv", "enc"),
        ("a.csv", "b.csv", "--no-skill", "nan"), ("a.csv", "b.csv", "--no-skill", "x"), ("a.csv", "b.csv", "--points"),
        ("a.csv", "b.csv", "--column", EVIL), ("a.csv", "b.csv", "--baseline", EVIL), ("a.csv", "b.csv", "--out", "a.csv"),
        ("a.csv", "b.csv", "--out", LONG), ("a.csv", EVIL), ("a.csv", ""), ("a.csv", "/dev/null"),
    ]):  # fmt: skip
        yield BadInput(f"compare {place}", ("compare", *args))


# -- what is no file -----------------------------------------------------------------------------------------------------


def _special_files() -> Iterator[BadInput]:
    places = {
        "study.toml": ("status", "study.toml"), "suite.toml": ("suite", "report", "suite.toml"),
        "enc/config.json": ("inspect", "task", "--encoder", "enc"), "enc/tokenizer.json": ("inspect", "task", "--encoder", "enc"),
        "enc/model.safetensors": ("certify", "enc", "task"), "task/train.tsv": ("inspect", "task"),
        "task/dev.tsv": ("inspect", "task"), "bad.csv": ("compare", "bad.csv", "b.csv"), "mine.py": ("list", "--with", "mine.py"),
        "store/runs/0123456789abcdef/run.json": ("show", "0123"),
    }  # fmt: skip

    def spoil(place: str, make: Callable[[Path], object]) -> Prepare:
        def prepare(folder: Path) -> None:
            file = folder / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            make(file)

        return prepare

    kinds: dict[str, Callable[[Path], object]] = {
        "a pipe": lambda file: os.mkfifo(file), "a device": lambda file: file.symlink_to("/dev/zero"),
        "a circle": lambda file: file.symlink_to(file.name), "a folder": lambda file: file.mkdir(),
    }  # fmt: skip
    for place, args in places.items():
        for kind, make in kinds.items():
            yield BadInput(f"{kind} as {place}", args, spoil(place, make))
    paths = ("none.toml", "~no-such-user/x.toml", LONG, f"{LONG}.toml", "/dev/zero", "enc", "", f"{EVIL}.toml", "a\nb.toml")
    for place, path in enumerate(paths):
        yield BadInput(f"study at {place}", ("status", path))


# -- everything else -----------------------------------------------------------------------------------------------------


def _suites() -> Iterator[BadInput]:
    base = {
        "name": '"mine"', "title": '"t"', "factor": '"n"', "about": '"x"', "generator": '"separable-ball"', "datasets": "1",
        "parameters": "{ d = 3 }", "vary": "{ n = [8] }", "measure": '{ kind = "max-margin" }',
    }  # fmt: skip
    changes = {
        "name": [None, '"a/b"', '"\\u001b"'], "factor": ['"luck"'], "generator": ['"none"', "1", '"\\u001b[1m"'],
        "datasets": ["0", "-1", "10000000", DIGITS, "nan"], "vary": ["{}", "{ n = [] }", "{ n = [8, 8] }", "{ n = [-1] }", "{ x = [1] }",
        '{ n = ["a"] }', f"{{ n = [{DIGITS}] }}", "{ n = [nan] }", "{ n = [8], d = [1, 2] }", f"{{ n = {'[' * 200}{']' * 200} }}"],
        "measure": ["{}", '{ kind = "none" }', '{ kind = "max-margin", bounds = ["none"] }'], "parameters": ["{ q = 1 }", "{ d = -1 }"],
        "predictions": ["1", "[{}]", '[{ quantity = "luck", direction = "falls", by = "x" }]'],
    }  # fmt: skip
    for key, many in changes.items():
        for place, value in enumerate(many):
            kept = {k: v for k, v in {**base, key: value}.items() if v is not None}
            text = "\n".join(f"{k} = {v}" for k, v in kept.items()) + "\n"
            yield BadInput(f"suite {key} {place}", ("suite", "report", "suite.toml"), write("suite.toml", text))
    for place, name in enumerate(["none", "", EVIL, "none.toml", f"{LONG}.toml", "~no-such-user/x.toml", "[red]"]):
        yield BadInput(f"suite at {place}", ("suite", "run", name))


def _arguments() -> Iterator[BadInput]:
    commands: list[tuple[str, ...]] = [
        ("nonsense",), ("list", "none"), ("list", EVIL), ("show", ""), ("show", "zzz"), ("show", "0123"), ("show", EVIL),
        ("show", "../../etc"), ("show", "0" * 300), ("plan", "--sd-ratio", "1"), ("plan", "--sd-ratio", "nan"), ("plan", "--seeds", "0"),
        ("plan", "--seeds", DIGITS), ("plan", "--power", "2"), ("plan", "--scores", EVIL), ("plan", "--failures", "2", "3"),
        ("plan", "--pilot", "none"), ("plan", "--pilot", "enc"), ("plan", "--figure", "x.exe"), ("plan", "--figure", f"{LONG}.svg"),
        ("plan", "--set", "a=1"), ("plan", "--tests", "0"), ("claims", "--tier", "none"), ("claims", "--tier", EVIL),
        ("claims", "--out", "a.csv"), ("pretrain", "none", "--out", "x"), ("pretrain", EVIL, "--out", "x"),
        ("pretrain", "pocket/bert-small", "--out", "enc"), ("pretrain", "pocket/bert-small", "--out", "x", "--steps", "0"),
        ("check", "none"), ("check", EVIL), ("check", "none.py"), ("check", "~no-such-user/x.py"), ("check", f"{LONG}.py"),
        ("new", "study", "study.toml"), ("new", "study", "enc"), ("certify", "enc", "none"), ("certify", "enc", "task", "--n", "0"),
        ("certify", "enc", "task", "--rate", "nan"), ("certify", "enc", "task", "--weight", EVIL), ("certify", "enc", "task", "--seed", "-1"),
        ("certify", "enc", "task", "--features", EVIL), ("certify", "enc", "task", "--steps", "0"), ("run",), ("run", "a", "b"), ("report", "study.toml"),
        ("run", "study.toml", "--jobs"), (EVIL,), ("--nonsense",), ("show", "0123", "--store", "~no-such-user"), ("show", "0123", "--store", LONG),
        ("new", "study", LONG), ("new", "study", f"{LONG}/x.toml"),
    ]  # fmt: skip
    for place, args in enumerate(commands):
        yield BadInput(f"command {place} {args[0] if args[0].isalpha() else ''}", args)


def _records() -> Iterator[BadInput]:
    texts: list[str] = ["", "x", "[]", "{}", DEEP, f'{{"id": {DIGITS}}}', '{"id": "0123456789abcdef", "complete": true, "status": "ok"}',
                        '{"id": "0123456789abcdef", "complete": true, "status": "crashed", "reason": 1}',
                        '{"id": "0123456789abcdef", "complete": true, "status": []}']  # fmt: skip
    for place, text in enumerate(texts):
        yield BadInput(f"record {place}", ("show", "0123"), write("store/runs/0123456789abcdef/run.json", text))
